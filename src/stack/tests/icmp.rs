//! ICMP errors about segments of ours: who is told, and what goes on.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, IpAddress,
    IpProtocol, IpRepr,
};

use super::wire::{Bench, segment};
use super::*;
use crate::error::Error;
use crate::observe::Rule;
use crate::socket::{Domain, Kind, SocketOption};
use smoltcp::wire::TcpControl;

/// A router's Destination Unreachable about the first bytes of `quoted`, an IP packet of A.
pub(super) fn unreachable(code: u8, mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let quote = &quoted[..28];
    let mut message = vec![0; 8 + quote.len()];
    message[8..].copy_from_slice(quote);
    let mut packet = Icmpv4Packet::new_unchecked(&mut message[..]);
    packet.set_msg_type(Icmpv4Message::DstUnreachable);
    packet.set_msg_code(u8::from(Icmpv4DstUnreachable::from(code)));
    message[6..8].copy_from_slice(&mtu.to_be_bytes());
    Icmpv4Packet::new_unchecked(&mut message[..]).fill_checksum();
    let address = |text: &str| IpAddress::from(text.parse::<std::net::IpAddr>().unwrap());
    let ip = IpRepr::new(address("192.168.69.254"), address(A), IpProtocol::Icmp, message.len(), 64);
    let mut bytes = vec![0; 14 + ip.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.set_src_addr(EthernetAddress(config_b().mac.0));
    ethernet.set_dst_addr(EthernetAddress(config_a().mac.0));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    ip.emit(&mut bytes[14..], &ChecksumCapabilities::default());
    bytes[34..].copy_from_slice(&message);
    bytes
}

/// The IP packets with TCP payload that A has sent.
fn data_of_a(net: &Net) -> Vec<Vec<u8>> {
    let is_data = |bytes: &[u8]| bytes[12..14] == [8, 0] && bytes[23] == 6 && bytes.len() > 14 + 20 + 32;
    let sent =
        net.a.seen.frames.iter().filter(|(_, direction, bytes, _)| *direction == Direction::Out && is_data(bytes));
    sent.map(|(_, _, bytes, _)| bytes[14..].to_vec()).collect()
}

/// An established connection of A with 20 000 bytes on their way, none acknowledged.
pub(super) fn sending() -> (Bench, StreamSocket, Vec<Vec<u8>>) {
    let mut bench = Bench::new();
    bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.try_write(&[7; 20_000]).unwrap();
    bench.net.a.seen.frames.clear();
    bench.idle(Duration::from_millis(5));
    let sent = data_of_a(&bench.net);
    assert!(!sent.is_empty());
    (bench, stream, sent)
}

#[test]
fn packet_too_big_makes_segments_smaller_and_sends_the_lost_one_again() {
    let (mut bench, _stream, sent) = sending();
    assert_eq!(sent[0].len(), 1500.min(sent[0].len()));
    bench.inject(&unreachable(4, 1000, &sent[0]), Duration::from_millis(50));
    assert_eq!(bench.fate().rule, Some(Rule::PathMtuLowered));
    bench.idle(Duration::from_secs(2));
    let again = data_of_a(&bench.net);
    assert!(!again.is_empty());
    assert!(again.iter().all(|packet| packet.len() <= 1000), "{:?}", again.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(again[0][24..28], sent[0][24..28], "the first byte comes again first");
    let (counters, fast) = (bench.net.a.stack.counters(), Rule::TcpRetransmitFast);
    assert_eq!((counters.of(Rule::TcpRetransmitPathMtu) > 0, counters.of(fast)), (true, 0));
}

#[test]
fn what_fits_the_narrower_path_is_not_sent_again() {
    let mut bench = Bench::new();
    bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.try_write(&[7; 100]).unwrap();
    bench.net.a.seen.frames.clear();
    bench.idle(Duration::from_millis(5));
    let sent = data_of_a(&bench.net);
    let answers = bench.inject(&unreachable(4, 600, &sent[0]), Duration::from_millis(50));
    assert_eq!((bench.fate().rule, answers), (Some(Rule::PathMtuLowered), Vec::new()));
}

#[test]
fn a_forged_error_that_quotes_no_segment_on_its_way_changes_nothing() {
    let (mut bench, stream, sent) = sending();
    let mut forged = sent[0].clone();
    let seq = u32::from_be_bytes([forged[24], forged[25], forged[26], forged[27]]);
    for wrong in [seq.wrapping_sub(1), seq.wrapping_add(1 << 20)] {
        forged[24..28].copy_from_slice(&wrong.to_be_bytes());
        bench.inject(&unreachable(4, 600, &forged), Duration::ZERO);
        assert_eq!(bench.fate().rule, Some(Rule::IcmpErrorSequence));
    }
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock));
}

#[test]
fn a_soft_error_does_not_abort_and_is_the_reason_when_nothing_more_is_heard() {
    let (mut bench, stream, sent) = sending();
    for code in [0, 1, 2, 3, 13] {
        bench.inject(&unreachable(code, 0, &sent[0]), Duration::ZERO);
        assert_eq!(bench.fate().rule, Some(Rule::IcmpErrorDelivered));
        assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock), "code {code}");
    }
    bench.inject(&unreachable(1, 0, &sent[0]), Duration::ZERO);
    bench.idle(Duration::from_secs(2000));
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::HostUnreachable));
}

#[test]
fn an_error_that_passed_is_forgotten_when_the_peer_acknowledges() {
    let (mut bench, stream, sent) = sending();
    bench.inject(&unreachable(1, 0, &sent[0]), Duration::ZERO);
    let seq = u32::from_be_bytes([sent[0][24], sent[0][25], sent[0][26], sent[0][27]]);
    bench.send(&segment(TcpControl::None, 1001, Some(seq.wrapping_add(100))), Duration::ZERO);
    bench.idle(Duration::from_secs(2000));
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::TimedOut));
}

/// `ip(7)`: Linux has no queue for these errors, and tells each by the next call.
#[test]
fn a_program_that_asked_for_it_is_told_of_every_error_once_and_its_connection_goes_on() {
    let (mut bench, stream, sent) = sending();
    bench.call(Verb::SetOption { socket: stream.handle, option: SocketOption::ReceiveErrors(true) }).unwrap();
    for (code, error) in [(0, Error::NetworkUnreachable), (1, Error::HostUnreachable), (3, Error::ConnectionRefused)] {
        bench.inject(&unreachable(code, 0, &sent[0]), Duration::ZERO);
        assert!(stream.pipe.readiness().error);
        assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(error), "code {code}");
        assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock));
        assert!(matches!(bench.call(Verb::TakeQueuedError { socket: stream.handle }), Ok(Outcome::QueuedError(None))));
    }
    let seq = u32::from_be_bytes([sent[0][24], sent[0][25], sent[0][26], sent[0][27]]);
    bench.send(&segment(TcpControl::None, 1001, Some(seq.wrapping_add(100))), Duration::ZERO);
    assert_eq!(stream.pipe.try_write(b"more"), Ok(4));
}

/// A's SYN to a port of B that never answers.
fn asking() -> (Bench, Vec<u8>) {
    let mut bench = Bench::new();
    bench.net.a.begin(Verb::OpenStream { local: None, remote: at(B, 7777) });
    bench.idle(Duration::from_millis(5));
    let syn = syn_of_a(&bench);
    (bench, syn)
}

fn syn_of_a(bench: &Bench) -> Vec<u8> {
    let is_syn = |bytes: &[u8]| bytes[12..14] == [8, 0] && bytes[23] == 6 && bytes[47] == 2;
    bench.net.a.seen.frames.iter().find(|(_, _, bytes, _)| is_syn(bytes)).unwrap().2[14..].to_vec()
}

/// As on Linux, and as RFC 5461 §4.1 has it.
#[test]
fn a_connect_is_told_at_once_what_the_router_says() {
    for (code, error) in [(0, Error::NetworkUnreachable), (1, Error::HostUnreachable), (3, Error::ConnectionRefused)] {
        let (mut bench, syn) = asking();
        bench.inject(&unreachable(code, 0, &syn), Duration::from_millis(5));
        assert_eq!(bench.completion().unwrap().result.unwrap_err(), error);
    }
}

#[test]
fn what_ended_a_connect_is_kept_with_all_that_is_known_of_it_for_whoever_asked() {
    let mut bench = Bench::new();
    let Ok(Outcome::Fresh(socket)) = bench.call(Verb::Open { domain: Domain::Inet, kind: Kind::Tcp }) else { panic!() };
    bench.call(Verb::SetOption { socket, option: SocketOption::ReceiveErrors(true) }).unwrap();
    let Ok(Outcome::Connecting(Some(pipe))) = bench.call(Verb::Connect { socket, remote: at(B, 7777).into() }) else {
        panic!()
    };
    let syn = syn_of_a(&bench);
    bench.inject(&unreachable(1, 0, &syn), Duration::from_millis(5));
    assert_eq!(pipe.take_error(), Err(Error::HostUnreachable));
    assert_eq!(pipe.take_error(), Ok(()), "once");
    let Ok(Outcome::QueuedError(Some(error))) = bench.call(Verb::TakeQueuedError { socket }) else { panic!() };
    assert_eq!((error.error, error.r#type, error.code), (Error::HostUnreachable, 3, 1));
    assert_eq!((error.destination, error.offender), (at(B, 7777), Some("192.168.69.254".parse().unwrap())));
}
