//! What the wire shows: crafted segments at A's listener, and every frame that A sends.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, IpRepr,
    TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use super::*;
use crate::observe::{Rule, TcpState};

pub(super) const CLIENT: u16 = 5000;

pub(super) fn segment(control: TcpControl, seq: u32, ack: Option<u32>) -> TcpRepr<'static> {
    TcpRepr {
        src_port: CLIENT,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: ack.map(|ack| TcpSeqNumber(ack as i32)),
        window_len: 64_000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

/// A frame from B to A with this segment.
pub(super) fn frame(repr: &TcpRepr<'_>) -> Vec<u8> {
    let (source, destination) = (B.parse::<std::net::IpAddr>().unwrap(), A.parse::<std::net::IpAddr>().unwrap());
    let (source, destination) = (IpAddress::from(source), IpAddress::from(destination));
    let ip = IpRepr::new(source, destination, IpProtocol::Tcp, repr.buffer_len(), 64);
    let mut bytes = vec![0; 14 + ip.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.set_src_addr(EthernetAddress(config_b().mac.0));
    ethernet.set_dst_addr(EthernetAddress(config_a().mac.0));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let caps = ChecksumCapabilities::default();
    ip.emit(&mut bytes[14..], &caps);
    repr.emit(&mut TcpPacket::new_unchecked(&mut bytes[14 + ip.header_len()..]), &source, &destination, &caps);
    bytes
}

/// An ARP reply from B to A.
pub(super) fn here_is_b() -> Vec<u8> {
    let (a, b) = (EthernetAddress(config_a().mac.0), EthernetAddress(config_b().mac.0));
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: b,
        source_protocol_addr: B.parse().unwrap(),
        target_hardware_addr: a,
        target_protocol_addr: A.parse().unwrap(),
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.set_src_addr(b);
    ethernet.set_dst_addr(a);
    ethernet.set_ethertype(EthernetProtocol::Arp);
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[14..]));
    bytes
}

/// A alone, with a listener on port 80, and a hand that crafts B's segments.
pub(super) struct Bench {
    pub(super) net: Net,
    pub(super) listener: ListenerSocket,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(config_a())
    }

    pub(super) fn with(config: Config) -> Bench {
        let mut net = Net::with(FaultConfig::default(), config, config_b());
        let listener = net.listen_a(at("0.0.0.0", 80), 16);
        // So that A knows B's Ethernet address.
        let b = net.bind_b(at("0.0.0.0", 0));
        b.pipe.try_send(b"x", at(A, 9), None).unwrap();
        net.settle();
        net.a.seen.frames.clear();
        Bench { net, listener }
    }

    /// Gives A one segment, and returns the segments with which it answers within `span`.
    pub(super) fn send(&mut self, repr: &TcpRepr<'_>, span: Duration) -> Vec<Answer> {
        self.inject(&frame(repr), span)
    }

    /// The same with any frame.
    pub(super) fn inject(&mut self, frame: &[u8], span: Duration) -> Vec<Answer> {
        self.step(Some(frame), span)
    }

    /// Lets A do what it does by itself within `span`.
    pub(super) fn idle(&mut self, span: Duration) -> Vec<Answer> {
        self.step(None, span)
    }

    fn step(&mut self, frame: Option<&[u8]>, span: Duration) -> Vec<Answer> {
        let host = &mut self.net.a;
        host.seen.frames.clear();
        let mut out = Frames::new();
        let until = self.net.now + span;
        let mut step = host.stack.step(self.net.now, frame, &mut host.calls, &mut out, &mut host.seen);
        // B is a hand, but it is there: it says so when A asks.
        let here = here_is_b();
        let mut seen = 0;
        while let Some(due) = step.deadline.filter(|&at| at <= until).or(step.has_more.then_some(self.net.now)) {
            self.net.now = due.max(self.net.now);
            let is_asked = out.iter().skip(seen).any(|(frame, _)| frame[12..14] == [8, 6]);
            seen = out.len();
            let frames = is_asked.then_some(here.as_slice());
            step = host.stack.step(self.net.now, frames, &mut Vec::new(), &mut out, &mut host.seen);
        }
        self.net.now = until;
        host.deadline = step.deadline;
        out.iter().filter_map(|(frame, _)| Answer::read(frame)).collect()
    }

    /// What A has finished.
    /// Asks A for something that is done at once.
    pub(super) fn call(&mut self, verb: Verb) -> Result<Outcome> {
        let ticket = self.net.a.begin(verb);
        self.idle(Duration::from_millis(5));
        while let Some(completion) = self.completion() {
            if completion.ticket == ticket {
                return completion.result;
            }
        }
        panic!("it takes longer")
    }

    pub(super) fn completion(&mut self) -> Option<crate::socket::Completion> {
        self.net.a.stack.next_completion()
    }

    pub(super) fn fate(&self) -> Fate {
        self.net.a.seen.frames.iter().find(|(_, direction, ..)| *direction == Direction::In).unwrap().3
    }

    /// Through the handshake; returns A's initial sequence number.
    pub(super) fn establish(&mut self, isn: u32) -> u32 {
        let answers = self.send(&segment(TcpControl::Syn, isn, None), Duration::ZERO);
        let theirs = answers[0].seq;
        self.send(&segment(TcpControl::None, isn.wrapping_add(1), Some(theirs.wrapping_add(1))), Duration::ZERO);
        theirs
    }
}

/// A TCP segment that A sent, its checksums verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Ours, and the peer's.
    pub(super) ports: (u16, u16),
    pub(super) control: TcpControl,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) window: u16,
    pub(super) mss: Option<u16>,
    pub(super) sack: [Option<(u32, u32)>; 3],
    pub(super) payload: Vec<u8>,
}

impl Answer {
    /// How much sequence space it takes.
    pub(super) fn len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(matches!(self.control, TcpControl::Syn | TcpControl::Fin))
    }

    pub(super) fn read(frame: &[u8]) -> Option<Answer> {
        let ip = smoltcp::wire::Ipv4Packet::new_checked(frame.get(14..)?).ok()?;
        if ip.next_header() != IpProtocol::Tcp {
            return None;
        }
        assert!(ip.verify_checksum());
        let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
        let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
        let repr = TcpRepr::parse(&tcp, &source, &destination, &ChecksumCapabilities::default()).unwrap();
        Some(Answer {
            ports: (repr.src_port, repr.dst_port),
            control: repr.control,
            seq: repr.seq_number.0 as u32,
            ack: repr.ack_number.map(|ack| ack.0 as u32),
            window: repr.window_len,
            mss: repr.max_seg_size,
            sack: repr.sack_ranges,
            payload: repr.payload.to_vec(),
        })
    }
}

#[test]
fn a_syn_is_answered_with_our_mss_and_an_unscaled_window() {
    let mut bench = Bench::new();
    let mut syn = segment(TcpControl::Syn, 1000, None);
    syn.max_seg_size = Some(1400);
    syn.window_scale = Some(7);
    let answers = bench.send(&syn, Duration::ZERO);
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].control, answers[0].ack, answers[0].mss), (TcpControl::Syn, Some(1001), Some(1460)));
    assert_eq!(answers[0].window, 65_535);
    assert_eq!(bench.fate().states, Some((TcpState::Listen, TcpState::SynReceived)));
}

#[test]
fn syn_acks_back_off_from_one_second_and_then_the_entry_is_forgotten() {
    let mut bench = Bench::new();
    let answers = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::from_secs(300));
    assert_eq!(answers.len(), 6);
    let times: Vec<u64> = bench
        .net
        .a
        .seen
        .frames
        .iter()
        .filter(|(_, direction, bytes, _)| *direction == Direction::Out && Answer::read(bytes).is_some())
        .map(|(at, ..)| at.micros() / 1000)
        .collect();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [1000, 2000, 4000, 8000, 16_000]);
    let late = bench.send(&segment(TcpControl::None, 1001, Some(answers[0].seq.wrapping_add(1))), Duration::ZERO);
    assert_eq!(late[0].control, TcpControl::Rst);
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen));
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpSynAckGivenUp), 1);
}

#[test]
fn a_syn_creates_no_socket() {
    let mut bench = Bench::new();
    let before = bench.net.a.stack.sockets();
    bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO);
    assert_eq!(bench.net.a.stack.sockets(), before);
    bench.send(&segment(TcpControl::Rst, 1001, None), Duration::ZERO);
    bench.establish(9000);
    assert_eq!(bench.net.a.stack.sockets(), before + 1);
}

#[test]
fn a_duplicate_syn_gets_the_same_syn_ack_and_a_bad_ack_gets_a_reset() {
    let mut bench = Bench::new();
    let first = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO);
    let again = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO);
    assert_eq!(first, again);
    let bad = first[0].seq.wrapping_add(77);
    let reset = bench.send(&segment(TcpControl::None, 1001, Some(bad)), Duration::ZERO);
    assert_eq!((reset[0].control, reset[0].seq), (TcpControl::Rst, bad));
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstSynReceived));
    assert!(bench.listener.queue.try_accept().is_err());
}

#[test]
fn a_reset_in_syn_received_returns_to_listen() {
    let mut bench = Bench::new();
    bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO);
    bench.send(&segment(TcpControl::Rst, 1001, None), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpSynReset));
    bench.establish(9000);
    assert!(bench.listener.queue.try_accept().is_ok());
}

#[test]
fn a_listener_answers_an_ack_with_a_reset_and_ignores_the_rest() {
    let mut bench = Bench::new();
    let answers = bench.send(&segment(TcpControl::None, 1, Some(4242)), Duration::ZERO);
    assert_eq!((answers[0].control, answers[0].seq, answers[0].ack), (TcpControl::Rst, 4242, None));
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen));
    for control in [TcpControl::Rst, TcpControl::Fin, TcpControl::None] {
        assert_eq!(bench.send(&segment(control, 1, None), Duration::ZERO), []);
        assert_eq!(bench.fate().rule, Some(Rule::TcpListenFlags));
    }
}

#[test]
fn the_reset_of_a_closed_port_has_the_numbers_of_rfc_9293() {
    let mut bench = Bench::new();
    let to_closed = |repr: TcpRepr<'static>| TcpRepr { dst_port: 81, ..repr };
    let with_ack = bench.send(&to_closed(segment(TcpControl::Fin, 10, Some(500))), Duration::ZERO);
    assert_eq!((with_ack[0].control, with_ack[0].seq, with_ack[0].ack), (TcpControl::Rst, 500, None));
    let syn_with_data = TcpRepr { payload: b"four", ..to_closed(segment(TcpControl::Syn, 10, None)) };
    let answers = bench.send(&syn_with_data, Duration::ZERO);
    assert_eq!((answers[0].control, answers[0].seq, answers[0].ack), (TcpControl::Rst, 0, Some(15)));
    assert_eq!(bench.send(&to_closed(segment(TcpControl::Rst, 10, None)), Duration::ZERO), []);
}

#[test]
fn data_with_the_final_ack_of_the_handshake_is_delivered() {
    let mut bench = Bench::new();
    let theirs = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO)[0].seq;
    let data = TcpRepr { payload: b"early", ..segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(1))) };
    bench.send(&data, Duration::from_millis(20));
    let stream = bench.listener.queue.try_accept().unwrap();
    let mut buffer = [0; 16];
    assert_eq!(stream.pipe.try_read(&mut buffer), Ok(5));
}

#[test]
fn the_sequence_numbers_may_wrap_in_the_middle_of_a_connection() {
    let mut bench = Bench::new();
    let theirs = bench.establish(u32::MAX - 2);
    let data = TcpRepr {
        payload: b"across the end of the number space",
        ..segment(TcpControl::Psh, u32::MAX - 1, Some(theirs.wrapping_add(1)))
    };
    let answers = bench.send(&data, Duration::from_millis(20));
    assert_eq!(answers[0].ack, Some((u32::MAX - 1).wrapping_add(34)));
    let stream = bench.listener.queue.try_accept().unwrap();
    assert_eq!(stream.pipe.try_read(&mut [0; 64]), Ok(34));
}

#[test]
fn only_the_exact_reset_kills_and_one_within_the_window_is_challenged() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    let challenge = bench.send(&segment(TcpControl::Rst, 1101, None), Duration::ZERO);
    assert_eq!(
        (challenge[0].control, challenge[0].seq, challenge[0].ack),
        (TcpControl::None, theirs.wrapping_add(1), Some(1001))
    );
    assert_eq!(bench.send(&segment(TcpControl::Rst, 900_000, None), Duration::ZERO), []);
    assert_eq!(stream.pipe.try_read(&mut [0; 8]), Err(crate::error::Error::WouldBlock));
    bench.send(&segment(TcpControl::Rst, 1001, None), Duration::ZERO);
    assert_eq!(stream.pipe.try_read(&mut [0; 8]), Err(crate::error::Error::ConnectionReset));
}

#[test]
fn a_syn_on_a_connection_and_an_ack_of_unsent_data_are_challenged() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let answers = bench.send(&segment(TcpControl::Syn, 5000, None), Duration::ZERO);
    assert_eq!((answers[0].control, answers[0].ack), (TcpControl::None, Some(1001)));
    assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeSyn));
    let unsent = bench.send(&segment(TcpControl::None, 1001, Some(theirs.wrapping_add(1000))), Duration::ZERO);
    assert_eq!((unsent[0].control, unsent[0].ack), (TcpControl::None, Some(1001)));
    assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeAck));
}

/// FACTS §1, panic 2: smoltcp's subtraction of sequence numbers 2³¹ apart.
#[test]
fn sequence_numbers_half_the_space_away_harm_nobody() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let window = vec![7_u8; 1400];
    let mut seq = 1001_u32;
    while seq + 1400 < 1001 + 65_535 {
        bench.send(
            &TcpRepr { payload: &window, ..segment(TcpControl::Psh, seq, Some(theirs.wrapping_add(1))) },
            Duration::ZERO,
        );
        seq += 1400;
    }
    let last = &window[..(1001 + 65_535 - seq) as usize];
    bench.send(
        &TcpRepr { payload: last, ..segment(TcpControl::Fin, seq, Some(theirs.wrapping_add(1))) },
        Duration::ZERO,
    );
    for far in [1_u32 << 31, (1 << 31) + 1, (1 << 31) - 1, 3 << 30] {
        bench.send(
            &segment(TcpControl::None, 1001_u32.wrapping_add(65_536).wrapping_sub(far), Some(theirs.wrapping_add(1))),
            Duration::ZERO,
        );
        assert_eq!(bench.net.a.stack.counters().of(Rule::TcpPanicked), 0);
    }
    assert!(bench.net.a.stack.counters().of(Rule::TcpChallengeSequence) > 0);
    assert!(!bench.net.a.seen.events.iter().any(|event| event.contains("Panicked")));
}

/// FACTS §1, silent data loss: a FIN whose payload was cut at the window's edge must not end the stream.
#[test]
fn a_fin_behind_the_edge_of_the_window_does_not_end_the_stream_early() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    let payload: Vec<u8> = (0..70_000_u32).map(|i| (i % 251) as u8).collect();
    let ack = Some(theirs.wrapping_add(1));
    for (i, chunk) in payload[..64_800].chunks(1350).enumerate() {
        let seq = 1001 + (i * 1350) as u32;
        bench.send(&TcpRepr { payload: chunk, ..segment(TcpControl::None, seq, ack) }, Duration::ZERO);
        // The program does not read: the ring fills first, then the window.
    }
    let mut delivered = Vec::new();
    // Fill what the ring and the buffer can take, and then send a last segment that reaches past the edge.
    let mut seq = 1001 + 64_800_u32;
    let mut edge = 0;
    for _ in 0..200 {
        let chunk = vec![1; 1350];
        let answers =
            bench.send(&TcpRepr { payload: &chunk, ..segment(TcpControl::None, seq, ack) }, Duration::from_millis(20));
        if let Some(answer) = answers.last() {
            edge = answer.ack.unwrap() + u32::from(answer.window);
            if answer.ack == Some(seq + 1350) {
                seq += 1350;
                if edge - seq < 1350 {
                    break;
                }
                continue;
            }
        }
        break;
    }
    assert!(edge > seq && edge - seq < 1350, "the window is nearly closed: {} left", edge - seq);
    let last = vec![2; 1350];
    bench.send(&TcpRepr { payload: &last, ..segment(TcpControl::Fin, seq, ack) }, Duration::from_millis(20));
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..50 {
        if let Ok(count) = stream.pipe.try_read(&mut buffer) {
            assert_ne!(count, 0, "end of stream after {} bytes, but {} were sent", delivered.len(), seq - 1001 + 1350);
            delivered.extend_from_slice(&buffer[..count]);
        }
        bench.send(&segment(TcpControl::None, seq, ack), Duration::from_millis(20));
    }
    // The peer sends the rest again, as TCP does, and only now it ends.
    bench.send(&TcpRepr { payload: &last, ..segment(TcpControl::Fin, seq, ack) }, Duration::from_millis(20));
    while let Ok(count) = stream.pipe.try_read(&mut buffer) {
        if count == 0 {
            break;
        }
        delivered.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(delivered.len(), (seq - 1001 + 1350) as usize);
}

/// FACTS §1, panic 3: simultaneous open, with the peer's SYN before ours has been seen to leave.
#[test]
fn a_syn_that_crosses_ours_opens_the_connection() {
    let mut bench = Bench::new();
    bench.net.a.begin(Verb::OpenStream { local: Some(at(A, 80)), remote: at(B, CLIENT) });
    let mut out = Frames::new();
    let now = bench.net.now;
    let mut calls = std::mem::take(&mut bench.net.a.calls);
    bench.net.a.stack.step(now, [], &mut calls, &mut out, &mut bench.net.a.seen);
    let ours = out.iter().find_map(|(frame, _)| Answer::read(frame)).unwrap();
    assert_eq!(ours.control, TcpControl::Syn);
    assert_eq!(ours.mss, Some(1460));
    let crossing = bench.send(&segment(TcpControl::Syn, 300, None), Duration::ZERO);
    assert_eq!((crossing[0].control, crossing[0].ack), (TcpControl::Syn, Some(301)));
    bench.send(&segment(TcpControl::None, 301, Some(ours.seq.wrapping_add(1))), Duration::ZERO);
    assert_eq!(bench.net.a.events("Connected").len(), 1, "{:?}", bench.net.a.seen.events);
}

#[test]
fn every_truncation_and_every_flipped_bit_of_a_segment_leaves_the_stack_answering() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let good = frame(&TcpRepr { payload: b"payload", ..segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(1))) });
    let mut out = Frames::new();
    let now = bench.net.now;
    let mut feed = |bytes: &[u8]| {
        bench.net.a.stack.step(now, [bytes], &mut Vec::new(), &mut out, &mut bench.net.a.seen);
        out.clear();
    };
    for length in 0..good.len() {
        feed(&good[..length]);
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        feed(&bad);
    }
    let answers = bench.send(&TcpRepr { src_port: 6000, ..segment(TcpControl::Syn, 1, None) }, Duration::ZERO);
    assert!(answers.iter().any(|answer| answer.control == TcpControl::Syn));
}
