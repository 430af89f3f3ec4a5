//! The table of reasons.

use std::fmt;

macro_rules! rules {
    ($($variant:ident $name:literal $source:literal $text:literal;)*) => {
        /// Why a frame was dropped, answered without a socket, or sent without a socket asking for it. One row of one
        /// table: its name, a sentence, and the text it follows.
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

            /// The RFC section or the text that demands or allows it.
            pub const fn source(self) -> &'static str {
                match self { $(Rule::$variant => $source,)* }
            }

            /// The row of this name.
            pub fn named(name: &str) -> Option<Rule> {
                Rule::ALL.iter().copied().find(|rule| rule.name() == name)
            }
        }
    };
}

rules! {
    // loopback
    LoopbackFull "lo.drop.full" "Linux: net.core.netdev_max_backlog" "more packets are on the loopback than it may hold: this one is lost, as on any full queue";
    LoopbackNeighbour "lo.drop.neighbour" "RFC 4861 §3" "a neighbour message on the loopback, where nobody has a link address";
    // link
    EthTruncated "eth.drop.truncated" "IEEE 802.3" "the frame is shorter than an Ethernet header";
    EthForeign "eth.drop.foreign" "RFC 1122 §2" "the frame is for another station's Ethernet address";
    DeviceFull "device.drop.full" "" "the device takes no more frames, and too many wait for it: those are lost";
    EthSource "eth.drop.source" "IEEE 802.3" "the frame claims to come from a group address";
    EthOwn "eth.drop.own" "IEEE 802.3" "the frame carries our own source address: it came back";
    EthType "eth.drop.ethertype" "RFC 1122 §2.3.1" "the frame carries a protocol that is not ARP, IPv4 or IPv6";
    ArpMalformed "arp.drop.malformed" "RFC 826" "the ARP packet is truncated or not for Ethernet and IPv4";
    ArpForeign "arp.drop.foreign" "RFC 826" "the ARP packet asks for an address that is not ours, or answers somebody else";
    ArpUnasked "arp.drop.unasked" "RFC 826" "an ARP reply that nobody asked for changes nothing";
    ArpSource "arp.drop.source" "RFC 826, RFC 5227 §1.1" "the ARP packet's sender address cannot be a host's";
    ArpAnswered "arp.answer" "RFC 826" "somebody asked who has our address; we answered";
    ArpLearned "arp.learned" "RFC 826" "the neighbour's Ethernet address was learned from its answer";
    ArpConflict "arp.conflict" "RFC 5227 §2.4" "another station uses our address";
    ArpRequest "arp.request" "RFC 826" "a packet waits for this neighbour: who has its address?";
    ArpPoll "arp.poll" "RFC 1122 §2.3.2.1" "the neighbour has been silent: is it still there?";
    ArpProbe "arp.probe" "RFC 5227 §2.1.1" "before we use an address we ask whether somebody has it";
    ArpAnnounce "arp.announce" "RFC 5227 §2.3" "the address is ours now; neighbours may forget who had it before";
    NdpHopLimit "ndp.drop.hop-limit" "RFC 4861 §6.1, §7.1" "a neighbour message whose hop limit is not 255 has crossed a router";
    NdpMalformed "ndp.drop.malformed" "RFC 4861 §7.1" "the neighbour message breaks a validity rule";
    NdpForeign "ndp.drop.foreign" "RFC 4861 §7.2.3" "the neighbour solicitation asks for an address that is not ours";
    NdpUnasked "ndp.drop.unasked" "RFC 4861 §7.2.5" "a neighbour advertisement of an address we never asked for changes nothing";
    NdpUnused "ndp.drop.unused" "RFC 4861 §6.2.6, §6.3.4" "router solicitations are for routers, and advertisements for hosts that were told to use them (--addr slaac)";
    NdpRedirect "ndp.drop.redirect" "RFC 4861 §8.3" "redirects are ignored: any station could send our packets astray by one";
    NdpRouterSource "ndp.drop.router-source" "RFC 4861 §6.1.2" "a router advertisement that does not come from a link-local address has no router behind it";
    NdpRouter "ndp.router" "RFC 4861 §6.3.4" "a router told us about itself and its prefixes";
    NdpLearnLimit "ndp.drop.learn-limit" "RFC 4861 §6.3.4, RFC 6104" "more routers, prefixes or addresses are advertised than we want to know; the newest are ignored";
    NdpRouterSolicit "ndp.router-solicit" "RFC 4861 §6.3.7" "is there a router, and which prefixes does it advertise?";
    NdpAnswered "ndp.answer" "RFC 4861 §7.2.4" "somebody asked for our address; we advertised it";
    NdpLearned "ndp.learned" "RFC 4861 §7.2.5" "the neighbour's Ethernet address was learned";
    NdpDuplicate "ndp.duplicate" "RFC 4862 §5.4" "another station has or wants our tentative address";
    NdpConflict "ndp.conflict" "RFC 4861 §7.2.5, RFC 4862 §5.4.4" "another station uses our address";
    NdpSolicit "ndp.solicit" "RFC 4861 §7.2.2" "a packet waits for this neighbour: what is its Ethernet address?";
    NdpProbe "ndp.probe" "RFC 4861 §7.3.3" "the neighbour has been silent: is it still there?";
    NdpDad "ndp.dad" "RFC 4862 §5.4.2" "before we use an address we ask whether somebody has it";
    NdpAdvertise "ndp.advertise" "RFC 4861 §7.2.6" "the address is ours now; neighbours may forget who had it before";
    NeighbourFailed "neighbour.failed" "RFC 4861 §7.2.2" "the neighbour did not answer; packets for it cannot be sent";
    NeighbourQueueFull "neighbour.drop.queue-full" "RFC 4861 §7.2.2" "too many packets wait for this neighbour, or for all together; this one is dropped";
    NeighbourTableFull "neighbour.drop.table-full" "RFC 4861 §7.2.2" "too many neighbours are being asked for; this packet is dropped";
    NeighbourNoSource "neighbour.drop.no-source" "RFC 4861 §7.2.2" "we have no address of this family yet that a neighbour could answer to";
    // ip
    Ip4Truncated "ip4.drop.truncated" "RFC 791 §3.1" "the packet is shorter than its header or its total length says";
    Ip4Version "ip4.drop.version" "RFC 1122 §3.2.1.1" "the version field does not say 4";
    Ip4HeaderLength "ip4.drop.header-length" "RFC 791 §3.1" "the header length is below 20 bytes or beyond the packet";
    Ip4HeaderChecksum "ip4.drop.header-checksum" "RFC 1122 §3.2.1.2" "the header checksum is wrong: a field was damaged on the way";
    Ip4Source "ip4.drop.source" "RFC 1122 §3.2.1.3" "the source address cannot be another host's: multicast, broadcast, loopback, zero or our own";
    Ip4Options "ip4.drop.options" "RFC 791 §3.1" "an option's length runs past the header";
    Ip4SourceRoute "ip4.drop.source-route" "RFC 1122 §3.3.5" "a source route asks us to pass the packet on, and a host does not forward";
    Ip4FragmentWaits "ip4.fragment.waits" "RFC 791 §3.2" "a fragment: it waits for the rest of its datagram";
    Ip4FragmentDuplicate "ip4.drop.fragment-duplicate" "RFC 791 §3.2" "a fragment that brings nothing new: it came before";
    Ip4FragmentConflict "ip4.drop.fragment-conflict" "RFC 1858 §4" "a fragment contradicts an earlier one, in its bytes or about the end: the whole datagram is dropped";
    Ip4FragmentMalformed "ip4.drop.fragment-malformed" "RFC 791 §3.1" "a fragment that is empty, or not the last and no multiple of 8 bytes long";
    Ip4FragmentTooLarge "ip4.drop.fragment-too-large" "RFC 791 §3.1" "a fragment that reaches beyond the 65 535 bytes that a datagram can have";
    Ip6Truncated "ip6.drop.truncated" "RFC 8200 §3" "the packet is shorter than its header or its payload length says";
    Ip6Version "ip6.drop.version" "RFC 8200 §3" "the version field does not say 6";
    Ip6Source "ip6.drop.source" "RFC 4291 §2.5, §2.7" "the source address cannot be another host's: multicast, loopback or our own";
    Ip6Extension "ip6.drop.extension" "RFC 8200 §4" "an extension header is truncated, or one option demands that the packet be dropped";
    Ip6FragmentWaits "ip6.fragment.waits" "RFC 8200 §4.5" "a fragment: it waits for the rest of its datagram";
    Ip6FragmentDuplicate "ip6.drop.fragment-duplicate" "RFC 8200 §4.5" "a fragment that came before, exactly the same";
    Ip6FragmentOverlap "ip6.drop.fragment-overlap" "RFC 5722 §4, RFC 8200 §4.5" "fragments of this datagram overlap or contradict each other: all of it is dropped, this one too";
    Ip6FragmentMalformed "ip6.drop.fragment-malformed" "RFC 8200 §4.5" "an empty fragment";
    Ip6FragmentUnaligned "ip6.answer.fragment-unaligned" "RFC 8200 §4.5" "a fragment that is not the last and no multiple of 8 bytes long: Parameter Problem";
    Ip6FragmentTooLarge "ip6.answer.fragment-too-large" "RFC 8200 §4.5" "a fragment that reaches beyond the 65 535 bytes that a payload can have: Parameter Problem";
    Ip6FragmentHeaders "ip6.answer.fragment-headers" "RFC 8200 §4.5, RFC 7112 §5" "a first fragment without all headers up to that of the transport: Parameter Problem";
    Ip6FragmentNeighbour "ip6.drop.fragment-neighbour" "RFC 6980 §5" "a neighbour message must not come in fragments";
    Ip6NextHeader "ip6.answer.next-header" "RFC 8200 §4, RFC 4443 §3.4" "the next header is one we do not know: Parameter Problem";
    Ip6NoNextHeader "ip6.drop.no-next-header" "RFC 8200 §4.7" "the packet ends with its headers: there is nothing to deliver";
    Ip6Option "ip6.answer.option" "RFC 8200 §4.2, RFC 4443 §3.4" "an option that we do not know demands an answer: Parameter Problem";
    Ip6Routing "ip6.answer.routing" "RFC 5095 §3, RFC 8200 §4.4" "a routing header asks us to pass the packet on, and a host does not forward: Parameter Problem";
    IpLoopback "ip.drop.loopback" "RFC 1122 §3.2.1.3 (g), RFC 4291 §2.5.3" "a packet from or to a loopback address must not be on the link: those never leave their host";
    IpForeign "ip.drop.foreign" "RFC 1122 §3.2.1.3" "the destination is not one of our addresses, and a host does not forward";
    IpTentative "ip.drop.tentative" "RFC 4862 §5.4" "the destination is our address, but not before we know that nobody else has it";
    IpUnknownProtocol "ip.answer.protocol-unreachable" "RFC 1122 §3.2.2.1" "nobody here speaks this protocol: Protocol Unreachable";
    IpTooLarge "ip.drop.too-large" "RFC 791 §3.2, RFC 8200 §4.5" "the packet is larger than the way can carry and must not be fragmented, or larger than IP can say";
    IpReassemblyTimeout "ip.drop.reassembly-timeout" "RFC 1122 §3.3.2, RFC 8200 §4.5" "fragments are missing for too long, the first among them: the datagram is given up in silence";
    IpReassemblyExceeded "ip.answer.reassembly-timeout" "RFC 1122 §3.3.2, RFC 8200 §4.5" "fragments are missing for too long: the datagram is given up, and its sender is told by Time Exceeded";
    IpReassemblyFull "ip.drop.reassembly-full" "RFC 1122 §3.3.2" "the memory for incomplete datagrams is full: the oldest of them makes room for a new one";
    IpReassemblyShare "ip.drop.reassembly-share" "RFC 1122 §3.3.2" "one source has its share of the memory for incomplete datagrams: the oldest of its own makes room";
    IpNoRoute "ip.drop.no-route" "RFC 1122 §3.3.1" "no route leads to the destination";
    IcmpMalformed "icmp.drop.malformed" "RFC 792, RFC 4443" "the ICMP message is truncated";
    IcmpChecksum "icmp.drop.checksum" "RFC 1122 §3.2.2, RFC 4443 §2.3" "the ICMP checksum is wrong: the message was damaged on the way";
    IcmpType "icmp.drop.type" "RFC 1122 §3.2.2" "an ICMP message of a type that a host ignores";
    IcmpEcho "icmp.answer.echo" "RFC 1122 §3.2.2.6, RFC 4443 §4.2" "somebody pings us; we send the same data back";
    IcmpEchoGroup "icmp.drop.echo-group" "RFC 1122 §3.2.2.6" "a ping to a broadcast or IPv4 multicast address is not answered";
    IcmpEchoReply "icmp.drop.echo-reply" "RFC 1122 §3.2.2.6" "an echo reply that no socket waits for";
    IcmpErrorLimited "icmp.drop.error-limit" "RFC 1812 §4.3.2.8, RFC 4443 §2.4" "an error was due, but the limit on errors is reached";
    IcmpErrorForbidden "icmp.drop.error-forbidden" "RFC 1122 §3.2.2, RFC 4443 §2.4" "no error may be sent about an error, a group address or a fragment";
    IcmpErrorUnmatched "icmp.drop.error-unmatched" "RFC 5927 §4.1" "an ICMP error that quotes no socket of ours, or nothing that the socket can have sent";
    IcmpErrorSequence "icmp.drop.error-sequence" "RFC 5927 §4.1" "an ICMP error that quotes a sequence number of no segment on its way: forged or late";
    PathMtuLowered "icmp.path-mtu" "RFC 1191 §6, RFC 8201 §4" "a link on the way carries less: segments to this host become smaller";
    IcmpErrorDelivered "icmp.error" "RFC 1122 §3.2.2, §4.2.3.9" "an ICMP error for one of our sockets";
    IgmpMalformed "igmp.drop.malformed" "RFC 3376 §4.1, §7.1" "the IGMP message is truncated, or its length is that of no version";
    IgmpChecksum "igmp.drop.checksum" "RFC 3376 §4.1.2" "the IGMP checksum is wrong: the message was damaged on the way";
    IgmpType "igmp.drop.type" "RFC 3376 §4" "an IGMP message that is for routers, or of an unknown type";
    IgmpInvalid "igmp.drop.invalid" "RFC 3376 §9.1" "an IGMP message with the wrong TTL, without Router Alert or to the wrong group may come from beyond the link";
    IgmpQuery "igmp.query" "RFC 3376 §5.2" "a router asks which groups we are in; the answer follows after a random delay";
    IgmpHeard "igmp.heard" "RFC 2236 §3" "another host reports a group: with an old querier, ours need not be reported too";
    IgmpReport "igmp.report" "RFC 3376 §5.1, §5.2" "these are the groups that we are in, have joined or have left";
    IgmpLeave "igmp.leave" "RFC 2236 §3" "we have left the group, and were the last to report it";
    MldMalformed "mld.drop.malformed" "RFC 3810 §5.1, §8.1" "the MLD message is truncated, or its length is that of no version";
    MldType "mld.drop.type" "RFC 3810 §5" "an MLD message that is for routers";
    MldInvalid "mld.drop.invalid" "RFC 3810 §6.2" "an MLD message that is not from a link-local address, or without hop limit 1 or Router Alert, may come from beyond the link";
    MldQuery "mld.query" "RFC 3810 §6.2" "a router asks which groups we are in; the answer follows after a random delay";
    MldHeard "mld.heard" "RFC 2710 §4" "another host reports a group: with an old querier, ours need not be reported too";
    MldReport "mld.report" "RFC 3810 §6.1, §6.3" "these are the groups that we are in, have joined or have left";
    MldDone "mld.done" "RFC 2710 §4" "we have left the group, and were the last to report it";
    // transport: UDP
    UdpMalformed "udp.drop.malformed" "RFC 768" "the datagram is truncated or its length field is wrong";
    UdpChecksum "udp.drop.checksum" "RFC 1122 §4.1.3.4" "the UDP checksum is wrong: the datagram was damaged on the way";
    UdpNoChecksum "udp.drop.no-checksum" "RFC 8200 §8.1" "UDP over IPv6 must carry a checksum";
    UdpNoSocket "udp.answer.port-unreachable" "RFC 1122 §4.1.3.1" "no socket is bound to the port: Port Unreachable";
    UdpNoSocketGroup "udp.drop.no-socket" "RFC 1122 §4.1.3.1" "no socket is bound to the port, and a datagram to a group is never answered with an error";
    DhcpDiscover "dhcp.discover" "RFC 2131 §3.1 (1)" "is there a DHCP server, and which address does it offer?";
    DhcpRequest "dhcp.request" "RFC 2131 §3.1 (3)" "the offered address is asked for";
    DhcpRenew "dhcp.renew" "RFC 2131 §4.4.5" "half of the lease is over: its server is asked to extend it";
    DhcpRebind "dhcp.rebind" "RFC 2131 §4.4.5" "the lease's server does not answer: any server is asked to extend it";
    DhcpDecline "dhcp.decline" "RFC 2131 §3.1 (5)" "somebody else has the address that the server gave; the server is told";
    DhcpRelease "dhcp.release" "RFC 2131 §3.1 (6)" "the stack stops and gives its address back";
    DhcpOffer "dhcp.offer" "RFC 2131 §4.4.1" "a server offers an address";
    DhcpAck "dhcp.ack" "RFC 2131 §4.4.1" "the server gives us the address";
    DhcpNak "dhcp.nak" "RFC 2131 §3.1 (5)" "the server refuses the address; we begin again";
    DhcpMalformed "dhcp.drop.malformed" "RFC 2131 §2, RFC 2132" "the DHCP message is truncated, or an option has the wrong length";
    DhcpForeign "dhcp.drop.foreign" "RFC 2131 §4.4.1" "the DHCP message answers another client or an older question";
    DhcpUnusable "dhcp.drop.unusable" "RFC 2131 §4.4.1" "the offer lacks its server, or its address, mask or lease time cannot be used";
    DhcpUnasked "dhcp.drop.unasked" "RFC 2131 §4.4" "a DHCP message that does not answer what was asked last";
    UdpMemoryLimit "udp.drop.memory-limit" "RFC 768" "the limit on memory is reached: no datagram is kept until programs have read";
    UdpBufferFull "udp.drop.buffer-full" "RFC 768" "the socket's receive buffer is full: its program does not read fast enough";
    EchoMemoryLimit "icmp.drop.memory-limit" "icmp(7)" "the limit on memory is reached: no echo reply is kept until programs have read";
    EchoBufferFull "icmp.drop.buffer-full" "icmp(7)" "the echo socket's receive buffer is full: its program does not read fast enough";
    RawMemoryLimit "raw.drop.memory-limit" "raw(7)" "the limit on memory is reached: no packet is kept for a raw socket until programs have read";
    RawBufferFull "raw.drop.buffer-full" "raw(7)" "the raw socket's receive buffer is full: its program does not read fast enough";
    // transport: TCP
    TcpMalformed "tcp.drop.malformed" "RFC 9293 §3.1" "the segment is truncated, its data offset is wrong, an option runs past the header or a port is 0";
    TcpChecksum "tcp.drop.checksum" "RFC 9293 §3.1" "the TCP checksum is wrong: the segment was damaged on the way";
    TcpGroup "tcp.drop.group" "RFC 9293 §3.9.2.3" "TCP is between two hosts: a segment to or from a group address is ignored";
    TcpFlags "tcp.drop.flags" "RFC 9293 §3.10.7" "a combination of flags that no connection uses";
    TcpNoAck "tcp.drop.no-ack" "RFC 9293 §3.10.7.4" "after the handshake every segment carries an ACK; this one does not";
    TcpRstClosedPort "tcp.rst.closed-port" "RFC 9293 §3.10.7.1" "no socket owns the port: RST";
    TcpRstLimited "tcp.drop.rst-limit" "RFC 9293 §3.10.7.1" "a RST was due, but the limit on errors is reached";
    TcpRstNoSocket "tcp.drop.rst" "RFC 9293 §3.10.7.1" "a RST for a connection that does not exist is ignored";
    TcpRstListen "tcp.rst.listen-ack" "RFC 9293 §3.10.7.2" "an ACK for a connection that the listener never saw: RST";
    TcpRstSynReceived "tcp.rst.syn-received" "RFC 9293 §3.10.7.4" "the ACK does not acknowledge our SYN: RST";
    TcpListenFlags "tcp.drop.listen" "RFC 9293 §3.10.7.2" "a listener ignores everything but SYN and ACK";
    TcpSynRetransmit "tcp.syn.duplicate" "RFC 9293 §3.10.7.4" "the SYN came again: the SYN-ACK is sent again";
    TcpSynAck "tcp.syn-ack" "RFC 9293 §3.10.7.2" "a listener answers a SYN; no socket exists yet";
    TcpSynAckTimeout "tcp.syn-ack.retransmit" "RFC 6298 §5" "the SYN-ACK was not acknowledged in time; it is sent again";
    TcpSynReset "tcp.syn.reset" "RFC 9293 §3.10.7.4" "a RST in SYN-RECEIVED: the listener forgets the request";
    TcpSynRepeated "tcp.drop.syn-repeated" "RFC 9293 §3.10.7.4" "the SYN has come so often that it is not answered before the SYN-ACK is due again";
    TcpSynAckGivenUp "tcp.syn-ack.given-up" "RFC 9293 §3.8.3" "no SYN-ACK was acknowledged: the listener forgets the request";
    TcpListenerClosed "tcp.rst.listener-closed" "RFC 9293 §3.10.4" "the listener is closed while the handshake is under way: RST";
    TcpCookieSent "tcp.syn-cookie.sent" "RFC 4987 §3.6" "too many handshakes are under way: this one is remembered in the sequence number of our SYN-ACK";
    TcpCookieAccepted "tcp.syn-cookie.accepted" "RFC 4987 §3.6" "the ACK brings our SYN cookie back: the handshake is complete";
    TcpBacklogFull "tcp.drop.backlog-full" "listen(2)" "the accept queue is full: the SYN is dropped, and the peer will try again";
    TcpAckBacklogFull "tcp.drop.ack-backlog-full" "listen(2)" "the accept queue is full: the handshake is completed when there is room, and the peer will try again";
    TcpDeferAccept "tcp.drop.defer-accept" "tcp(7)" "the ACK completes the handshake without data, and the listener waits for some: the ACK is forgotten until data comes or the time is over";
    TcpSocketLimit "tcp.drop.socket-limit" "socket(2)" "the limit on sockets is reached; the peer will try again";
    TcpMemoryLimit "tcp.drop.memory-limit" "RFC 9293 §3.8.6" "the limit on memory is reached: no new connection, and no data that would need more; what is sent again may find room";
    TcpChallengeSequence "tcp.challenge.sequence" "RFC 9293 §3.10.7.4" "the sequence number is far outside the window: answered with our own ACK";
    TcpChallengeReset "tcp.challenge.rst" "RFC 5961 §3.2" "a RST within the window but not at its start may be forged: answered with our own ACK";
    TcpChallengeSyn "tcp.challenge.syn" "RFC 5961 §4.2" "a SYN on a connection that exists: answered with our own ACK";
    TcpChallengeAck "tcp.challenge.ack" "RFC 9293 §3.10.7.4" "it acknowledges what we never sent: answered with our own ACK";
    TcpChallengeLimited "tcp.drop.challenge-limit" "RFC 5961 §7" "an ACK for an unacceptable segment was due, but the limit of this connection, or that of all, is reached";
    TcpOutsideWindow "tcp.drop.outside-window" "RFC 9293 §3.10.7.4" "the payload lies beyond the window that we advertised: answered with our own ACK";
    TcpKeepaliveAnswer "tcp.keepalive.answer" "RFC 9293 §3.8.4" "the peer asks whether we are still there: answered with our own ACK";
    TcpOldData "tcp.drop.duplicate" "RFC 9293 §3.10.7.4" "all of it had arrived before: answered with our own ACK";
    TcpOldAck "tcp.challenge.old-ack" "RFC 5961 §5" "it acknowledges less than any segment of this connection would: answered with our own ACK";
    TcpRetransmitFast "tcp.retransmit.fast" "RFC 8985 §6, RFC 5681 §3.2" "the peer has received what was sent later: this was lost";
    TcpRetransmitTimeout "tcp.retransmit.timeout" "RFC 6298 §5" "it was not acknowledged in time: it is sent again";
    TcpProbeTail "tcp.probe.tail" "RFC 8985 §7" "the last ACK is late: the last segment is sent again, so that the peer says what it has";
    TcpProbeZeroWindow "tcp.probe.zero-window" "RFC 9293 §3.8.6.1" "the peer's window is closed: one byte asks whether it is still closed";
    TcpUnclassified "tcp.unclassified" "" "a bug: the state machine did something else with the segment than was expected";
    TcpKeepalive "tcp.keepalive" "RFC 9293 §3.8.4" "the peer has been silent: a segment that it has long had asks whether it is still there";
    TcpPaws "tcp.drop.paws" "RFC 7323 §5.3" "the timestamp is older than the last one: a copy from an earlier turn of the sequence numbers, answered with our own ACK";
    TcpTimeWait "tcp.time-wait" "RFC 9293 §3.10.7.4" "the peer's FIN after our own: both directions are done, and copies of old segments have a minute to die out";
    TcpTimeWaitAck "tcp.time-wait.ack" "RFC 9293 §3.10.7.4" "a segment of a connection in TIME-WAIT: our ACK of the peer's FIN may have been lost, so it is sent again";
    TcpTimeWaitReset "tcp.time-wait.rst" "RFC 1337 §3" "a RST does not end TIME-WAIT: it may be an old one";
    TcpRemnantReset "tcp.fin-wait-2.rst" "RFC 9293 §3.10.7.4" "a RST ends a connection that no program holds any more";
    TcpRemnantAck "tcp.closed.ack" "RFC 9293 §3.10.7.4" "an ACK for a connection that no program holds any more tells nothing new";
    TcpRstClosed "tcp.rst.closed" "RFC 1122 §4.2.2.13" "data for a connection whose program has closed it: nobody will read it, so the peer is told by a RST";
    TcpJoined "tcp.drop.joined" "" "a segment for a connection of two programs of this stack that are joined: it has no segments";
    TcpRemnantLimit "tcp.drop.remnant-limit" "RFC 9293 §3.6.1" "too many connections are in TIME-WAIT; this one is forgotten at once";
    TcpPanicked "tcp.panic" "" "a bug: the connection's state machine panicked; this connection alone was ended";
    TcpSequenceFar "tcp.drop.sequence" "RFC 9293 §3.10.7.4" "a RST far outside the window is ignored";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_numbers_are_rows() {
        for (row, &rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(rule as usize, row);
            assert!(Rule::ALL[..row].iter().all(|other| other.name() != rule.name()), "{rule}");
        }
    }
}
