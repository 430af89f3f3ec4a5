use super::*;

/// An IPv4 packet with a TCP segment of five bytes.
fn segment() -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 45, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 192, 168, 69, 100, 192, 168, 69, 1, //
        0xa8, 0xca, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0xfa, 0xf0, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o',
    ];
    settle(&mut packet);
    packet
}

/// Puts the right checksums in.
fn settle(packet: &mut [u8]) {
    for _ in 0..2 {
        let found: Vec<(usize, u16)> = layers(Link::Ip, packet, packet.len())
            .iter()
            .filter_map(|layer| layer.checksum.as_ref().map(|working| (working.field, working.computed)))
            .collect();
        for (at, value) in found {
            packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    let packet = explain(Link::Ip, bytes, bytes.len());
    Shown { packet: &packet, is_full: false }.to_string()
}

#[test]
fn a_sound_packet_has_every_field_and_both_checksums_worked_out() {
    let bytes = segment();
    let packet = explain(Link::Ip, &bytes, bytes.len());
    assert!(!packet.is_damaged());
    let names: Vec<_> = packet.layers.iter().map(|layer| layer.name).collect();
    assert_eq!(names, ["IPv4", "TCP", "data"]);
    let text = shown(&bytes);
    for line in [
        "     0  45  0100 ....             version                      4\n",
        "     6  40  .1.. ....             do not fragment              set\n",
        "    12  c0 a8 45 64               source                       192.168.69.100\n",
        "          0000 the checksum itself, as zero\n",
        "    33  18  .... 1...             PSH                          set\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(text.matches(": right\n").count(), 2, "{text}");
}

/// What the first repair says, as text.
fn first_repair(bytes: &[u8]) -> String {
    let text = shown(bytes);
    let (_, repairs) = text.split_once("What would explain it, one of these:\n").unwrap_or_default();
    repairs.lines().next().unwrap_or_default().trim().to_owned()
}

/// A packet as another program has made it.
fn foreign(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn the_pseudo_header_has_the_last_destination_of_a_route() {
    // By scapy, and right for tshark: a loose source route of two addresses, and a segment routing header.
    for packet in [
        "4800002a000100004011c8a40a0000010a000002830b0401020304050607080000050006000a81576869",
        "6000000000332b40fe800000000000000000000000000001fe800000000000000000000000000002\
         1104040101000000fe800000000000000000000000000003fe800000000000000000000000000002000100\
         02000b3e6d616263",
    ] {
        let bytes = foreign(packet);
        let packet = explain(Link::Ip, &bytes, bytes.len());
        assert!(!packet.is_damaged(), "{}", shown(&bytes));
        assert!(packet.layers.iter().any(|layer| layer.name == "UDP" && layer.checksum.is_some()));
    }
}

#[test]
fn a_jumbogram_is_no_damaged_packet() {
    let length = 70_011_u32;
    let mut bytes = foreign("6000000000000040fe800000000000000000000000000001fe8000000000000000000000000000021100c204");
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 1, 0, 2, 0, 0, 0, 0]);
    bytes.resize(40 + length as usize, 0xff);
    // 69 995 bytes of 0xff are 34 997 words that are zero in one's complement, and 0xff00.
    let sum = 2 * 0xfe80 + 1 + 2 + ((length - 8) >> 16) + ((length - 8) & 0xffff) + 17 + 1 + 2 + 0xff00;
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[54..56].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let packet = explain(Link::Ip, &bytes, bytes.len());
    assert!(!packet.is_damaged(), "{}", shown(&bytes));
    assert_eq!(packet.layers[2].checksum.as_ref().unwrap().verdict, Verdict::Right);
    assert!(shown(&bytes).contains("payload length               70011\n"));
    let short = explain(Link::Ip, &bytes[..1000], 1000);
    assert!(short.is_damaged());
}

#[test]
fn an_acknowledgment_of_half_a_block_is_damage() {
    let bytes =
        foreign("4500003000010000400666c50a0000010a000002000100020000000000000000701020004dba00000507010203040500");
    assert!(shown(&bytes).contains("DAMAGED: the option selective acknowledgment has 8 bytes for each block, not 5"));
}

#[test]
fn its_line_is_that_of_the_trace() {
    let said = "tcp 192.168.69.100:43210 > 192.168.69.1:80 [P.] seq 1:6 (absolute) ack 2 (absolute) win 64240 len 5";
    let (bytes, wire) = (segment(), segment().len());
    assert_eq!(line(Link::Ip, &bytes, wire).as_deref(), Some(said));
    assert_eq!(line(Link::Null, &bytes, wire), None);
    assert_eq!(line(Link::Ip, &bytes[..wire - 3], wire).as_deref(), Some(said), "the capture has only its beginning");
    let headless = line(Link::Ip, &bytes[..30], wire).unwrap();
    assert!(headless.ends_with("· the capture ends there"), "{headless}");
}

#[test]
fn a_router_that_forgot_the_checksum_is_told_from_any_other_change() {
    let mut bytes = segment();
    bytes[8] -= 1;
    let packet = explain(Link::Ip, &bytes, bytes.len());
    let working = packet.layers[0].checksum.as_ref().unwrap();
    assert_eq!((working.verdict, working.excess()), (Verdict::Wrong, 0xffff - 0x0100));
    assert_eq!(
        first_repair(&bytes),
        "IPv4 time to live: 63 where 64 would be right (0x3f, 0x40): a router has lowered it and not the checksum"
    );
}

#[test]
fn what_the_checksum_of_tcp_covers_too_and_finds_right_is_not_blamed() {
    let mut bytes = segment();
    bytes[4] ^= 0x10; // the identification
    let packet = explain(Link::Ip, &bytes, bytes.len());
    assert!(packet.repairs.iter().any(|repair| repair.field == "identification" && repair.would_be == 0x1234));
    for name in ["source", "destination", "protocol", "total length"] {
        assert!(packet.repairs.iter().all(|repair| !repair.field.starts_with(name)), "{:#?}", packet.repairs);
    }
}

#[test]
fn an_address_that_was_translated_without_its_checksums_makes_both_right_again() {
    let mut bytes = segment();
    bytes[15] = 99;
    assert!(first_repair(&bytes).starts_with("IPv4 source "));
    let packet = explain(Link::Ip, &bytes, bytes.len());
    // One address in both sums, and nothing else in both: of what was changed, two halves remain.
    assert!(packet.repairs.iter().all(|repair| repair.right == 2 && ["so", "de"].contains(&&repair.field[..2])));
    assert!(packet.repairs.iter().any(|repair| (repair.is, repair.would_be) == (0x4563, 0x4564)));
}

#[test]
fn a_length_that_is_not_that_of_the_packet_is_named_with_what_came() {
    let mut bytes = segment();
    bytes[3] += 8;
    let text = shown(&bytes);
    assert!(text.contains("DAMAGED: a total length of 53, but 45 bytes came\n"), "{text}");
    assert_eq!(
        first_repair(&bytes),
        "IPv4 total length: 53 where 45 would be right (0x0035, 0x002d): it is what the rest of the packet says"
    );
}

#[test]
fn a_flipped_bit_of_the_data_is_counted_and_not_listed() {
    let mut bytes = segment();
    bytes.splice(40.., [b'x'; 45]);
    bytes[3] = 85;
    settle(&mut bytes);
    bytes[60] ^= 4;
    let text = shown(&bytes);
    assert!(text.contains("    data: one flipped bit in one of "), "{text}");
}

#[test]
fn a_checksum_that_is_left_to_the_interface_is_no_damage() {
    let mut bytes = segment();
    let packet = explain(Link::Ip, &bytes, bytes.len());
    let pseudo = packet.layers[1].checksum.as_ref().unwrap().pseudo_sum();
    bytes[36..38].copy_from_slice(&pseudo.to_be_bytes());
    let packet = explain(Link::Ip, &bytes, bytes.len());
    assert!(!packet.is_damaged());
    assert!(shown(&bytes).contains("left to the interface: captured on its way out"));
}

#[test]
fn mistakes_of_a_sender_are_told_by_the_value() {
    let sound = segment();
    let right = u16::from_be_bytes([sound[36], sound[37]]);
    let with = |value: u16| {
        let mut bytes = sound.clone();
        bytes[36..38].copy_from_slice(&value.to_be_bytes());
        shown(&bytes)
    };
    assert!(with(0).contains("the field is zero: nobody has filled it in"));
    assert!(with(right.swap_bytes()).contains("its bytes swapped"));
    assert!(with(!right).contains("the complement was forgotten"));
    let packet = explain(Link::Ip, &sound, sound.len());
    let pseudo = packet.layers[1].checksum.as_ref().unwrap().pseudo_sum();
    let without = !fold(u64::from(!right) + u64::from(!pseudo));
    assert!(with(without).contains("right without the pseudo-header"));
}

#[test]
fn what_was_not_captured_is_not_called_damaged() {
    let bytes = segment();
    for kept in 20..bytes.len() {
        let packet = explain(Link::Ip, &bytes[..kept], bytes.len());
        assert!(!packet.is_damaged(), "{kept}: {:#?}", packet.layers);
    }
}

#[test]
fn a_quoted_packet_with_a_wrong_checksum_does_not_make_the_error_wrong() {
    let mut inner = segment();
    inner[8] = 1; // what a router quotes, without the checksum
    inner.truncate(28);
    let mut bytes =
        vec![0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 192, 168, 69, 100, 11, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(inner);
    // The outermost checksums alone.
    for layer in layers(Link::Ip, &bytes, 56).into_iter().filter(|layer| !layer.is_quoted) {
        let working = layer.checksum.unwrap();
        bytes[working.field..working.field + 2].copy_from_slice(&working.computed.to_be_bytes());
    }
    let packet = explain(Link::Ip, &bytes, bytes.len());
    assert!(!packet.is_damaged());
    let text = shown(&bytes);
    assert!(text.contains("quoted IPv4") && text.contains("quoted, and changed on its way perhaps"), "{text}");
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the bytes are: an explanation comes, and every field stands within what was captured.
        #[test]
        fn can_be_explained(
            bytes in prop::collection::vec(any::<u8>(), 0..300), more in 0_usize..100, link in 0_usize..6, kind in 0_usize..5,
            version in prop::sample::select(vec![0x45_u8, 0x46, 0x4f, 0x60]), protocol in any::<u8>(),
        ) {
            let link = [Link::Ethernet, Link::Ip, Link::Null, Link::Cooked, Link::Cooked2, Link::Other(7)][link];
            let mut bytes = bytes;
            // Most random bytes would be no packet at all.
            let at = match link { Link::Ethernet => 14, Link::Ip => 0, Link::Null => 4, Link::Cooked => 16, _ => 20 };
            if kind > 0 && bytes.len() > at + 10 {
                bytes[at] = version;
                let six = version == 0x60;
                bytes[at + if six { 6 } else { 9 }] =
                    [1, 2, 6, 17, 58, 0, 43, 44, 51, 60, protocol][usize::from(protocol) % 11];
                if link == Link::Ethernet {
                    bytes[12..14].copy_from_slice(if six { &[0x86, 0xdd] } else { &[8, 0] });
                }
                if kind > 1 && !six {
                    let total = (bytes.len() - at) as u16;
                    bytes[at + 2..at + 4].copy_from_slice(&total.to_be_bytes());
                    bytes[at + 6..at + 8].copy_from_slice(&[0, 0]);
                }
            }
            let packet = explain(link, &bytes, bytes.len() + more);
            for layer in &packet.layers {
                for field in &layer.fields {
                    prop_assert!(field.bytes().end <= bytes.len(), "{field:?}");
                    prop_assert!(!field.bits.is_empty(), "{field:?}");
                }
            }
            let _ = line(link, &bytes, bytes.len() + more);
            for is_full in [false, true] {
                let _ = Shown { packet: &packet, is_full }.to_string();
            }
        }
    }
}
