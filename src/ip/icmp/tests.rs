use std::net::IpAddr;

use crate::config::Config;
use crate::error::Error;
use crate::ip::fixture::*;
use crate::ip::{ErrorKind, IcmpError, Ip, Told, Verdict};
use crate::observe::{Address, Rule};

// ---- echo ----

#[test]
fn a_ping_comes_back_with_the_same_data_at_any_size() {
    let mut ip = Ip::new(&Config::default(), 65_535, 0);
    for address in [OURS, OURS6] {
        ip.set_address_state(address, Address::Preferred);
    }
    for size in (0..70).chain([1471, 1472, 8000, 65_001]) {
        let body: Vec<u8> = [0x12, 0x34, 0, 7].into_iter().chain((0..size).map(|i| (i * 7) as u8)).collect();
        for (host, ours, header, kinds) in [(HOST, OURS, 20, (8, 0)), (HOST6, OURS6, 40, (128, 129))] {
            let (rule, answer) = answered(&mut ip, &icmp(host, ours, kinds.0, 0, &body));
            assert_eq!(rule, Rule::IcmpEcho);
            assert_eq!((answer[header], answer[header + 1], &answer[header + 4..]), (kinds.1, 0, &body[..]), "WIRE 17");
        }
    }
}

#[test]
fn a_ping_to_all_nodes_is_answered_from_our_own_address() {
    let mut ip = ready();
    let source = |answer: &[u8]| IpAddr::from(<[u8; 16]>::try_from(&answer[8..24]).unwrap());
    let (_, answer) = answered(&mut ip, &icmp(HOST6, addr("ff02::1"), 128, 0, &[0; 4]));
    assert_eq!(source(&answer), OURS6, "WIRE 55");
    let (_, answer) = answered(&mut ip, &icmp(addr("fe80::9"), addr("ff02::1"), 128, 0, &[0; 4]));
    assert_eq!(source(&answer), addr("fe80::5eff:fe10:1"));
    let (_, answer) = answered(&mut ip, &icmp(addr("fe80::9"), OURS6, 128, 0, &[0; 4]));
    assert_eq!(source(&answer), OURS6);
    for destination in ["255.255.255.255", "192.168.69.255", "224.0.0.1"] {
        assert_eq!(dropped(&mut ip, &icmp(HOST, addr(destination), 8, 0, &[0; 4])), Rule::IcmpEchoGroup);
    }
}

#[test]
fn an_echo_keeps_the_class_of_service_but_no_congestion_mark() {
    let mut ip = ready();
    let mut bytes = icmp(HOST, OURS, 8, 0, &[0; 4]);
    bytes[1] = 0xbb;
    repair(&mut bytes);
    assert_eq!(answered(&mut ip, &bytes).1[1], 0xb8);
    let mut bytes = icmp(HOST6, OURS6, 128, 0, &[0; 4]);
    (bytes[0], bytes[1]) = (0x6b, 0xb0);
    assert_eq!(answered(&mut ip, &bytes).1[..2], [0x6b, 0x80]);
}

#[test]
fn icmp_messages_that_mean_nothing_here_are_dropped_by_name() {
    let mut ip = ready();
    for (host, ours, header, reply) in [(HOST, OURS, 20, 0), (HOST6, OURS6, 40, 129)] {
        let request = if reply == 0 { 8 } else { 128 };
        let mut damaged = icmp(host, ours, request, 0, b"12345");
        damaged[header + 8] ^= 1;
        assert_eq!(dropped(&mut ip, &damaged), Rule::IcmpChecksum, "WIRE 18");
        let reply = icmp(host, ours, reply, 0, &[0; 4]);
        assert!(matches!(receive(&mut ip, &reply), (Ok(Verdict::Transport(_)), frames) if frames.is_empty()));
        assert_eq!(dropped(&mut ip, &icmp(host, ours, 99, 0, &[0; 40])), Rule::IcmpType, "WIRE 19");
        assert_eq!(dropped(&mut ip, &icmp(host, ours, request, 0, &[0; 3])), Rule::IcmpMalformed);
    }
    for kind in [4, 5, 13, 15, 17] {
        assert_eq!(dropped(&mut ip, &icmp(HOST, OURS, kind, 0, &[0; 40])), Rule::IcmpType);
    }
}

// ---- neighbour messages ----

#[test]
fn neighbour_messages_are_handed_on_even_while_an_address_is_tentative() {
    for mut ip in [tentative(), ready()] {
        for (source, destination) in
            [("fe80::9", "ff02::1:ff00:1"), ("::", "ff02::1:ff00:1"), ("fd69::1", "ff02::1"), ("fd69::100", "fd69::1")]
        {
            for kind in 133..=137 {
                let bytes = icmp(addr(source), addr(destination), kind, 0, &[0; 20]);
                let (Ok(Verdict::Neighbour(packet)), _) = receive(&mut ip, &bytes) else { panic!("{source} {kind}") };
                assert_eq!((packet.payload[0], packet.payload.len()), (kind, 24), "WIRE 54");
            }
            let mut bytes = icmp(addr(source), addr(destination), 135, 0, &[0; 20]);
            bytes[50] ^= 1;
            assert_eq!(dropped(&mut ip, &bytes), Rule::IcmpChecksum);
        }
    }
}

#[test]
fn a_neighbour_message_in_an_atomic_fragment_is_dropped() {
    let message = icmp(HOST6, OURS6, 135, 0, &[0; 20])[40..].to_vec();
    let bytes = packet(HOST6, OURS6, 44, &[&[58, 0, 0, 0, 1, 2, 3, 4], &message[..]].concat());
    assert_eq!(dropped(&mut ready(), &bytes), Rule::Ip6FragmentNeighbour);
}

// ---- errors that come in ----

fn error(ip: &mut Ip, kind: u8, code: u8, word: [u8; 4], quote: &[u8]) -> Result<IcmpError, Rule> {
    let (host, ours) = if quote[0] >> 4 == 4 { (addr("192.168.69.254"), OURS) } else { (addr("fd69::fe"), OURS6) };
    let bytes = icmp(host, ours, kind, code, &[&word, quote].concat());
    match receive(ip, &bytes) {
        (Ok(Verdict::Error(error)), frames) if frames.is_empty() => Ok(error),
        (Err(rule), frames) if frames.is_empty() => Err(rule),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_with_the_shortest_quote_names_the_connection() {
    let mut ip = ready();
    let expected = |kind, from: &str, source: &str, destination: &str| IcmpError {
        kind,
        told: Told { error: Error::MessageTooLong, is_hard: true },
        from: addr(from),
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: 6,
        sequence: Some(0x0102_0304),
    };
    assert_eq!(
        error(&mut ip, 3, 4, [0, 0, 0x05, 0x78], &quote(OURS, HOST, 6)),
        Ok(expected(ErrorKind::PacketTooBig { mtu: 1400 }, "192.168.69.254", "192.168.69.1:1234", "192.168.69.100:80"))
    );
    assert_eq!(
        error(&mut ip, 2, 0, [0, 0, 0x05, 0x00], &quote(OURS6, HOST6, 6)),
        Ok(expected(ErrorKind::PacketTooBig { mtu: 1280 }, "fd69::fe", "[fd69::1]:1234", "[fd69::100]:80"))
    );
    let udp = error(&mut ip, 3, 3, [0; 4], &quote(OURS, HOST, 17)).unwrap();
    assert_eq!((udp.kind, udp.protocol, udp.sequence), (ErrorKind::PortUnreachable, 17, None));
    // Quoted options of ours, and a long quote.
    let mut long = with_options(&[1, 1, 1, 0], &[0x04, 0xd2, 0, 80, 9, 9, 9, 9, 1, 1, 1, 1]);
    long[9] = 6;
    let (ours, host) = ([192, 168, 69, 1], [192, 168, 69, 100]);
    long[12..16].copy_from_slice(&ours);
    long[16..20].copy_from_slice(&host);
    assert_eq!(error(&mut ip, 11, 0, [0; 4], &long).unwrap().sequence, Some(0x0909_0909));
}

#[test]
fn the_first_of_our_fragments_names_the_socket_that_sent_it() {
    let mut ip = ready();
    for (ours, host, kind) in [(OURS, HOST, (3, 4)), (OURS6, HOST6, (2, 0))] {
        let first = fragment(&udp(ours, host, &[0; 3000]), 1, 0, 1400, true);
        let error = error(&mut ip, kind.0, kind.1, [0, 0, 5, 0], &first).unwrap();
        assert_eq!(error.kind, ErrorKind::PacketTooBig { mtu: 1280 });
        assert_eq!((error.source.port(), error.destination.port(), error.protocol), (1234, 7, 17));
    }
}

#[test]
fn every_code_has_its_meaning() {
    use ErrorKind::*;
    let mut ip = ready();
    let (four, six) = (quote(OURS, HOST, 6), quote(OURS6, HOST6, 6));
    for (kind, code, meaning) in [
        (3, 0, NetworkUnreachable),
        (3, 1, HostUnreachable),
        (3, 2, ProtocolUnreachable),
        (3, 3, PortUnreachable),
        (3, 5, SourceRouteFailed),
        (3, 6, NetworkUnreachable),
        (3, 7, HostUnreachable),
        (3, 13, Prohibited),
        (11, 0, TimeExceeded),
        (11, 1, TimeExceeded),
        (12, 0, ParameterProblem),
    ] {
        assert_eq!(error(&mut ip, kind, code, [0; 4], &four).unwrap().kind, meaning, "{kind}/{code}");
    }
    for (kind, code, meaning) in [
        (1, 0, NetworkUnreachable),
        (1, 1, Prohibited),
        (1, 3, HostUnreachable),
        (1, 4, PortUnreachable),
        (3, 0, TimeExceeded),
        (4, 0, ParameterProblem),
        (4, 1, ProtocolUnreachable),
    ] {
        assert_eq!(error(&mut ip, kind, code, [0; 4], &six).unwrap().kind, meaning, "{kind}/{code}");
    }
    assert_eq!(error(&mut ip, 3, 16, [0; 4], &four), Err(Rule::IcmpType));
    assert_eq!(error(&mut ip, 1, 7, [0; 4], &six), Err(Rule::IcmpType));
}

/// `icmp(7)` and the kernel's icmp_err_convert and icmpv6_err_convert.
#[test]
fn a_program_is_told_what_linux_would_tell_it() {
    let mut ip = ready();
    let (four, six) = (quote(OURS, HOST, 17), quote(OURS6, HOST6, 17));
    let (soft, hard) = (false, true);
    for (code, errno, is_hard) in [
        (0, 101, soft),
        (1, 113, soft),
        (2, 92, hard),
        (3, 111, hard),
        (4, 90, hard),
        (5, 95, soft),
        (6, 101, hard),
        (7, 112, hard),
        (8, 64, hard),
        (9, 101, hard),
        (10, 113, hard),
        (11, 101, soft),
        (12, 113, soft),
        (13, 113, hard),
        (14, 113, hard),
        (15, 113, hard),
    ] {
        let told = error(&mut ip, 3, code, [0; 4], &four).unwrap().told;
        assert_eq!((told.error.errno(), told.is_hard), (errno, is_hard), "3/{code}");
    }
    for (kind, errno, is_hard) in [(11, 113, soft), (12, 71, hard)] {
        let told = error(&mut ip, kind, 0, [0; 4], &four).unwrap().told;
        assert_eq!((told.error.errno(), told.is_hard), (errno, is_hard), "{kind}");
    }
    for (kind, code, errno, is_hard) in [
        (1, 0, 101, soft),
        (1, 1, 13, hard),
        (1, 2, 113, soft),
        (1, 3, 113, soft),
        (1, 4, 111, hard),
        (1, 5, 13, hard),
        (1, 6, 13, hard),
        (2, 0, 90, hard),
        (3, 0, 113, soft),
        (4, 0, 71, hard),
        (4, 1, 71, hard),
    ] {
        let told = error(&mut ip, kind, code, [0, 0, 5, 0], &six).unwrap().told;
        assert_eq!((told.error.errno(), told.is_hard), (errno, is_hard), "{kind}/{code}");
    }
}

#[test]
fn an_error_about_what_we_did_not_send_is_dropped() {
    let mut ip = ready();
    assert_eq!(error(&mut ip, 3, 1, [0; 4], &quote(HOST, OURS, 6)), Err(Rule::IcmpErrorUnmatched));
    assert_eq!(error(&mut ip, 1, 0, [0; 4], &quote(HOST6, OURS6, 6)), Err(Rule::IcmpErrorUnmatched));
    let mut later = quote(OURS, HOST, 6);
    later[7] = 1;
    assert_eq!(error(&mut ip, 3, 1, [0; 4], &later), Err(Rule::IcmpErrorUnmatched));
    let later = fragment(&udp(OURS6, HOST6, &[0; 40]), 1, 8, 48, false);
    assert_eq!(error(&mut ip, 1, 1, [0; 4], &later), Err(Rule::IcmpErrorUnmatched));
    let to_all = icmp(HOST, addr("224.0.0.1"), 3, 1, &[&[0; 4], &quote(OURS, HOST, 6)[..]].concat());
    assert_eq!(dropped(&mut ip, &to_all), Rule::IcmpErrorUnmatched);
}

#[test]
fn a_quote_that_is_cut_short_is_malformed() {
    let mut ip = ready();
    for quote in [quote(OURS, HOST, 6), quote(OURS6, HOST6, 6)] {
        let kind = if quote[0] >> 4 == 4 { 3 } else { 1 };
        for length in 1..quote.len() {
            assert_eq!(error(&mut ip, kind, 1, [0; 4], &quote[..length]), Err(Rule::IcmpMalformed), "{length}");
        }
        assert!(error(&mut ip, kind, 1, [0; 4], &quote).is_ok());
    }
    let mut wrong_version = quote(OURS, HOST, 6);
    wrong_version[0] = 0x42;
    assert_eq!(error(&mut ip, 3, 1, [0; 4], &wrong_version), Err(Rule::IcmpMalformed));
}
