//! Whole lines, as a person reads them, and frames that no person sends.

pub(super) mod frames;
mod logged;

use log::Level;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

use super::frame::Frame;
use super::layers::Layers;
use super::summary::Summary;
use super::*;
use crate::observe::{
    CallKind, Depth, Direction, Event, Fate, Numbers, Observer, Ownership, Protocol, Rule, SocketId, TcpState, Time,
    TimerKind, Trail,
};
use Direction::{In, Out};
use frames::*;

const CONNECTION: SocketId = SocketId { protocol: Protocol::Tcp, number: 3 };
const LISTENER: SocketId = SocketId { protocol: Protocol::Tcp, number: 1 };
const DATAGRAMS: SocketId = SocketId { protocol: Protocol::Udp, number: 2 };
const NUMBERS: Numbers = Numbers { local: 1_000_000, remote: 2_000_000, local_shift: 0, remote_shift: 7 };

fn summary(direction: Direction, bytes: &[u8], fate: Fate) -> String {
    Summary { direction, frame: &Frame::decode(bytes), fate: &fate }.to_string()
}

fn layers(direction: Direction, bytes: &[u8], fate: Fate) -> String {
    Layers { direction, frame: &Frame::decode(bytes), fate: &fate }.to_string()
}

/// The lines of a frame without their indentation.
fn lines(direction: Direction, bytes: &[u8], fate: Fate) -> Vec<String> {
    layers(direction, bytes, fate).lines().map(|line| line.trim_start().to_owned()).collect()
}

fn connection() -> Fate {
    Fate { numbers: Some(NUMBERS), ..Fate::of(Ownership::FourTuple { socket: CONNECTION }) }
}

pub(super) fn syn() -> Vec<u8> {
    let segment = TcpRepr {
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(2_000_000),
        window_len: 64240,
        window_scale: Some(7),
        max_seg_size: Some(1460),
        ..segment((43210, 80))
    };
    tcp((HOST4, US4), &segment)
}

fn accepted() -> Fate {
    let listening = "0.0.0.0:80".parse().unwrap();
    Fate {
        states: Some((TcpState::Listen, TcpState::SynReceived)),
        numbers: Some(Numbers { local: 0, remote_shift: 0, ..NUMBERS }),
        ..Fate::of(Ownership::Listener { socket: CONNECTION, listener: LISTENER, listening })
    }
}

#[test]
fn a_syn_is_one_line_that_names_its_socket_and_the_change_of_state() {
    assert_eq!(
        summary(In, &syn(), accepted()),
        "in  tcp#3 192.168.69.100:43210 > 192.168.69.1:80 [S] seq 0 win 64240 mss 1460 ws 7 · LISTEN ⇒ SYN-RECEIVED"
    );
}

#[test]
fn the_layers_of_a_syn_are_aligned_under_their_level() {
    let expected = "
trace      eth 2e:5a:01:77:03:9c > 02:00:5e:10:00:01  0x0800 IPv4
           ip4 192.168.69.100 > 192.168.69.1 ttl 64 len 48 DF · header checksum 0x2f12, computed 0x2f12: right
           tcp 43210 > 80 · checksum 0x49bf, computed 0x49bf over pseudo-header (src, dst, 0, 6, 28) + 28 bytes: right
               [S] seq 2000000 (the peer's first + 0) · window 64240 · header 28 bytes, options mss 1460 ws 7
           port 80 of TCP belongs to tcp#1, listening on 0.0.0.0:80";
    assert_eq!(format!("\n{:<6} {}", "trace", layers(In, &syn(), accepted())), expected);
}

#[test]
fn a_packet_on_the_loopback_is_marked_and_has_no_ethernet_header() {
    let frame = syn();
    let (packet, fate) = (Frame::decode_local(&frame[14..]), accepted());
    let line = Summary { direction: In, frame: &packet, fate: &fate }.to_string();
    assert!(line.starts_with("in  lo tcp#3 192.168.69.100:43210 > 192.168.69.1:80 [S] seq 0 "), "{line}");
    let text = Layers { direction: In, frame: &packet, fate: &fate }.to_string();
    let lines = lines_of(&text);
    assert_eq!(lines[0], "lo  no Ethernet header on the loopback");
    assert_eq!(lines[1..], lines_of(&layers(In, &frame, fate))[1..], "everything else is the same");
    for broken in [&[][..], &[0x45; 7], &[0x15; 40]] {
        let packet = Frame::decode_local(broken);
        let fate = Fate::nobody(Rule::Ip4Truncated);
        assert!(Summary { direction: In, frame: &packet, fate: &fate }.to_string().contains("cannot be decoded"));
        assert!(Layers { direction: In, frame: &packet, fate: &fate }.to_string().contains("cannot be decoded"));
    }
}

fn lines_of(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_start).collect()
}

#[test]
fn numbers_count_from_the_first_and_windows_are_scaled() {
    let sent = TcpRepr {
        control: TcpControl::Psh,
        seq_number: TcpSeqNumber(2_000_001),
        ack_number: Some(TcpSeqNumber(1_000_001)),
        window_len: 502,
        payload: b"GET / HTTP/1.1\r\nHost: 192.168.69.1\r\n\r\n",
        ..segment((43210, 80))
    };
    let sent = tcp((HOST4, US4), &sent);
    assert_eq!(
        summary(In, &sent, connection()),
        "in  tcp#3 192.168.69.100:43210 > 192.168.69.1:80 [P.] seq 1:39 ack 1 win 64256 len 38"
    );
    let told = lines(In, &sent, connection());
    assert_eq!(
        told[3..],
        [
            "[P.] seq 2000001 (the peer's first + 1) ack 1000001 (our first + 1) · window 502 << 7 = 64256 · header 20 bytes",
            "data 47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a … (38 bytes) · \"GET / HTTP/1.1..\"",
            "both addresses and both ports are those of tcp#3",
        ]
    );

    let answer = TcpRepr {
        control: TcpControl::Fin,
        seq_number: TcpSeqNumber(1_000_001),
        ack_number: Some(TcpSeqNumber(2_000_039)),
        window_len: 65535,
        ..segment((80, 43210))
    };
    let fate = Fate { states: Some((TcpState::CloseWait, TcpState::LastAck)), ..connection() };
    assert_eq!(
        summary(Out, &tcp((US4, HOST4), &answer), fate),
        "out tcp#3 192.168.69.1:80 > 192.168.69.100:43210 [F.] seq 1 ack 39 win 65535 · CLOSE-WAIT ⇒ LAST-ACK"
    );
}

#[test]
fn a_state_that_stays_is_not_said() {
    let fate = Fate { states: Some((TcpState::Established, TcpState::Established)), ..connection() };
    assert!(!summary(In, &syn(), fate).contains('⇒'));
}

#[test]
fn all_options_of_tcp_are_shown_in_their_order() {
    let syn_ack = TcpRepr {
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(1_000_000),
        ack_number: Some(TcpSeqNumber(2_000_001)),
        window_len: 65535,
        window_scale: Some(0),
        max_seg_size: Some(1440),
        sack_permitted: true,
        timestamp: Some(TcpTimestampRepr { tsval: 5, tsecr: 6 }),
        ..segment((80, 43210))
    };
    assert_eq!(
        summary(Out, &tcp((US6, HOST6), &syn_ack), connection()),
        "out tcp#3 [fd69::1]:80 > [fd69::100]:43210 [S.] seq 0 ack 1 win 65535 mss 1440 ws 0 sackOK ts 5 echo 6"
    );
    let sack = TcpRepr {
        ack_number: Some(TcpSeqNumber(1_000_001)),
        seq_number: TcpSeqNumber(2_000_001),
        sack_ranges: [Some((1_001_461, 1_002_921)), Some((1_004_381, 1_005_841)), None],
        window_len: 1,
        ..segment((43210, 80))
    };
    assert_eq!(
        summary(In, &tcp((HOST4, US4), &sack), connection()),
        "in  tcp#3 192.168.69.100:43210 > 192.168.69.1:80 [.] seq 1 ack 1 win 128 sack 1461:2921 4381:5841"
    );
}

#[test]
fn a_segment_for_a_closed_port_says_why_nobody_has_it() {
    let closed = TcpRepr {
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(2_000_000),
        window_len: 512,
        ..segment((4242, 81))
    };
    let closed = tcp((HOST4, US4), &closed);
    let fate = Fate::nobody(Rule::TcpRstClosedPort);
    assert_eq!(
        summary(In, &closed, fate),
        "in  tcp 192.168.69.100:4242 > 192.168.69.1:81 [S] seq 2000000 (absolute) win 512 · \
         answered by the stack itself, tcp.rst.closed-port: no socket owns the port: RST (RFC 9293 §3.10.7.1)"
    );
    let why =
        "port 81 of TCP belongs to nobody: rule tcp.rst.closed-port: no socket owns the port: RST (RFC 9293 §3.10.7.1)";
    assert_eq!(lines(In, &closed, fate).last().unwrap(), why);

    let rst = TcpRepr { control: TcpControl::Rst, ack_number: Some(TcpSeqNumber(2_000_001)), ..segment((81, 4242)) };
    let rst = tcp((US4, HOST4), &rst);
    assert_eq!(lines(Out, &rst, fate).last().unwrap(), why, "our port is the source of what we send");
    assert!(
        summary(Out, &rst, fate).contains("[R.] seq 0 (absolute) ack 2000001 (absolute) win 0 · sent by the stack")
    );
}

#[test]
fn a_dropped_segment_of_a_connection_names_both_the_socket_and_the_rule() {
    let fate = Fate { rule: Some(Rule::TcpNoAck), ..connection() };
    let said = summary(In, &syn(), fate);
    assert!(said.starts_with("in  tcp#3 ") && said.contains(" · dropped, tcp.drop.no-ack: "), "{said}");
    assert_eq!(
        lines(In, &syn(), fate).last().unwrap(),
        "both addresses and both ports are those of tcp#3; dropped: rule tcp.drop.no-ack: \
         after the handshake every segment carries an ACK; this one does not (RFC 9293 §3.10.7.4)"
    );
}

#[test]
fn datagrams_have_a_length_and_a_port_that_somebody_is_bound_to() {
    let bound = "0.0.0.0:7".parse().unwrap();
    let fate = Fate::of(Ownership::Port { socket: DATAGRAMS, bound });
    let hello = udp((HOST4, US4), (5000, 7), b"hello", &ChecksumCapabilities::default());
    assert_eq!(summary(In, &hello, fate), "in  udp#2 192.168.69.100:5000 > 192.168.69.1:7 len 5");
    assert_eq!(
        lines(In, &hello, fate)[2..],
        [
            "udp 5000 > 7 len 13 · checksum 0x9cbc, computed 0x9cbc over pseudo-header (src, dst, 0, 17, 13) + 13 bytes: right",
            "data 68 65 6c 6c 6f · \"hello\"",
            "port 7 of UDP belongs to udp#2, bound to 0.0.0.0:7",
        ]
    );
}

#[test]
fn udp_without_a_checksum_is_allowed_over_ipv4_only() {
    let fate = Fate::nobody(Rule::UdpNoChecksum);
    let hello = udp((HOST4, US4), (5000, 7), b"hello", &ChecksumCapabilities::ignored());
    assert_eq!(lines(In, &hello, fate)[2], "udp 5000 > 7 len 13 · checksum none carried, as RFC 768 allows over IPv4");
    let hello = udp((HOST6, US6), (5000, 7), b"hello", &ChecksumCapabilities::ignored());
    assert_eq!(
        lines(In, &hello, fate)[2],
        "udp 5000 > 7 len 13 · checksum 0x0000, computed 0xac9e over pseudo-header (src, dst, 13, 17) + 13 bytes: WRONG"
    );
}

#[test]
fn arp_asks_and_answers_in_words() {
    let request = arp(ArpOperation::Request, (HOST, HOST4), US4);
    let fate = Fate::nobody(Rule::ArpAnswered);
    assert_eq!(
        summary(In, &request, fate),
        "in  arp who has 192.168.69.1? tell 192.168.69.100 · \
         answered by the stack itself, arp.answer: somebody asked who has our address; we answered (RFC 826)"
    );
    assert_eq!(
        lines(In, &request, fate),
        [
            "eth 2e:5a:01:77:03:9c > ff:ff:ff:ff:ff:ff  0x0806 ARP",
            "arp who has 192.168.69.1? tell 192.168.69.100",
            "hardware 1, protocol 0x0800, lengths 6 and 4, operation 1 (request) · \
             sender 2e:5a:01:77:03:9c 192.168.69.100 · target 00:00:00:00:00:00 192.168.69.1",
            "ARP carries no checksum",
            "answered by the stack itself: rule arp.answer: somebody asked who has our address; we answered (RFC 826)",
        ]
    );
    let said = summary(Out, &arp(ArpOperation::Reply, (US, US4), HOST4), fate);
    assert!(said.starts_with("out arp 192.168.69.1 is at 02:00:5e:10:00:01 · sent by the stack itself, "), "{said}");
    let probe = summary(Out, &arp(ArpOperation::Request, (US, Ipv4Address::UNSPECIFIED), US4), fate);
    assert!(probe.starts_with("out arp who has 192.168.69.1? (a probe of 02:00:5e:10:00:01)"), "{probe}");
    let announcement = summary(Out, &arp(ArpOperation::Request, (US, US4), US4), fate);
    assert!(announcement.starts_with("out arp 192.168.69.1 is at 02:00:5e:10:00:01 (announced)"), "{announcement}");
}

#[test]
fn a_router_says_what_it_offers_in_words() {
    let all_nodes = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let seconds = smoltcp::time::Duration::from_secs;
    let prefix = NdiscPrefixInformation {
        prefix_len: 64,
        flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
        valid_lifetime: seconds(3600),
        preferred_lifetime: seconds(1800),
        prefix: Ipv6Address::new(0xfd69, 0, 0, 0, 0, 0, 0, 0),
    };
    let said = NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        router_lifetime: seconds(1800),
        reachable_time: seconds(0),
        retrans_time: seconds(0),
        lladdr: None,
        mtu: Some(1400),
        prefix_info: Some(prefix),
    };
    let frame = icmp6((HOST6, all_nodes), 255, &Icmpv6Repr::Ndisc(said));
    let told = summary(In, &frame, Fate::nobody(Rule::NdpRouter));
    assert!(told.contains("router advertisement: a default router for 1800 s"), "{told}");
    assert!(told.contains(", mtu 1400"), "{told}");
    assert!(told.contains(", prefix fd69::/64 on-link autonomous valid 3600 s preferred 1800 s"), "{told}");
}

#[test]
fn neighbour_discovery_asks_and_answers_in_words() {
    let group = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
    let solicit = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: US6, lladdr: Some(HOST.into()) });
    let solicit = icmp6((HOST6, group), 255, &solicit);
    let fate = Fate::nobody(Rule::NdpAnswered);
    let said = summary(In, &solicit, fate);
    let what = "icmp6 fd69::100 > ff02::1:ff00:1 neighbour solicitation: who has fd69::1? tell 2e:5a:01:77:03:9c";
    assert!(said.starts_with(&format!("in  {what} · answered by the stack itself, ndp.answer: ")), "{said}");
    let told = lines(In, &solicit, fate);
    assert_eq!(
        told[1..3],
        [
            "ip6 fd69::100 > ff02::1:ff00:1 hop limit 255 payload 32 · IPv6 has no header checksum",
            "icmp6 neighbour solicitation: who has fd69::1? tell 2e:5a:01:77:03:9c · checksum 0x4a5c, computed 0x4a5c \
             over pseudo-header (src, dst, 32, 58) + 32 bytes: right",
        ]
    );
    let advertise = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: US6,
        lladdr: Some(US.into()),
    };
    let said = summary(Out, &icmp6((US6, HOST6), 255, &Icmpv6Repr::Ndisc(advertise)), fate);
    let what = "neighbour advertisement: fd69::1 is at 02:00:5e:10:00:01 solicited override";
    assert!(said.starts_with(&format!("out icmp6 fd69::1 > fd69::100 {what} · sent by the stack itself")), "{said}");
}

#[test]
fn a_ping_has_an_identifier_a_number_and_a_length() {
    let fate = Fate::nobody(Rule::IcmpEcho);
    let request = Icmpv4Repr::EchoRequest { ident: 7, seq_no: 1, data: &[0; 56] };
    let request = icmp4((HOST4, US4), &request);
    assert_eq!(
        summary(In, &request, fate),
        "in  icmp 192.168.69.100 > 192.168.69.1 echo request id 7 seq 1 len 56 · answered by the stack itself, \
         icmp.answer.echo: somebody pings us; we send the same data back (RFC 1122 §3.2.2.6, RFC 4443 §4.2)"
    );
    assert_eq!(
        lines(In, &request, fate)[2],
        "icmp echo request id 7 seq 1 len 56 · checksum 0xf7f7, computed 0xf7f7 over 64 bytes: right"
    );
    let reply = Icmpv6Repr::EchoReply { ident: 7, seq_no: 1, data: &[0; 56] };
    let said = summary(Out, &icmp6((US6, HOST6), 64, &reply), fate);
    assert!(
        said.starts_with("out icmp6 fd69::1 > fd69::100 echo reply id 7 seq 1 len 56 · sent by the stack"),
        "{said}"
    );
}

#[test]
fn an_icmp_error_names_the_packet_it_quotes_and_the_socket_it_is_for() {
    let header =
        Ipv4Repr { src_addr: US4, dst_addr: HOST4, next_header: IpProtocol::Udp, payload_len: 8, hop_limit: 64 };
    // No more than the eight bytes that RFC 792 asks for.
    let error = Icmpv4Repr::DstUnreachable {
        reason: Icmpv4DstUnreachable::PortUnreachable,
        header,
        data: &[0x13, 0x88, 0, 53, 0, 8, 0, 0],
    };
    let bound = "0.0.0.0:5000".parse().unwrap();
    let fate = Fate { rule: Some(Rule::IcmpErrorDelivered), ..Fate::of(Ownership::Port { socket: DATAGRAMS, bound }) };
    assert_eq!(
        summary(In, &icmp4((HOST4, US4), &error), fate),
        "in  udp#2 icmp 192.168.69.100 > 192.168.69.1 port unreachable (3/3), \
         quoting udp 192.168.69.1:5000 > 192.168.69.100:53 · \
         icmp.error: an ICMP error for one of our sockets (RFC 1122 §3.2.2, §4.2.3.9)"
    );
}

#[test]
fn a_fragment_says_which_part_it_is() {
    let mut bytes = udp((HOST4, US4), (5000, 7), &[0; 16], &ChecksumCapabilities::default());
    bytes[14 + 4..14 + 8].copy_from_slice(&[0x12, 0x34, 0x20, 3]); // more fragments, offset 24
    let fate = Fate::nobody(Rule::Ip4FragmentWaits);
    let said = summary(In, &bytes, fate);
    assert!(
        said.starts_with(
            "in  udp 192.168.69.100 > 192.168.69.1 fragment id 0x1234 bytes 24..48, more follow · \
             taken by the stack itself, ip4.fragment.waits: "
        ),
        "{said}"
    );
    assert_eq!(
        lines(In, &bytes, fate)[2],
        "udp fragment id 0x1234 bytes 24..48, more follow: its checksum can be verified when all are together"
    );
}

#[test]
fn what_cannot_be_decoded_is_shown_as_bytes() {
    let fate = Fate::nobody(Rule::EthTruncated);
    let said = "cannot be decoded: the Ethernet header needs 14 bytes, 3 are there: 02 00 5e";
    assert!(summary(In, &[2, 0, 0x5e], fate).starts_with(&format!("in  eth {said} · dropped, eth.drop.truncated")));
    assert_eq!(lines(In, &[2, 0, 0x5e], fate)[0], format!("eth {said}"));

    let short = &syn()[..14 + 20 + 5];
    assert!(summary(In, short, Fate::nobody(Rule::Ip4Truncated)).starts_with(
        "in  tcp 192.168.69.100:43210 > 192.168.69.1:80 cannot be decoded: \
             the TCP header needs 20 bytes, 5 are there: a8 ca 00 50 00 · dropped, "
    ));
    let told = lines(In, short, Fate::nobody(Rule::Ip4Truncated));
    assert!(told[1].contains(" len 48 DF but only 25 are there · "), "{}", told[1]);
    assert!(told[2].starts_with("cannot be decoded: "), "{}", told[2]);

    let other = bytes_of_type(0x88cc, &[2, 7, 4]);
    assert!(
        summary(In, &other, Fate::nobody(Rule::EthType))
            .starts_with("in  eth 2e:5a:01:77:03:9c > 02:00:5e:10:00:01 0x88cc len 17 · dropped, eth.drop.ethertype: ")
    );
}

#[test]
fn a_damaged_checksum_is_called_wrong_with_the_value_it_should_have() {
    // Where the checksum of each stands, counted from the start of the frame.
    let fields = [
        ("syn", 14 + 10),
        ("syn", 14 + 20 + 16),
        ("syn6", 14 + 40 + 16),
        ("data", 14 + 20 + 16),
        ("udp", 14 + 20 + 6),
        ("udp6", 14 + 40 + 6),
        ("echo", 14 + 20 + 2),
        ("echo6", 14 + 40 + 2),
        ("unreachable", 14 + 20 + 2),
        ("solicit", 14 + 40 + 2),
        ("advertise", 14 + 40 + 2),
    ];
    let known = of_every_kind();
    let fate = Fate::nobody(Rule::TcpChecksum);
    for (name, field) in fields {
        let (_, bytes) = known.iter().find(|(known, _)| *known == name).unwrap();
        let right = u16::from_be_bytes([bytes[field], bytes[field + 1]]);
        let told = layers(In, bytes, fate);
        assert!(told.contains(&format!("checksum {right:#06x}, computed {right:#06x}")), "{name}: {told}");
        assert!(told.contains(": right") && !told.contains("WRONG"), "{name}: {told}");

        let mut damaged = bytes.clone();
        damaged[field] ^= 0x40;
        let wrong = right ^ 0x4000;
        let told = layers(In, &damaged, fate);
        let line = told.lines().find(|line| line.ends_with(": WRONG")).unwrap_or_else(|| panic!("{name}: {told}"));
        assert!(line.contains(&format!("checksum {wrong:#06x}, computed {right:#06x}")), "{name}: {line}");
    }
}

#[test]
fn truncated_and_damaged_frames_never_panic() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let fates = [connection(), accepted(), Fate::nobody(Rule::TcpRstClosedPort), Fate::nobody(Rule::UdpNoSocket)];
    let look = |bytes: &[u8], which: u64| {
        let fate = fates[which as usize % fates.len()];
        let direction = if which & 4 == 0 { In } else { Out };
        let line = summary(direction, bytes, fate);
        assert!(!line.contains('\n') && line.starts_with(&format!("{direction:<3} ")), "{line}");
        assert!(layers(direction, bytes, fate).starts_with("    eth "));
    };
    for (_, bytes) in of_every_kind() {
        for length in 0..bytes.len() {
            look(&bytes[..length], length as u64);
        }
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            for _ in 0..=next() % 4 {
                let at = next() as usize % damaged.len();
                damaged[at] = next() as u8;
            }
            damaged.truncate(next() as usize % (2 * damaged.len()));
            look(&damaged, next());
        }
    }
    for _ in 0..5000 {
        let length = next() as usize % 128;
        let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        if let Some(ethertype) = bytes.get_mut(12..14) {
            let kinds = [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00], [0x88, 0xe5]];
            ethertype.copy_from_slice(&kinds[next() as usize % kinds.len()]);
        }
        // A plausible first byte of IP lets the rest of the noise reach the layers above.
        if let Some(version) = bytes.get_mut(14) {
            *version = if next() & 1 == 0 { 0x45 } else { 0x60 };
        }
        look(&bytes, next());
    }
}

#[test]
fn the_depth_follows_from_what_would_be_written() {
    let with =
        |target: &'static str, level: Level| text::depth(move |asked, at| asked.starts_with(target) && at <= level);
    assert_eq!(with("tapsock", Level::Trace), Depth::Bytes);
    assert_eq!(with("tapsock", Level::Debug), Depth::Frame);
    assert_eq!(with("tapsock", Level::Info), Depth::Life);
    assert_eq!(with("tapsock", Level::Error), Depth::Nothing);
    assert_eq!(with("tapsock::layers", Level::Trace), Depth::Bytes);
    assert_eq!(with("tapsock::packet", Level::Trace), Depth::Frame);
    assert_eq!(with("tapsock::segment", Level::Trace), Depth::Segment);
    assert_eq!(with("tapsock::call", Level::Debug), Depth::Call);
    assert_eq!(with("tapsock::neighbour", Level::Debug), Depth::Life);
    assert_eq!(with("smoltcp", Level::Trace), Depth::Nothing);
}
