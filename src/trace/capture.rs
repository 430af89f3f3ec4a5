//! Packets with their reasons, as a pcapng file that Wireshark reads.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::mem;
use std::time::Duration;

use etherparse::{LaxNetSlice, TransportSlice};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use super::checksum::Checksum;
use super::frame::{Frame, between, fragment};
use super::line::Links;
use super::synthesis::{MadeUp, Synthesis};
use crate::observe::{Direction, Event, Fate, Record};

/// Writes the frames and loopback packets among records, each with a comment: its number and that of its cause, its
/// socket, the change of state, the rule, and what its checksums are worth.
///
/// Times have nanoseconds. The TAP and the loopback are two interfaces, and each packet says which way it went.
///
/// ```
/// use std::time::Duration;
/// use tapsock::trace::Capture;
///
/// let mut file = Vec::new();
/// Capture::new(&mut file, "tap0", Duration::from_secs(1_700_000_000))?;
/// assert_eq!(&file[..4], [0x0a, 0x0d, 0x0d, 0x0a]); // a section header (draft-ietf-opsawg-pcapng §4.1)
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Capture<W: Write> {
    writer: PcapNgWriter<W>,
    /// When the stack was made, since 1970.
    started: Duration,
    /// Makes packets up for bytes that had none.
    synthesis: Option<Synthesis>,
    /// Records that are missing before the next packet.
    missing: u64,
    /// The comment on the packet that is being written.
    comment: String,
}

/// The number of an interface in the file.
const TAP: u32 = 0;
const LOOPBACK: u32 = 1;
const SYNTHETIC: u32 = 2;

impl<W: Write> Capture<W> {
    /// Begins a file about the stack on the interface `tap`, which was made at `started` after 1970.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(out: W, tap: &str, started: Duration) -> io::Result<Capture<W>> {
        let application = concat!("tapsock ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(application))],
            ..SectionHeaderBlock::default()
        };
        let mut writer = PcapNgWriter::with_section_header(out, section).map_err(error)?;
        for (name, about, linktype) in [
            (tap.to_owned(), "the TAP, as the stack sees it", DataLink::ETHERNET),
            ("lo".to_owned(), "what the stack sends to itself", DataLink::RAW),
            (
                "lo-synthetic".to_owned(),
                "made up: these bytes went by the fast loopback and had no packet",
                DataLink::RAW,
            ),
        ] {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(name)),
                InterfaceDescriptionOption::IfDescription(Cow::Borrowed(about)),
                // 10⁻⁹ s.
                InterfaceDescriptionOption::IfTsResol(9),
            ];
            let interface = InterfaceDescriptionBlock { linktype, snaplen: 0, options };
            writer.write_pcapng_block(interface).map_err(error)?;
        }
        Ok(Capture { writer, started, synthesis: None, missing: 0, comment: String::new() })
    }

    /// From here on, what joined sockets write to each other is written too, as packets that never existed: on an
    /// interface of their own, marked in their comments, and with their headers only, because the stack has not seen the
    /// bytes.
    pub fn synthesise(&mut self) {
        self.synthesis = Some(Synthesis::default());
    }

    /// Writes the packet that the record is about, if it is about one. Gives how many were written.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write(&mut self, record: &Record<'_>) -> io::Result<u64> {
        let length = match &record.event {
            Event::Frame { bytes, .. } | Event::Loopback { bytes, .. } => bytes.len(),
            _ => 0,
        };
        self.write_cut(record, length)
    }

    /// The same, where the record has only the beginning of a packet that was `length` bytes long.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write_cut(&mut self, record: &Record<'_>, length: usize) -> io::Result<u64> {
        let (interface, direction, bytes, fate) = match &record.event {
            Event::Frame { direction, bytes, fate } => (TAP, *direction, bytes, fate),
            Event::Loopback { direction, bytes, fate } => (LOOPBACK, *direction, bytes, fate),
            _ => {
                let made_up = self.synthesis.as_mut().map(|synthesis| synthesis.packets(&record.event));
                let mut count = 0;
                for MadeUp { headers, length, text } in made_up.unwrap_or_default() {
                    let comment = format_args!(
                        "{} · synthetic: no packet existed, the two ends are joined · {text}",
                        Links(record)
                    );
                    self.packet(SYNTHETIC, record, Direction::Out, (&headers, length), comment)?;
                    count += 1;
                }
                return Ok(count);
            }
        };
        let frame = if interface == TAP { Frame::decode(bytes) } else { Frame::decode_local(bytes) };
        let comment = Comment { record, frame: &frame, fate, is_cut: bytes.len() < length };
        self.packet(interface, record, direction, (bytes, length), format_args!("{comment}"))?;
        Ok(1)
    }

    /// So many records are missing here, and the next packet says so.
    pub fn miss(&mut self, records: u64) {
        self.missing = self.missing.saturating_add(records);
    }

    fn packet(
        &mut self,
        interface_id: u32,
        record: &Record<'_>,
        direction: Direction,
        (bytes, length): (&[u8], usize),
        comment: fmt::Arguments<'_>,
    ) -> io::Result<()> {
        let way = match direction {
            Direction::In => 1,
            Direction::Out => 2,
        };
        let mut text = mem::take(&mut self.comment);
        text.clear();
        // A string takes everything.
        let _ = text.write_fmt(comment);
        match mem::take(&mut self.missing) {
            0 => {}
            missing => _ = write!(text, " · {missing} records before this one are missing: they came too fast"),
        }
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: self.started + Duration::from_micros(record.at.micros()),
            original_len: u32::try_from(length).unwrap_or(u32::MAX),
            data: Cow::Borrowed(bytes),
            options: vec![EnhancedPacketOption::Comment(Cow::Borrowed(&text)), EnhancedPacketOption::Flags(way)],
        };
        self.writer.write_pcapng_block(block).map_err(error)?;
        self.comment = text;
        Ok(())
    }

    /// The file, as far as it is written.
    pub fn get_mut(&mut self) -> &mut W {
        self.writer.get_mut()
    }
}

impl<W: Write> fmt::Debug for Capture<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("started", &self.started).finish_non_exhaustive()
    }
}

fn error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

/// `@17 ← @12 · tcp#15 · LISTEN ⇒ SYN-RECEIVED · dropped by tcp.drop.paws: … · checksums: ip4 right, tcp right`
struct Comment<'a> {
    record: &'a Record<'a>,
    frame: &'a Frame<'a>,
    fate: &'a Fate,
    is_cut: bool,
}

impl fmt::Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Links(self.record))?;
        match &self.fate.owner {
            Some(owner) => write!(f, " · {}", owner.socket())?,
            None => f.write_str(" · no socket")?,
        }
        if let Some((from, to)) = self.fate.states {
            match from == to {
                true => write!(f, " · {from}")?,
                false => write!(f, " · {from} ⇒ {to}")?,
            }
        }
        if let Some(rule) = self.fate.rule {
            let deed = if rule.name().contains(".drop.") { "dropped by " } else { "" };
            write!(f, " · {deed}{}: {}", rule.name(), rule.sentence())?;
            if !rule.source().is_empty() {
                write!(f, " ({})", rule.source())?;
            }
        }
        match self.is_cut {
            true => f.write_str(" · cut off: its checksums cannot be told"),
            false => write!(f, "{}", Verdicts(self.frame)),
        }
    }
}

/// What each checksum of a frame is worth.
struct Verdicts<'a>(&'a Frame<'a>);

impl fmt::Display for Verdicts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(net) = self.0.net() else { return Ok(()) };
        let mut before = " · checksums: ";
        let mut say = |name: &str, checksum: Option<Checksum>| match checksum {
            Some(checksum) => write!(f, "{}{name} {}", mem::replace(&mut before, ", "), checksum.verdict()),
            None => Ok(()),
        };
        if let LaxNetSlice::Ipv4(ip) = net {
            say("ip4", Checksum::of_header(ip.header().slice()))?;
        }
        let (None, Some(between)) = (fragment(net), between(net)) else { return Ok(()) };
        match self.0.transport() {
            Some(TransportSlice::Tcp(tcp)) => say("tcp", Checksum::of_tcp(between, tcp.slice())),
            Some(TransportSlice::Udp(udp)) if udp.checksum() == 0 && between.0.is_ipv4() => Ok(()),
            Some(TransportSlice::Udp(udp)) => say("udp", Checksum::of_udp(between, udp.slice())),
            Some(TransportSlice::Icmpv4(message)) => say("icmp", Checksum::of_message(message.slice())),
            Some(TransportSlice::Icmpv6(message)) => say("icmp6", Checksum::of_icmp6(between, message.slice())),
            Some(TransportSlice::Igmp(_)) => {
                say("igmp", net.ip_payload_ref().and_then(|payload| Checksum::of_message(payload.payload)))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::super::tests::{frames::of_every_kind, syn};
    use super::*;
    use crate::observe::{Depth, Ownership, Protocol, Rule, SocketId, TcpState, Time, Trail};

    const STARTED: Duration = Duration::new(1_700_000_000, 123_000_000);

    /// Interface, time, direction, comment and bytes of each packet.
    fn written(events: Vec<Event<'static>>) -> Vec<(u32, Duration, u32, String, Vec<u8>)> {
        let mut trail = Trail::default();
        trail.set_depth(Depth::Bytes);
        let mut file = Vec::new();
        let mut capture = Capture::new(&mut file, "tap7", STARTED).unwrap();
        for event in events {
            trail.note(Time::from_micros(1_000_001), event);
        }
        trail.drain().for_each(|record| assert_eq!(capture.write(&record).unwrap(), 1));
        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                let [EnhancedPacketOption::Comment(comment), EnhancedPacketOption::Flags(flags)] = &packet.options[..]
                else {
                    panic!("{:?}", packet.options)
                };
                let comment = comment.to_string();
                packets.push((packet.interface_id, packet.timestamp, *flags, comment, packet.data.to_vec()));
            }
        }
        packets
    }

    #[test]
    fn a_frame_has_its_moment_its_way_and_its_reason() {
        let socket = SocketId { protocol: Protocol::Tcp, number: 3 };
        let fate = Fate {
            states: Some((TcpState::Listen, TcpState::SynReceived)),
            rule: Some(Rule::TcpPaws),
            ..Fate::of(Ownership::FourTuple { socket })
        };
        let bytes = syn();
        let packets = written(vec![Event::Frame { direction: Direction::In, bytes: bytes.clone().into(), fate }]);
        let comment = format!(
            "@1 · tcp#3 · LISTEN ⇒ SYN-RECEIVED · dropped by tcp.drop.paws: {} (RFC 7323 §5.3) · checksums: ip4 right, tcp right",
            Rule::TcpPaws.sentence()
        );
        assert_eq!(packets, [(0, STARTED + Duration::from_micros(1_000_001), 1, comment, bytes)]);
    }

    #[test]
    fn what_the_stack_sends_to_itself_is_on_an_interface_of_its_own() {
        let packet = syn()[14..].to_vec();
        let fate = Fate::nobody(Rule::TcpRstClosedPort);
        let packets = written(vec![Event::Loopback { direction: Direction::Out, bytes: packet.into(), fate }]);
        assert_eq!((packets[0].0, packets[0].2), (1, 2));
        assert!(packets[0].3.starts_with("@1 · no socket · tcp.rst.closed-port: "), "{}", packets[0].3);
    }

    #[test]
    fn a_damaged_checksum_is_called_wrong_in_every_kind_of_frame() {
        for (kind, mut bytes) in of_every_kind() {
            let event = |bytes: &[u8]| Event::Frame {
                direction: Direction::In,
                bytes: bytes.to_vec().into(),
                fate: Fate::nobody(Rule::IcmpEcho),
            };
            let right = written(vec![event(&bytes)])[0].3.clone();
            assert!(!right.contains("WRONG"), "{kind}: {right}");
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            // What covers the last byte; ARP has no checksum, and an IPv4 header has its own.
            let sums = right.split(" · checksums: ").nth(1).unwrap_or_default();
            if sums.contains("tcp") || sums.contains("udp") || sums.contains("icmp") {
                let wrong = written(vec![event(&bytes)])[0].3.clone();
                assert!(wrong.contains("WRONG"), "{kind}: {wrong}");
            }
        }
    }
}
