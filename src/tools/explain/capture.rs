//! pcap and pcapng files, read packet by packet.

use std::io::{self, Read};
use std::time::Duration;

use pcap_file::pcap::{PcapReader, RawPcapPacket};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{PcapError, TsResolution};

use super::{Captured, Stop};
use crate::trace::explain::{LONGEST, Link};

const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Gives each packet of a file to `take`.
pub(super) fn read(mut source: impl Read, mut take: impl FnMut(Captured) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut magic = [0; 4];
    source.read_exact(&mut magic).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => nonsense("it is no capture: it has fewer than 4 bytes"),
        _ => Stop::Read(error),
    })?;
    let source = magic.chain(source);
    if magic == PCAPNG { pcapng(source, &mut take) } else { pcap(source, &mut take) }
}

fn nonsense(why: &str) -> Stop {
    Stop::Nonsense(why.to_owned())
}

fn stop(error: PcapError) -> Stop {
    match error {
        PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            nonsense("the capture ends in the middle of a packet")
        }
        PcapError::IoError(error) => Stop::Read(error),
        other => Stop::Nonsense(format!("it is damaged as a file: {other}")),
    }
}

/// As much of it as is looked at.
fn kept(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(LONGEST)].to_vec()
}

fn wire(length: u32, captured: &[u8]) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).max(captured.len())
}

fn pcap(source: impl Read, take: &mut dyn FnMut(Captured) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut reader = PcapReader::new(source).map_err(|error| match error {
        PcapError::InvalidField(_) => nonsense("it is neither pcap nor pcapng; for numbers written as text, say --hex"),
        other => stop(other),
    })?;
    let header = reader.header();
    let link = Link::of(u32::from(header.datalink) & 0xffff); // above: the length of a check sequence
    // Not next_packet, which refuses packets that were longer than the capture keeps.
    while let Some(packet) = reader.next_raw_packet() {
        let RawPcapPacket { ts_sec, ts_frac, orig_len, data, .. } = packet.map_err(stop)?;
        let nanos = match header.ts_resolution {
            TsResolution::MicroSecond => u64::from(ts_frac) * 1000,
            TsResolution::NanoSecond => ts_frac.into(),
        };
        let at = Duration::from_secs(ts_sec.into()) + Duration::from_nanos(nanos);
        let wire = wire(orig_len, &data);
        take(Captured { link, bytes: kept(&data), wire, at: Some(at), notes: Vec::new() })?;
    }
    Ok(())
}

/// What counts of an interface.
struct Interface {
    link: Link,
    name: Option<String>,
    /// As the file has it: powers of ten, or of two with the high bit set.
    resolution: u8,
}

impl Interface {
    fn of(block: &InterfaceDescriptionBlock<'_>) -> Interface {
        let mut interface = Interface { link: Link::of(block.linktype.into()), name: None, resolution: 6 };
        for option in &block.options {
            match option {
                InterfaceDescriptionOption::IfName(name) => interface.name = Some(name.clone().into_owned()),
                InterfaceDescriptionOption::IfTsResol(resolution) => interface.resolution = *resolution,
                _ => {}
            }
        }
        interface
    }

    /// pcap-file 2.0.0 takes every unit of time for a nanosecond.
    fn time(&self, taken: Duration) -> Option<Duration> {
        let units = taken.as_nanos();
        let power = u32::from(self.resolution & 0x7f);
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        let nanos = units.checked_mul(1_000_000_000)? / base.checked_pow(power)?;
        Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
    }
}

fn pcapng(source: impl Read, take: &mut dyn FnMut(Captured) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut reader = PcapNgReader::new(source).map_err(stop)?;
    let mut interfaces: Vec<Interface> = Vec::new();
    while let Some(block) = reader.next_block() {
        match block.map_err(stop)? {
            Block::SectionHeader(_) => interfaces.clear(),
            Block::InterfaceDescription(block) => {
                if interfaces.len() >= usize::from(u16::MAX) {
                    return Err(nonsense("it names more than 65 535 interfaces"));
                }
                interfaces.push(Interface::of(&block));
            }
            Block::EnhancedPacket(packet) => {
                let interface = usize::try_from(packet.interface_id).ok().and_then(|id| interfaces.get(id));
                let Some(interface) = interface else { return Err(nonsense("a packet is of an unknown interface")) };
                let mut notes = Vec::new();
                let direction = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Flags(flags) => match flags & 3 {
                        1 => Some("in"),
                        2 => Some("out"),
                        _ => None,
                    },
                    _ => None,
                });
                match (&interface.name, direction) {
                    (Some(name), Some(direction)) => notes.push(format!("interface {}, {direction}", printable(name))),
                    (Some(name), None) => notes.push(format!("interface {}", printable(name))),
                    (None, Some(direction)) => notes.push(direction.into()),
                    (None, None) => {}
                }
                let comments = packet.options.iter().filter_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment),
                    _ => None,
                });
                for line in comments.flat_map(|comment| comment.lines()) {
                    notes.push(format!("\"{}\"", printable(line)));
                }
                let wire = wire(packet.original_len, &packet.data);
                let at = interface.time(packet.timestamp);
                take(Captured { link: interface.link, bytes: kept(&packet.data), wire, at, notes })?;
            }
            Block::SimplePacket(packet) => {
                let Some(interface) = interfaces.first() else { return Err(nonsense("a packet is of no interface")) };
                // Padded to whole words, and without a length of its own.
                let original = wire(packet.original_len, &[]);
                let data = &packet.data[..packet.data.len().min(original)];
                take(Captured {
                    link: interface.link,
                    bytes: kept(data),
                    wire: original,
                    at: None,
                    notes: Vec::new(),
                })?;
            }
            Block::Packet(packet) => {
                let Some(interface) = interfaces.get(usize::from(packet.interface_id)) else {
                    return Err(nonsense("a packet is of an unknown interface"));
                };
                let units = Duration::from_nanos(packet.timestamp);
                let (at, wire) = (interface.time(units), wire(packet.original_len, &packet.data));
                take(Captured { link: interface.link, bytes: kept(&packet.data), wire, at, notes: Vec::new() })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Text of a file, which may be anybody's, without what would steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use pcap_file::DataLink;
    use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
    use proptest::prelude::*;

    use super::*;

    fn packets(file: &[u8]) -> (Vec<Captured>, Option<String>) {
        let mut found = Vec::new();
        let read = read(file, |packet| {
            found.push(packet);
            Ok(())
        });
        let why = match read {
            Ok(()) => None,
            Err(Stop::Nonsense(why)) => Some(why),
            Err(_) => Some("something else".into()),
        };
        (found, why)
    }

    fn pcap(snaplen: u32, resolution: TsResolution) -> Vec<u8> {
        let header =
            PcapHeader { snaplen, datalink: DataLink::RAW, ts_resolution: resolution, ..PcapHeader::default() };
        let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
        let at = Duration::new(1_000_000_000, 123_456_789);
        writer.write_packet(&PcapPacket::new(at, 1500, &[0x45; 40])).unwrap();
        writer.into_writer()
    }

    fn pcapng() -> Vec<u8> {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        for (name, resolution) in [("tap0", Some(9)), ("eth0", None), ("odd", Some(0x8a))] {
            let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0);
            interface.options.push(InterfaceDescriptionOption::IfName(Cow::Borrowed(name)));
            interface.options.extend(resolution.map(InterfaceDescriptionOption::IfTsResol));
            writer.write_pcapng_block(interface).unwrap();
        }
        for (interface_id, units) in [(0, 1_500_000_000), (1, 1_500_000), (2, 1536)] {
            let options = vec![
                EnhancedPacketOption::Comment(Cow::Borrowed("tcp#1\nseq \u{1b}[31m")),
                EnhancedPacketOption::Flags(2),
            ];
            let timestamp = Duration::from_nanos(units);
            let data = Cow::Borrowed(&[1, 2, 3, 4, 5][..]);
            writer
                .write_pcapng_block(EnhancedPacketBlock { interface_id, timestamp, original_len: 60, data, options })
                .unwrap();
        }
        writer.write_pcapng_block(SimplePacketBlock { original_len: 3, data: Cow::Borrowed(&[7, 8, 9]) }).unwrap();
        writer.into_inner()
    }

    #[test]
    fn a_packet_of_pcap_may_be_longer_than_what_was_kept() {
        for (resolution, nanos) in [(TsResolution::MicroSecond, 123_456_000), (TsResolution::NanoSecond, 123_456_789)] {
            let file = pcap(1500, resolution);
            let mut short = file.clone();
            short[16..20].copy_from_slice(&40_u32.to_be_bytes()); // the snap length of the file
            let (found, why) = packets(&short);
            assert_eq!(why, None);
            let [packet] = &found[..] else { panic!("{} packets", found.len()) };
            assert_eq!((packet.link, packet.bytes.len(), packet.wire), (Link::Ip, 40, 1500));
            assert_eq!(packet.at, Some(Duration::new(1_000_000_000, nanos)));
        }
    }

    #[test]
    fn packets_of_pcapng_have_the_clock_of_their_interface_its_name_and_their_comments() {
        let (found, why) = packets(&pcapng());
        assert_eq!((found.len(), why), (4, None));
        for (packet, name) in found.iter().zip(["tap0", "eth0", "odd"]) {
            assert_eq!(packet.at, Some(Duration::from_millis(1500)), "{name}");
            assert_eq!((&packet.bytes[..], packet.wire), (&[1, 2, 3, 4, 5][..], 60));
            let interface = format!("interface {name}, out");
            assert_eq!(packet.notes, [&interface[..], "\"tcp#1\"", "\"seq \u{fffd}[31m\""]);
        }
        assert_eq!((&found[3].bytes[..], found[3].at), (&[7, 8, 9][..], None));
    }

    #[test]
    fn what_is_no_capture_gets_a_sentence() {
        for (file, sentence) in [
            (&b"ab"[..], "fewer than 4 bytes"),
            (b"4500 0034 not a capture at all, but text", "say --hex"),
            (&pcap(1500, TsResolution::MicroSecond)[..70], "in the middle of a packet"),
            (&pcapng()[..40], "in the middle of a packet"),
        ] {
            let (_, why) = packets(file);
            assert!(why.as_ref().is_some_and(|why| why.contains(sentence)), "{why:?}");
        }
    }

    proptest! {
        /// pcap-file is given anything: it may refuse it, and nothing else.
        #[test]
        fn a_damaged_file_is_refused_or_read(
            is_next_generation: bool, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = if is_next_generation { pcapng() } else { pcap(1500, TsResolution::NanoSecond) };
            for (at, value) in changes {
                let at = at.index(file.len());
                file[at] = value;
            }
            let (found, _) = packets(&file);
            prop_assert!(found.len() <= 4);
            file.truncate(cut.index(file.len()));
            let _ = packets(&file);
        }
    }
}
