//! Every frame the stack sends is right, and no frame it receives brings it down.

use std::time::Duration;

use crate::wire::*;

/// A generator that gives the same numbers in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// One valid frame of each kind that the stack knows, those of a live connection included.
fn valid_frames(wire: &mut dyn Wire) -> Vec<Vec<u8>> {
    let mut frames =
        vec![who_has(OUR_V4.octets()), arp_frame(OUR_MAC, 2, (PEER_MAC, PEER_V4.octets()), (OUR_MAC, OUR_V4.octets()))];
    // Neighbour discovery, MLD and IGMP.
    let link = [&[1, 1][..], &PEER_MAC].concat();
    let target = OUR_V6.octets();
    for (kind, rest) in [(135, 0), (136, 0x60), (134, 64), (137, 0), (133, 0), (130, 0), (131, 0), (143, 0)] {
        let message = icmp_packet(V6, kind, 0, [rest, 0, 0, 0], &[&target[..], &link].concat());
        frames.push(Packet { hop_limit: 255, ..message }.frame());
    }
    let mut igmp = vec![0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    let sum = checksum_of(&igmp);
    igmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let query = Packet {
        destination: [224, 0, 0, 1].into(),
        hop_limit: 1,
        options: vec![148, 4, 0, 0],
        ..Packet::new(V4, 2, igmp)
    };
    frames.push(query.frame());
    for family in FAMILIES {
        let udp = |port| Datagram::new(family, port, b"hello").packet();
        frames.extend([
            ping(family, 1, b"hello").frame(),
            udp(ECHO).frame(),
            udp(CLOSED).frame(),
            udp(DISCARD).frame(),
        ]);
        frames.push(Packet::new(family, 253, pattern(16)).frame());
        frames.extend(ping(family, 2, &pattern(24)).fragments(16).iter().map(Packet::frame));
        let options = vec![2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        let syn = Segment { options: options.clone(), ..Client::new(family, ECHO).syn() };
        frames.push(syn.frame());
        frames.push(Segment { to: (family.us(), CLOSED).into(), ..syn }.frame());
        // A live connection with everything agreed: data, a gap, an ACK, a SYN, a FIN and a RST.
        let mut client = Client::new(family, ECHO);
        client.open_with(wire, options);
        frames.extend(
            [client.data(b"live"), client.data_at(100, b"later"), client.segment(ACK), client.syn()].map(|s| s.frame()),
        );
        frames.extend([client.segment(FIN | ACK), client.segment(RST)].map(|s| s.frame()));
        // Errors that quote it.
        let quote =
            Segment { from: client.segment(0).to, to: client.segment(0).from, seq: client.ack, ..client.segment(ACK) };
        let kinds: [(u8, u8); 4] =
            if family == V4 { [(3, 3), (3, 4), (11, 0), (12, 0)] } else { [(1, 4), (2, 0), (3, 0), (4, 1)] };
        for (kind, code) in kinds {
            frames.push(icmp_packet(family, kind, code, [0, 0, 5, 100], &quote.packet().bytes()).frame());
        }
    }
    // Extension headers, one behind the other.
    let inner = ping(V6, 3, b"inner");
    let headers = [60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 9];
    frames.push(Packet { protocol: 0, payload: [&headers[..], &inner.payload].concat(), ..inner }.frame());
    wire.settle();
    frames
}

/// The neighbour says where it is, in case one of the frames has said otherwise. What is under way may end.
fn recover(wire: &mut dyn Wire) {
    wire.settle();
    wire.send(&who_has(OUR_V4.octets()));
    let data = [&OUR_V6.octets()[..], &[1, 1], &PEER_MAC].concat();
    wire.send(&Packet { hop_limit: 255, ..icmp_packet(V6, 135, 0, [0; 4], &data) }.frame());
    wire.settle();
    wire.wait(Duration::from_millis(20));
}

/// Sends them all and looks whether the stack has taken it well.
fn endure(wire: &mut dyn Wire, frames: impl IntoIterator<Item = Vec<u8>>) -> usize {
    let mut count = 0;
    for frame in frames {
        wire.send(&frame);
        count += 1;
        if count % 40 == 0 {
            wire.settle();
        }
    }
    recover(wire);
    wire.is_well();
    count
}

fn line_64_every_truncation_of_every_valid_frame(wire: &mut dyn Wire) {
    let frames = valid_frames(wire);
    assert!(frames.len() > 45, "{} frames", frames.len());
    for frame in frames {
        endure(wire, (0..frame.len()).map(|length| frame[..length].to_vec()));
        // With lengths that fit, where a header claims one.
        let shorter = (34..frame.len()).map(|length| repaired(frame[..length].to_vec(), true));
        endure(wire, shorter);
    }
}

fn line_64_every_bit_flipped(pair: &mut Pair) {
    let frames = valid_frames(pair);
    for frame in frames {
        for bit in 0..frame.len() * 8 {
            let flip = |mut frame: Vec<u8>| {
                frame[bit / 8] ^= 1 << (bit % 8);
                frame
            };
            pair.send(&flip(frame.clone()));
            if bit >= 14 * 8 {
                pair.send(&repaired(flip(frame.clone()), false));
            }
        }
        pair.settle();
        // A flipped SYN is a SYN of somebody; they give up after a while, as connections do.
        pair.wait(Duration::from_secs(100));
        recover(pair);
        pair.is_well();
    }
}

fn line_64_random_frames(wire: &mut dyn Wire) {
    let mut random = Random(64);
    let mut garbage = |plausible: bool| {
        let mut frame: Vec<u8> = (0..14 + random.below(200)).map(|_| random.next() as u8).collect();
        if plausible {
            let types = [ARP, IP4, IP6];
            let ethertype = types[random.below(3)];
            frame[..6].copy_from_slice(&OUR_MAC);
            frame[6..12].copy_from_slice(&PEER_MAC);
            frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
            if let Some(first) = frame.get_mut(14) {
                *first = if ethertype == IP4 { 0x45 } else { 0x60 };
            }
        }
        frame
    };
    let frames: Vec<Vec<u8>> = (0..6000).map(|i| garbage(i % 4 != 0)).collect();
    assert_eq!(endure(wire, frames), 6000);
}

fn line_64_mutated_frames_with_repaired_checksums(wire: &mut dyn Wire) {
    mutate(wire, 65, 4000);
}

/// Many more, each round with connections of its own.
fn line_64_many_mutated_frames_with_repaired_checksums(pair: &mut Pair) {
    for seed in 100..106 {
        mutate(pair, seed, 4000);
        pair.wait(Duration::from_secs(300));
    }
}

fn mutate(wire: &mut dyn Wire, seed: u64, count: usize) {
    let mut random = Random(seed);
    let frames = valid_frames(wire);
    let mut mutants = Vec::new();
    for _ in 0..count {
        let mut frame = frames[random.below(frames.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = 14 + random.below(frame.len() - 14);
            frame[at] = match random.below(4) {
                0 => random.next() as u8,
                1 => frame[at].wrapping_add(1),
                2 => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                _ => frame[at] ^ 1 << random.below(8),
            };
        }
        if random.below(8) == 0 {
            frame.truncate(14 + random.below(frame.len() - 14));
        }
        mutants.push(repaired(frame, random.below(2) == 0));
    }
    assert_eq!(endure(wire, mutants), count);
}

/// The frame with the checksums that fit it, and with lengths that do if they are to be repaired too.
fn repaired(mut frame: Vec<u8>, lengths: bool) -> Vec<u8> {
    let Some(packet) = frame.get_mut(14..) else { return frame };
    let (protocol, start, addresses) = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 => {
            let header = (usize::from(packet[0] & 15) * 4).clamp(20, 60).min(packet.len());
            if lengths {
                let total = packet.len() as u16;
                packet[2..4].copy_from_slice(&total.to_be_bytes());
            }
            packet[10..12].fill(0);
            let sum = checksum_of(&packet[..header]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            let address = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap().into();
            (packet[9], header, (address(12), address(16)))
        }
        Some(6) if packet.len() >= 40 => {
            if lengths {
                let length = packet.len() as u16 - 40;
                packet[4..6].copy_from_slice(&length.to_be_bytes());
            }
            let address = |at: usize| <[u8; 16]>::try_from(&packet[at..at + 16]).unwrap().into();
            (packet[6], 40, (address(8), address(24)))
        }
        _ => return frame,
    };
    let message = &mut packet[start..];
    let field = match protocol {
        ICMP | ICMP6 | 2 => 2,
        TCP => 16,
        UDP => 6,
        _ => return frame,
    };
    if message.len() < field + 2 {
        return frame;
    }
    if lengths && protocol == UDP {
        let length = message.len() as u16;
        message[4..6].copy_from_slice(&length.to_be_bytes());
    }
    message[field..field + 2].fill(0);
    let sum = match protocol {
        ICMP | 2 => checksum_of(message),
        _ => checksum_with_pseudo_header(addresses.0, addresses.1, protocol, message),
    };
    message[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Frames of all kinds leave the stack, and the fixture finds each of them right: it would have stopped the test.
fn line_00_every_frame_we_send_is_right(pair: &mut Pair) {
    let before = pair.checked();
    let frames = valid_frames(pair);
    endure(pair, frames);
    for family in FAMILIES {
        let mut client = Client::new(family, CHARGEN);
        client.open(pair);
        client.read(pair, 100_000);
        client.reset(pair);
        let mut client = Client::new(family, DAYTIME);
        client.open(pair);
        assert!(client.read_to_end(pair).ends_with(b"UTC\r\n"));
        client.reset(pair);
    }
    assert!(pair.checked() > before + 200, "{} frames", pair.checked() - before);
}

/// And it does find what is wrong.
fn line_00_a_wrong_frame_would_be_noticed(pair: &mut Pair) {
    let mut frames = vec![ping(V4, 1, b"x").frame(), ping(V6, 1, b"x").frame()];
    for family in FAMILIES {
        frames.push(Datagram::new(family, ECHO, b"data").packet().frame());
        frames.push(Client::new(family, ECHO).data(b"data").frame());
    }
    let mut reader = Reader::new(1500);
    for frame in &frames {
        assert!(reader.read(Duration::ZERO, frame).is_ok_and(|answer| answer.is_some()));
        let is_v6 = frame[12] == 0x86;
        // What IPv6 covers by no checksum: version, class, label and hop limit.
        let header = if is_v6 { [14..18, 21..22] } else { [0..0, 0..0] };
        for bit in 14 * 8..frame.len() * 8 {
            if header.iter().any(|range| range.contains(&(bit / 8))) {
                continue;
            }
            let mut wrong = frame.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let read = reader.read(Duration::ZERO, &wrong);
            assert!(!matches!(read, Ok(Some(_))), "byte {} of {frame:02x?}", bit / 8);
        }
    }
    let mut no_hops = frames[1].clone();
    no_hops[21] = 0;
    assert!(reader.read(Duration::ZERO, &no_hops).is_err());
    assert!(reader.read(Duration::ZERO, &Packet { hop_limit: 0, ..ping(V4, 1, b"x") }.frame()).is_err());
    assert!(reader.read(Duration::ZERO, &ping(V4, 1, &pattern(1473)).frame()).is_err(), "beyond the MTU");
    let mut unsummed = Datagram::new(V4, ECHO, b"x").packet();
    unsummed.payload[6..8].fill(0);
    assert!(reader.read(Duration::ZERO, &unsummed.frame()).is_err());
    assert!(pair.checked() > 0);
}

lines! {
    both {
        line_64_every_truncation_of_every_valid_frame
        line_64_random_frames
        line_64_mutated_frames_with_repaired_checksums
    }
    embedded {}
    pair {
        line_00_every_frame_we_send_is_right
        line_00_a_wrong_frame_would_be_noticed
        line_64_every_bit_flipped
        line_64_many_mutated_frames_with_repaired_checksums
    }
}
