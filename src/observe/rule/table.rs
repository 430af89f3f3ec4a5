//! The rows: name, source, sentence, example.

macro_rules! rules {
    ($($variant:ident $name:literal $source:literal $text:literal $example:literal;)*) => {
        /// Why a frame was dropped, answered without a socket, or sent without a socket asking for it. One row of one
        /// table: its name, the text it follows, a sentence, and an example.
        ///
        /// ```
        /// use tapsock::observe::Rule;
        /// let rule = Rule::Ip4HeaderChecksum;
        /// assert_eq!(rule.to_string(), "ip4.drop.header-checksum");
        /// assert!(rule.source().contains("1122"));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule { $(#[doc = concat!("`", $name, "`: ", $text, " (", $source, ")")] $variant,)* }

        impl Rule {
            /// The whole table.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant),*];

            /// `layer.what.why`, stable: scripts and counters use it.
            pub const fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name,)* }
            }

            /// One sentence for a person.
            pub const fn sentence(self) -> &'static str {
                match self { $(Rule::$variant => $text,)* }
            }

            /// How it comes about, for example.
            pub const fn example(self) -> &'static str {
                match self { $(Rule::$variant => $example,)* }
            }

            /// The RFC section or the text that demands or allows it.
            pub const fn source(self) -> &'static str {
                match self { $(Rule::$variant => $source,)* }
            }

        }
    };
}

rules! {
    // loopback
    LoopbackFull "lo.drop.full" "Linux: net.core.netdev_max_backlog" "more packets are on the loopback than it may hold: this one is lost, as on any full queue"
        "two programs on 127.0.0.1 with --loopback wire: one sends datagrams faster than the stack can deliver them";
    LoopbackNeighbour "lo.drop.neighbour" "RFC 4861 §3" "a neighbour message on the loopback, where nobody has a link address"
        "a raw socket sends a neighbour solicitation to ::1";
    // link
    EthTruncated "eth.drop.truncated" "IEEE 802.3" "the frame is shorter than an Ethernet header"
        "a frame of 10 bytes";
    EthForeign "eth.drop.foreign" "RFC 1122 §2" "the frame is for another station's Ethernet address"
        "a switch floods a frame for 02:00:00:00:00:09 to every port";
    DeviceFull "device.drop.full" "" "the device takes no more frames, and too many wait for it: those are lost"
        "the TAP's queue is full because the host does not read it, and 4 MiB of frames wait already";
    EthSource "eth.drop.source" "IEEE 802.3" "the frame claims to come from a group address"
        "a frame whose source address is ff:ff:ff:ff:ff:ff";
    EthOwn "eth.drop.own" "IEEE 802.3" "the frame carries our own source address: it came back"
        "a loop in the link: our own ARP request comes back";
    EthType "eth.drop.ethertype" "RFC 1122 §2.3.1" "the frame carries a protocol that is not ARP, IPv4 or IPv6"
        "an LLDP frame (type 0x88cc) from a switch";
    ArpMalformed "arp.drop.malformed" "RFC 826" "the ARP packet is truncated or not for Ethernet and IPv4"
        "an ARP request that ends after 20 bytes";
    ArpForeign "arp.drop.foreign" "RFC 826" "the ARP packet asks for an address that is not ours, or answers somebody else"
        "the host asks who has 192.168.69.50, which is not us";
    ArpUnasked "arp.drop.unasked" "RFC 826" "an ARP reply that nobody asked for changes nothing"
        "a station announces its address, and we have never wanted to send to it";
    ArpSource "arp.drop.source" "RFC 826, RFC 5227 §1.1" "the ARP packet's sender address cannot be a host's"
        "an ARP request whose sender has the Ethernet address ff:ff:ff:ff:ff:ff";
    ArpAnswered "arp.answer" "RFC 826" "somebody asked who has our address; we answered"
        "ping 192.168.69.1 from a host that does not know our Ethernet address yet";
    ArpLearned "arp.learned" "RFC 826" "the neighbour's Ethernet address was learned from its answer"
        "the host answers our question, and the packets that waited leave";
    ArpConflict "arp.conflict" "RFC 5227 §2.4" "another station uses our address"
        "a second machine with 192.168.69.1 sends any ARP packet";
    ArpRequest "arp.request" "RFC 826" "a packet waits for this neighbour: who has its address?"
        "an echo reply is to be sent to a host whose Ethernet address is not known";
    ArpPoll "arp.poll" "RFC 1122 §2.3.2.1" "the neighbour has been silent: is it still there?"
        "a connection has been silent for longer than a neighbour is believed, and sends again";
    ArpProbe "arp.probe" "RFC 5227 §2.1.1" "before we use an address we ask whether somebody has it"
        "tapsock daemon starts: does somebody have 192.168.69.1?";
    ArpAnnounce "arp.announce" "RFC 5227 §2.3" "the address is ours now; neighbours may forget who had it before"
        "nobody has answered the probes, and the address is ours";
    NdpHopLimit "ndp.drop.hop-limit" "RFC 4861 §6.1, §7.1" "a neighbour message whose hop limit is not 255 has crossed a router"
        "a neighbour solicitation with hop limit 64, sent from beyond a router";
    NdpMalformed "ndp.drop.malformed" "RFC 4861 §7.1" "the neighbour message breaks a validity rule"
        "a neighbour solicitation with an option of length 0";
    NdpForeign "ndp.drop.foreign" "RFC 4861 §7.2.3" "the neighbour solicitation asks for an address that is not ours"
        "the host asks for fd69::50, which is not us, at a group that we are in too";
    NdpUnasked "ndp.drop.unasked" "RFC 4861 §7.2.5" "a neighbour advertisement of an address we never asked for changes nothing"
        "a station advertises its address, and we have never wanted to send to it";
    NdpUnused "ndp.drop.unused" "RFC 4861 §6.2.6, §6.3.4" "router solicitations are for routers, and advertisements for hosts that were told to use them (--addr slaac)"
        "a router advertises itself to a daemon that was started without --addr slaac";
    NdpRedirect "ndp.drop.redirect" "RFC 4861 §8.3" "redirects are ignored: any station could send our packets astray by one"
        "somebody says that packets for the gateway had better go to him";
    NdpRouterSource "ndp.drop.router-source" "RFC 4861 §6.1.2" "a router advertisement that does not come from a link-local address has no router behind it"
        "a router advertisement from fd69::100";
    NdpRouter "ndp.router" "RFC 4861 §6.3.4" "a router told us about itself and its prefixes"
        "radvd advertises a prefix to a daemon that was started with --addr slaac";
    NdpLearnLimit "ndp.drop.learn-limit" "RFC 4861 §6.3.4, RFC 6104" "more routers, prefixes or addresses are advertised than we want to know; the newest are ignored"
        "somebody advertises a hundred prefixes";
    NdpRouterSolicit "ndp.router-solicit" "RFC 4861 §6.3.7" "is there a router, and which prefixes does it advertise?"
        "tapsock daemon --addr slaac starts";
    NdpAnswered "ndp.answer" "RFC 4861 §7.2.4" "somebody asked for our address; we advertised it"
        "ping fd69::1 from a host that does not know our Ethernet address yet";
    NdpLearned "ndp.learned" "RFC 4861 §7.2.5" "the neighbour's Ethernet address was learned"
        "the host answers our solicitation, and the packets that waited leave";
    NdpDuplicate "ndp.duplicate" "RFC 4862 §5.4" "another station has or wants our tentative address"
        "a second machine answers while we ask whether somebody has fd69::1";
    NdpConflict "ndp.conflict" "RFC 4861 §7.2.5, RFC 4862 §5.4.4" "another station uses our address"
        "a second machine advertises fd69::1 while we use it";
    NdpSolicit "ndp.solicit" "RFC 4861 §7.2.2" "a packet waits for this neighbour: what is its Ethernet address?"
        "an echo reply is to be sent to a host whose Ethernet address is not known";
    NdpProbe "ndp.probe" "RFC 4861 §7.3.3" "the neighbour has been silent: is it still there?"
        "a connection has been silent for longer than a neighbour is believed, and sends again";
    NdpDad "ndp.dad" "RFC 4862 §5.4.2" "before we use an address we ask whether somebody has it"
        "tapsock daemon starts: does somebody have fd69::1?";
    NdpAdvertise "ndp.advertise" "RFC 4861 §7.2.6" "the address is ours now; neighbours may forget who had it before"
        "nobody has answered, and the address is ours";
    NeighbourFailed "neighbour.failed" "RFC 4861 §7.2.2" "the neighbour did not answer; packets for it cannot be sent"
        "tapsock ping 192.168.69.77, where nobody is";
    NeighbourQueueFull "neighbour.drop.queue-full" "RFC 4861 §7.2.2" "too many packets wait for this neighbour, or for all together; this one is dropped"
        "a program sends a burst of datagrams to a host that has not answered our ARP request yet";
    NeighbourTableFull "neighbour.drop.table-full" "RFC 4861 §7.2.2" "too many neighbours are being asked for; this packet is dropped"
        "a program sends to thousands of addresses of its own network, and nobody is there";
    NeighbourNoSource "neighbour.drop.no-source" "RFC 4861 §7.2.2" "we have no address of this family yet that a neighbour could answer to"
        "never, as far as we know: who has no address has no route either, and ip.drop.no-route comes first";
    // ip
    Ip4Truncated "ip4.drop.truncated" "RFC 791 §3.1" "the packet is shorter than its header or its total length says"
        "a packet whose total length says 1500 in a frame of 60 bytes";
    Ip4Version "ip4.drop.version" "RFC 1122 §3.2.1.1" "the version field does not say 4"
        "a frame of type 0x0800 that carries an IPv6 packet";
    Ip4HeaderLength "ip4.drop.header-length" "RFC 791 §3.1" "the header length is below 20 bytes or beyond the packet"
        "a packet whose header length says 16 bytes";
    Ip4HeaderChecksum "ip4.drop.header-checksum" "RFC 1122 §3.2.1.2" "the header checksum is wrong: a field was damaged on the way"
        "a router lowered the TTL and forgot the checksum";
    Ip4Source "ip4.drop.source" "RFC 1122 §3.2.1.3" "the source address cannot be another host's: multicast, broadcast, loopback, zero or our own"
        "a packet that claims to come from 255.255.255.255, or from our own address";
    Ip4Options "ip4.drop.options" "RFC 791 §3.1" "an option's length runs past the header"
        "a timestamp option whose length is 60 in a header of 24 bytes";
    Ip4SourceRoute "ip4.drop.source-route" "RFC 1122 §3.3.5" "a source route asks us to pass the packet on, and a host does not forward"
        "ping -R's cousin: a packet with a loose source route to another host";
    Ip4FragmentWaits "ip4.fragment.waits" "RFC 791 §3.2" "a fragment: it waits for the rest of its datagram"
        "ping -s 4000 192.168.69.1: each echo request comes in three fragments";
    Ip4FragmentDuplicate "ip4.drop.fragment-duplicate" "RFC 791 §3.2" "a fragment that brings nothing new: it came before"
        "a fragment that the link has doubled";
    Ip4FragmentConflict "ip4.drop.fragment-conflict" "RFC 1858 §4" "a fragment contradicts an earlier one, in its bytes or about the end: the whole datagram is dropped"
        "an attack that writes over the ports of a segment by a second fragment";
    Ip4FragmentMalformed "ip4.drop.fragment-malformed" "RFC 791 §3.1" "a fragment that is empty, or not the last and no multiple of 8 bytes long"
        "a fragment of 13 bytes that is not the last";
    Ip4FragmentTooLarge "ip4.drop.fragment-too-large" "RFC 791 §3.1" "a fragment that reaches beyond the 65 535 bytes that a datagram can have"
        "the ping of death: a last fragment at offset 65528 with 1000 bytes";
    Ip6Truncated "ip6.drop.truncated" "RFC 8200 §3" "the packet is shorter than its header or its payload length says"
        "a packet whose payload length says 1440 in a frame of 100 bytes";
    Ip6Version "ip6.drop.version" "RFC 8200 §3" "the version field does not say 6"
        "a frame of type 0x86dd that carries an IPv4 packet";
    Ip6Source "ip6.drop.source" "RFC 4291 §2.5, §2.7" "the source address cannot be another host's: multicast, loopback or our own"
        "a packet that claims to come from ff02::1, or from our own address";
    Ip6Extension "ip6.drop.extension" "RFC 8200 §4" "an extension header is truncated, or one option demands that the packet be dropped"
        "an option of an unknown type whose two highest bits are 01";
    Ip6FragmentWaits "ip6.fragment.waits" "RFC 8200 §4.5" "a fragment: it waits for the rest of its datagram"
        "ping -s 4000 fd69::1: each echo request comes in three fragments";
    Ip6FragmentDuplicate "ip6.drop.fragment-duplicate" "RFC 8200 §4.5" "a fragment that came before, exactly the same"
        "a fragment that the link has doubled";
    Ip6FragmentOverlap "ip6.drop.fragment-overlap" "RFC 5722 §4, RFC 8200 §4.5" "fragments of this datagram overlap or contradict each other: all of it is dropped, this one too"
        "two fragments that both have byte 1400";
    Ip6FragmentMalformed "ip6.drop.fragment-malformed" "RFC 8200 §4.5" "an empty fragment"
        "a fragment header with nothing behind it that is not the last";
    Ip6FragmentUnaligned "ip6.answer.fragment-unaligned" "RFC 8200 §4.5" "a fragment that is not the last and no multiple of 8 bytes long: Parameter Problem"
        "a fragment of 13 bytes that is not the last";
    Ip6FragmentTooLarge "ip6.answer.fragment-too-large" "RFC 8200 §4.5" "a fragment that reaches beyond the 65 535 bytes that a payload can have: Parameter Problem"
        "a last fragment at offset 65528 with 1000 bytes";
    Ip6FragmentHeaders "ip6.answer.fragment-headers" "RFC 8200 §4.5, RFC 7112 §5" "a first fragment without all headers up to that of the transport: Parameter Problem"
        "a first fragment that ends before the TCP header begins";
    Ip6FragmentNeighbour "ip6.drop.fragment-neighbour" "RFC 6980 §5" "a neighbour message must not come in fragments"
        "a neighbour advertisement in two fragments";
    Ip6NextHeader "ip6.answer.next-header" "RFC 8200 §4, RFC 4443 §3.4" "the next header is one we do not know: Parameter Problem"
        "nmap -6 -sO: next header 200";
    Ip6NoNextHeader "ip6.drop.no-next-header" "RFC 8200 §4.7" "the packet ends with its headers: there is nothing to deliver"
        "a packet whose next header is 59";
    Ip6Option "ip6.answer.option" "RFC 8200 §4.2, RFC 4443 §3.4" "an option that we do not know demands an answer: Parameter Problem"
        "a destination option of type 0x9e, whose two highest bits are 10";
    Ip6Routing "ip6.answer.routing" "RFC 5095 §3, RFC 8200 §4.4" "a routing header asks us to pass the packet on, and a host does not forward: Parameter Problem"
        "a routing header of type 0 with two segments left";
    IpLoopback "ip.drop.loopback" "RFC 1122 §3.2.1.3 (g), RFC 4291 §2.5.3" "a packet from or to a loopback address must not be on the link: those never leave their host"
        "somebody on the link sends a packet to 127.0.0.1";
    IpForeign "ip.drop.foreign" "RFC 1122 §3.2.1.3" "the destination is not one of our addresses, and a host does not forward"
        "the host has a route by which it sends packets for 10.0.0.1 to us";
    IpTentative "ip.drop.tentative" "RFC 4862 §5.4" "the destination is our address, but not before we know that nobody else has it"
        "ping 192.168.69.1 in the first second of the daemon's life";
    IpUnknownProtocol "ip.answer.protocol-unreachable" "RFC 1122 §3.2.2.1" "nobody here speaks this protocol: Protocol Unreachable"
        "nmap -sO: protocol 47 (GRE)";
    IpTooLarge "ip.drop.too-large" "RFC 791 §3.2, RFC 8200 §4.5" "the packet is larger than the way can carry and must not be fragmented, or larger than IP can say"
        "a raw socket sends a packet with a header of its own, 1400 bytes long, over a tunnel that carries 1300";
    IpReassemblyTimeout "ip.drop.reassembly-timeout" "RFC 1122 §3.3.2, RFC 8200 §4.5" "fragments are missing for too long, the first among them: the datagram is given up in silence"
        "the first fragment of a datagram was lost, and 30 seconds have passed";
    IpReassemblyExceeded "ip.answer.reassembly-timeout" "RFC 1122 §3.3.2, RFC 8200 §4.5" "fragments are missing for too long: the datagram is given up, and its sender is told by Time Exceeded"
        "the last fragment of a datagram was lost, and 30 seconds have passed";
    IpReassemblyFull "ip.drop.reassembly-full" "RFC 1122 §3.3.2" "the memory for incomplete datagrams is full: the oldest of them makes room for a new one"
        "a thousand sources send first fragments only";
    IpReassemblyShare "ip.drop.reassembly-share" "RFC 1122 §3.3.2" "one source has its share of the memory for incomplete datagrams: the oldest of its own makes room"
        "one source sends first fragments only";
    IpNoRoute "ip.drop.no-route" "RFC 1122 §3.3.1" "no route leads to the destination"
        "tapsock ping 8.8.8.8 without --gateway";
    IcmpMalformed "icmp.drop.malformed" "RFC 792, RFC 4443" "the ICMP message is truncated"
        "an ICMP message of 4 bytes";
    IcmpChecksum "icmp.drop.checksum" "RFC 1122 §3.2.2, RFC 4443 §2.3" "the ICMP checksum is wrong: the message was damaged on the way"
        "an echo request with a damaged byte";
    IcmpType "icmp.drop.type" "RFC 1122 §3.2.2" "an ICMP message of a type that a host ignores"
        "a timestamp request (type 13)";
    IcmpEcho "icmp.answer.echo" "RFC 1122 §3.2.2.6, RFC 4443 §4.2" "somebody pings us; we send the same data back"
        "ping 192.168.69.1";
    IcmpEchoGroup "icmp.drop.echo-group" "RFC 1122 §3.2.2.6" "a ping to a broadcast or IPv4 multicast address is not answered"
        "ping -b 192.168.69.255";
    IcmpEchoReply "icmp.drop.echo-reply" "RFC 1122 §3.2.2.6" "an echo reply that no socket waits for"
        "an echo reply that comes after tapsock ping has ended";
    IcmpErrorLimited "icmp.drop.error-limit" "RFC 1812 §4.3.2.8, RFC 4443 §2.4" "an error was due, but the limit on errors is reached"
        "nmap -sU: a thousand datagrams to closed ports in one second";
    IcmpErrorForbidden "icmp.drop.error-forbidden" "RFC 1122 §3.2.2, RFC 4443 §2.4" "no error may be sent about an error, a group address or a fragment"
        "a broadcast datagram with a protocol that nobody speaks";
    IcmpErrorUnmatched "icmp.drop.error-unmatched" "RFC 5927 §4.1" "an ICMP error that quotes no socket of ours, or nothing that the socket can have sent"
        "a Port Unreachable about a datagram that no socket of ours has sent";
    IcmpErrorSequence "icmp.drop.error-sequence" "RFC 5927 §4.1" "an ICMP error that quotes a sequence number of no segment on its way: forged or late"
        "somebody forges an error and guesses the sequence number";
    PathMtuLowered "icmp.path-mtu" "RFC 1191 §6, RFC 8201 §4" "a link on the way carries less: segments to this host become smaller"
        "a tunnel on the way carries 1400 bytes, and its router says so";
    IcmpErrorDelivered "icmp.error" "RFC 1122 §3.2.2, §4.2.3.9" "an ICMP error for one of our sockets"
        "tapsock nc -u to a port where nobody listens: the host answers Port Unreachable";
    IgmpMalformed "igmp.drop.malformed" "RFC 3376 §4.1, §7.1" "the IGMP message is truncated, or its length is that of no version"
        "an IGMP message of 5 bytes";
    IgmpChecksum "igmp.drop.checksum" "RFC 3376 §4.1.2" "the IGMP checksum is wrong: the message was damaged on the way"
        "an IGMP query with a damaged byte";
    IgmpType "igmp.drop.type" "RFC 3376 §4" "an IGMP message that is for routers, or of an unknown type"
        "an IGMP report of type 0x99";
    IgmpInvalid "igmp.drop.invalid" "RFC 3376 §9.1" "an IGMP message with the wrong TTL, without Router Alert or to the wrong group may come from beyond the link"
        "a query with TTL 64";
    IgmpQuery "igmp.query" "RFC 3376 §5.2" "a router asks which groups we are in; the answer follows after a random delay"
        "the router asks every two minutes which groups somebody wants";
    IgmpHeard "igmp.heard" "RFC 2236 §3" "another host reports a group: with an old querier, ours need not be reported too"
        "another host reports 239.1.2.3 after the query of an IGMPv2 router";
    IgmpReport "igmp.report" "RFC 3376 §5.1, §5.2" "these are the groups that we are in, have joined or have left"
        "a program joins 239.1.2.3";
    IgmpLeave "igmp.leave" "RFC 2236 §3" "we have left the group, and were the last to report it"
        "the last program that was in 239.1.2.3 has left it";
    MldMalformed "mld.drop.malformed" "RFC 3810 §5.1, §8.1" "the MLD message is truncated, or its length is that of no version"
        "an MLD query of 10 bytes";
    MldType "mld.drop.type" "RFC 3810 §5" "an MLD message that is for routers"
        "another host's MLDv2 report, sent to all nodes instead of the routers";
    MldInvalid "mld.drop.invalid" "RFC 3810 §6.2" "an MLD message that is not from a link-local address, or without hop limit 1 or Router Alert, may come from beyond the link"
        "a query from fd69::100 instead of a link-local address";
    MldQuery "mld.query" "RFC 3810 §6.2" "a router asks which groups we are in; the answer follows after a random delay"
        "the router asks every two minutes which groups somebody wants";
    MldHeard "mld.heard" "RFC 2710 §4" "another host reports a group: with an old querier, ours need not be reported too"
        "another host reports ff02::1234 after the query of an MLDv1 router";
    MldReport "mld.report" "RFC 3810 §6.1, §6.3" "these are the groups that we are in, have joined or have left"
        "the daemon starts, and is in the solicited-node groups of its addresses";
    MldDone "mld.done" "RFC 2710 §4" "we have left the group, and were the last to report it"
        "the last program that was in ff02::1234 has left it";
    // transport: UDP
    UdpMalformed "udp.drop.malformed" "RFC 768" "the datagram is truncated or its length field is wrong"
        "a datagram whose length field says 4";
    UdpChecksum "udp.drop.checksum" "RFC 1122 §4.1.3.4" "the UDP checksum is wrong: the datagram was damaged on the way"
        "a datagram with a damaged byte";
    UdpNoChecksum "udp.drop.no-checksum" "RFC 8200 §8.1" "UDP over IPv6 must carry a checksum"
        "a datagram over IPv6 whose checksum field is 0";
    UdpNoSocket "udp.answer.port-unreachable" "RFC 1122 §4.1.3.1" "no socket is bound to the port: Port Unreachable"
        "nc -u 192.168.69.1 9999, where nobody is bound";
    UdpNoSocketGroup "udp.drop.no-socket" "RFC 1122 §4.1.3.1" "no socket is bound to the port, and a datagram to a group is never answered with an error"
        "a broadcast to port 137, where nobody is bound";
    DhcpDiscover "dhcp.discover" "RFC 2131 §3.1 (1)" "is there a DHCP server, and which address does it offer?"
        "tapsock daemon --addr dhcp starts";
    DhcpRequest "dhcp.request" "RFC 2131 §3.1 (3)" "the offered address is asked for"
        "a server has offered 192.168.69.42";
    DhcpRenew "dhcp.renew" "RFC 2131 §4.4.5" "half of the lease is over: its server is asked to extend it"
        "a lease of one hour is half an hour old";
    DhcpRebind "dhcp.rebind" "RFC 2131 §4.4.5" "the lease's server does not answer: any server is asked to extend it"
        "seven eighths of the lease are over, and its server is gone";
    DhcpDecline "dhcp.decline" "RFC 2131 §3.1 (5)" "somebody else has the address that the server gave; the server is told"
        "the leased address answers our ARP probe";
    DhcpRelease "dhcp.release" "RFC 2131 §3.1 (6)" "the stack stops and gives its address back"
        "Ctrl-C ends the daemon";
    DhcpOffer "dhcp.offer" "RFC 2131 §4.4.1" "a server offers an address"
        "dnsmasq answers our question";
    DhcpAck "dhcp.ack" "RFC 2131 §4.4.1" "the server gives us the address"
        "dnsmasq gives us what it has offered";
    DhcpNak "dhcp.nak" "RFC 2131 §3.1 (5)" "the server refuses the address; we begin again"
        "the server was moved to another network, and does not want to extend the lease";
    DhcpMalformed "dhcp.drop.malformed" "RFC 2131 §2, RFC 2132" "the DHCP message is truncated, or an option has the wrong length"
        "a DHCP message whose option 51 has 3 bytes";
    DhcpForeign "dhcp.drop.foreign" "RFC 2131 §4.4.1" "the DHCP message answers another client or an older question"
        "the server answers another client by broadcast";
    DhcpUnusable "dhcp.drop.unusable" "RFC 2131 §4.4.1" "the offer lacks its server, or its address, mask or lease time cannot be used"
        "an offer without a server identifier";
    DhcpUnasked "dhcp.drop.unasked" "RFC 2131 §4.4" "a DHCP message that does not answer what was asked last"
        "an offer that comes while we have a lease";
    UdpMemoryLimit "udp.drop.memory-limit" "RFC 768" "the limit on memory is reached: no datagram is kept until programs have read"
        "a flood of datagrams to a program that reads none, with --limit memory=1M";
    UdpBufferFull "udp.drop.buffer-full" "RFC 768" "the socket's receive buffer is full: its program does not read fast enough"
        "a flood of datagrams to a program that reads none";
    EchoMemoryLimit "icmp.drop.memory-limit" "icmp(7)" "the limit on memory is reached: no echo reply is kept until programs have read"
        "the same for echo replies, with --limit memory=1M";
    EchoBufferFull "icmp.drop.buffer-full" "icmp(7)" "the echo socket's receive buffer is full: its program does not read fast enough"
        "a flood of echo replies to a program that reads none";
    RawMemoryLimit "raw.drop.memory-limit" "raw(7)" "the limit on memory is reached: no packet is kept for a raw socket until programs have read"
        "the same for a raw socket, with --limit memory=1M";
    RawBufferFull "raw.drop.buffer-full" "raw(7)" "the raw socket's receive buffer is full: its program does not read fast enough"
        "a raw socket that hears TCP while a megabyte is downloaded, and its program reads nothing";
    // transport: TCP
    TcpMalformed "tcp.drop.malformed" "RFC 9293 §3.1" "the segment is truncated, its data offset is wrong, an option runs past the header or a port is 0"
        "a segment whose data offset says 4 bytes";
    TcpChecksum "tcp.drop.checksum" "RFC 9293 §3.1" "the TCP checksum is wrong: the segment was damaged on the way"
        "nmap --badsum";
    TcpGroup "tcp.drop.group" "RFC 9293 §3.9.2.3" "TCP is between two hosts: a segment to or from a group address is ignored"
        "a SYN to 192.168.69.255";
    TcpFlags "tcp.drop.flags" "RFC 9293 §3.10.7" "a combination of flags that no connection uses"
        "nmap -sX: FIN, PSH and URG to a listener, and nothing else; or SYN with FIN";
    TcpNoAck "tcp.drop.no-ack" "RFC 9293 §3.10.7.4" "after the handshake every segment carries an ACK; this one does not"
        "a segment of an established connection without the ACK flag";
    TcpRstClosedPort "tcp.rst.closed-port" "RFC 9293 §3.10.7.1" "no socket owns the port: RST"
        "curl http://192.168.69.1:81/, where nobody listens";
    TcpRstLimited "tcp.drop.rst-limit" "RFC 9293 §3.10.7.1" "a RST was due, but the limit on errors is reached"
        "nmap -p- --min-rate 100000";
    TcpRstNoSocket "tcp.drop.rst" "RFC 9293 §3.10.7.1" "a RST for a connection that does not exist is ignored"
        "a RST to a port where nobody listens";
    TcpRstListen "tcp.rst.listen-ack" "RFC 9293 §3.10.7.2" "an ACK for a connection that the listener never saw: RST"
        "nmap -sA: an ACK to port 80 out of the blue";
    TcpRstSynReceived "tcp.rst.syn-received" "RFC 9293 §3.10.7.4" "the ACK does not acknowledge our SYN: RST"
        "somebody answers our SYN-ACK with a guessed acknowledgment number";
    TcpListenFlags "tcp.drop.listen" "RFC 9293 §3.10.7.2" "a listener ignores everything but SYN and ACK"
        "nmap -sF: a FIN to port 80";
    TcpSynRetransmit "tcp.syn.duplicate" "RFC 9293 §3.10.7.4" "the SYN came again: the SYN-ACK is sent again"
        "our SYN-ACK was lost, and the peer asks again";
    TcpSynAck "tcp.syn-ack" "RFC 9293 §3.10.7.2" "a listener answers a SYN; no socket exists yet"
        "curl http://192.168.69.1/ begins";
    TcpSynAckTimeout "tcp.syn-ack.retransmit" "RFC 6298 §5" "the SYN-ACK was not acknowledged in time; it is sent again"
        "a SYN flood: nobody acknowledges";
    TcpSynReset "tcp.syn.reset" "RFC 9293 §3.10.7.4" "a RST in SYN-RECEIVED: the listener forgets the request"
        "nmap -sS: it has seen the SYN-ACK, and does not want the connection";
    TcpSynRepeated "tcp.drop.syn-repeated" "RFC 9293 §3.10.7.4" "the SYN has come so often that it is not answered before the SYN-ACK is due again"
        "the same SYN a hundred times in one second";
    TcpSynAckGivenUp "tcp.syn-ack.given-up" "RFC 9293 §3.8.3" "no SYN-ACK was acknowledged: the listener forgets the request"
        "a SYN from an address where nobody is";
    TcpListenerClosed "tcp.rst.listener-closed" "RFC 9293 §3.10.4" "a program closes the listener while the handshake is under way: RST"
        "a program closes its listener between SYN and ACK";
    TcpCookieSent "tcp.syn-cookie.sent" "RFC 4987 §3.6" "too many handshakes are under way: this one is remembered in the sequence number of our SYN-ACK"
        "a SYN flood fills the table of handshakes, and a real client asks";
    TcpCookieAccepted "tcp.syn-cookie.accepted" "RFC 4987 §3.6" "the ACK brings our SYN cookie back: the handshake is complete"
        "the real client acknowledges";
    TcpBacklogFull "tcp.drop.backlog-full" "listen(2)" "the accept queue is full: the SYN is dropped, and the peer will try again"
        "a program listens with backlog 1 and never accepts, and a third client asks";
    TcpAckBacklogFull "tcp.drop.ack-backlog-full" "listen(2)" "the accept queue is full: the handshake is completed when there is room, and the peer will try again"
        "three clients ask at once where backlog 1 has room for two";
    TcpDeferAccept "tcp.drop.defer-accept" "tcp(7)" "the ACK completes the handshake without data, and the listener waits for some: the ACK is forgotten until data comes or the time is over"
        "nc 192.168.69.1 to a listener with TCP_DEFER_ACCEPT, and nothing is typed";
    TcpSocketLimit "tcp.drop.socket-limit" "socket(2)" "the limit on sockets is reached; the peer will try again"
        "--limit sockets=20, and a twenty-first is needed";
    TcpMemoryLimit "tcp.drop.memory-limit" "RFC 9293 §3.8.6" "the limit on memory is reached: no new connection, and no data that would need more; what is sent again may find room"
        "--limit memory=1M, and a hundred peers send to programs that do not read";
    TcpChallengeSequence "tcp.challenge.sequence" "RFC 9293 §3.10.7.4" "the sequence number is far outside the window: answered with our own ACK"
        "a keepalive of a peer that has slept for a day: its number is far behind";
    TcpChallengeReset "tcp.challenge.rst" "RFC 5961 §3.2" "a RST within the window but not at its start may be forged: answered with our own ACK"
        "somebody forges a RST and hits the window, but not its start";
    TcpChallengeSyn "tcp.challenge.syn" "RFC 5961 §4.2" "a SYN on a connection that exists: answered with our own ACK"
        "the peer was restarted and connects again from the same port";
    TcpChallengeAck "tcp.challenge.ack" "RFC 9293 §3.10.7.4" "it acknowledges what we never sent: answered with our own ACK"
        "somebody forges an ACK for bytes that were never sent";
    TcpChallengeLimited "tcp.drop.challenge-limit" "RFC 5961 §7" "an ACK for an unacceptable segment was due, but the limit of this connection, or that of all, is reached"
        "somebody forges a thousand of them in one second";
    TcpOutsideWindow "tcp.drop.outside-window" "RFC 9293 §3.10.7.4" "the payload lies beyond the window that we advertised: answered with our own ACK"
        "a peer that ignores that our window is closed";
    TcpFinInside "tcp.drop.fin-inside" "RFC 9293 §3.10.7.4" "its FIN stands before bytes that have arrived already, and one of the two is false: answered with our own ACK"
        "somebody forges a FIN in the middle of a download of which a segment is missing";
    TcpKeepaliveAnswer "tcp.keepalive.answer" "RFC 9293 §3.8.4" "the peer asks whether we are still there: answered with our own ACK"
        "ssh -o TCPKeepAlive=yes: the peer asks for the byte before the next";
    TcpOldData "tcp.drop.duplicate" "RFC 9293 §3.10.7.4" "all of it had arrived before: answered with our own ACK"
        "our ACK was lost, and the peer has sent its segment again";
    TcpAfterFin "tcp.drop.after-fin" "RFC 9293 §3.10.7.4" "data behind the peer's own FIN: it is ignored, and only the acknowledgment counts"
        "a peer that goes on sending after it has closed";
    TcpOldAck "tcp.challenge.old-ack" "RFC 5961 §5" "it acknowledges less than any segment of this connection would: answered with our own ACK"
        "an ACK of an earlier life of the connection";
    TcpRetransmitFast "tcp.retransmit.fast" "RFC 8985 §6, RFC 5681 §3.2" "the peer has received what was sent later: this was lost"
        "one segment of a download is lost, and the ones behind it arrive";
    TcpRetransmitPathMtu "tcp.retransmit.path-mtu" "RFC 1191 §6.5, RFC 8201 §5.4" "a router could not pass it on, it was too large: it is sent again in smaller segments"
        "a tunnel on the way to the peer carries 1400 bytes";
    TcpRetransmitTimeout "tcp.retransmit.timeout" "RFC 6298 §5" "it was not acknowledged in time: it is sent again"
        "the cable is out for two seconds";
    TcpProbeTail "tcp.probe.tail" "RFC 8985 §7" "the last ACK is late: the last segment is sent again, so that the peer says what it has"
        "the last segment of an answer is lost, and nothing is behind it";
    TcpProbeZeroWindow "tcp.probe.zero-window" "RFC 9293 §3.8.6.1" "the peer's window is closed: one byte asks whether it is still closed"
        "curl --limit-rate 1k: the program on the other side is slow, and its buffer is full";
    TcpUnclassified "tcp.unclassified" "" "a bug: the state machine did something else with the segment than was expected"
        "never, we hope: every test of two stacks looks that it does not, and one provokes it behind our guards";
    TcpKeepalive "tcp.keepalive" "RFC 9293 §3.8.4" "the peer has been silent: a segment that it has long had asks whether it is still there"
        "a program has set SO_KEEPALIVE, and the peer has been silent for two hours";
    TcpPaws "tcp.drop.paws" "RFC 7323 §5.3" "the timestamp is older than the last one: a copy from an earlier turn of the sequence numbers, answered with our own ACK"
        "a segment that was on a slow way for longer than the numbers need to come around";
    TcpTimeWait "tcp.time-wait" "RFC 9293 §3.10.7.4" "the peer's FIN after our own: both directions are done, and copies of old segments have a minute to die out"
        "we have closed first: the HTTP service answers a request with Connection: close";
    TcpTimeWaitAck "tcp.time-wait.ack" "RFC 9293 §3.10.7.4" "a segment of a connection in TIME-WAIT: our ACK of the peer's FIN may have been lost, so it is sent again"
        "our last ACK was lost, and the peer's FIN comes again";
    TcpTimeWaitReset "tcp.time-wait.rst" "RFC 1337 §3" "a RST does not end TIME-WAIT: it may be an old one"
        "the peer sends a RST to a connection in TIME-WAIT";
    TcpRemnantReset "tcp.fin-wait-2.rst" "RFC 9293 §3.10.7.4" "a RST ends a connection that no program holds any more"
        "we have closed and nobody holds the connection; the peer sends a RST instead of its FIN";
    TcpRemnantAck "tcp.closed.ack" "RFC 9293 §3.10.7.4" "an ACK for a connection that no program holds any more tells nothing new"
        "we have closed and nobody holds the connection; the peer acknowledges our FIN once more";
    TcpRstClosed "tcp.rst.closed" "RFC 1122 §4.2.2.13" "data for a connection whose program has closed it: nobody will read it, so the peer is told by a RST"
        "a program has closed while the peer was still uploading";
    TcpJoined "tcp.drop.joined" "" "a segment for a connection of two programs of this stack that are joined: it has no segments"
        "a program with a raw socket writes a segment with the addresses and ports of two joined programs";
    TcpRemnantLimit "tcp.drop.remnant-limit" "RFC 9293 §3.6.1" "too many connections are in TIME-WAIT; this one is forgotten at once"
        "a hundred thousand connections end within a minute";
    TcpPanicked "tcp.panic" "" "a bug: the connection's state machine panicked; this connection alone was ended"
        "never, we hope: tests provoke it by a panic of smoltcp behind our guards";
    TcpSequenceFar "tcp.drop.sequence" "RFC 9293 §3.10.7.4" "a RST far outside the window is ignored"
        "somebody forges a RST with a wild sequence number";
}
