//! A TCP segment as it came, and segments that the stack sends without a connection's state machine.

use std::net::SocketAddr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, IpRepr, TcpControl, TcpOption, TcpPacket, TcpRepr, TcpSeqNumber, TcpTimestampRepr,
};

use super::header::Header;
use crate::ip::{self, Packet, Packets};
use crate::observe::{Fate, Rule};

/// A valid segment: checked length, checksum, ports and options.
#[derive(Debug, Clone)]
pub(super) struct Segment<'p> {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) repr: TcpRepr<'p>,
    /// As carried in the segment.
    pub(super) checksum: u16,
    /// This stack sent it itself.
    pub(super) is_local: bool,
    /// An option is malformed or of a length that it should not have: we ignore it, and smoltcp would not.
    pub(super) has_odd_options: bool,
}

impl<'p> Segment<'p> {
    /// Checks what can be checked without knowing a connection.
    pub(super) fn parse(packet: &Packet<'p>) -> Result<Segment<'p>, Rule> {
        let bytes = TcpPacket::new_checked(packet.payload).map_err(|_| Rule::TcpMalformed)?;
        if ip::transport_checksum(packet.source, packet.destination, packet.protocol, packet.payload) != 0 {
            return Err(Rule::TcpChecksum);
        }
        if bytes.src_port() == 0 || bytes.dst_port() == 0 {
            return Err(Rule::TcpMalformed);
        }
        let (repr, has_odd_options) = parse_repr(&bytes)?;
        Ok(Segment {
            local: SocketAddr::new(packet.destination, bytes.dst_port()),
            remote: SocketAddr::new(packet.source, bytes.src_port()),
            repr,
            checksum: bytes.checksum(),
            is_local: packet.is_local,
            has_odd_options,
        })
    }

    /// How much sequence space it takes: payload, SYN and FIN.
    pub(super) fn len(&self) -> usize {
        self.repr.segment_len()
    }

    pub(super) fn is_syn(&self) -> bool {
        self.repr.control == TcpControl::Syn
    }

    pub(super) fn is_rst(&self) -> bool {
        self.repr.control == TcpControl::Rst
    }
}

/// Unlike `TcpRepr::parse`, takes unknown and oddly sized options as a host must (RFC 9293 §3.1: MUST-6):
/// it ignores them. The second value says whether there was one that `TcpRepr::parse` would refuse.
fn parse_repr<'p>(bytes: &TcpPacket<&'p [u8]>) -> Result<(TcpRepr<'p>, bool), Rule> {
    let control = match (bytes.syn(), bytes.fin(), bytes.rst(), bytes.psh()) {
        (false, false, false, false) => TcpControl::None,
        (false, false, false, true) => TcpControl::Psh,
        (true, false, false, _) => TcpControl::Syn,
        (false, true, false, _) => TcpControl::Fin,
        (false, false, true, _) => TcpControl::Rst,
        _ => return Err(Rule::TcpFlags),
    };
    let mut repr = TcpRepr {
        src_port: bytes.src_port(),
        dst_port: bytes.dst_port(),
        control,
        seq_number: bytes.seq_number(),
        ack_number: bytes.ack().then(|| bytes.ack_number()),
        window_len: bytes.window_len(),
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None, None, None],
        timestamp: None,
        payload: bytes.payload(),
    };
    let mut options = bytes.options();
    while !options.is_empty() {
        // A length below 2 or beyond the header ends the walk: what follows cannot be told apart.
        let Ok((rest, option)) = TcpOption::parse(options) else { return Ok((repr, true)) };
        match option {
            TcpOption::EndOfList => break,
            TcpOption::MaxSegmentSize(size) => repr.max_seg_size = Some(size),
            // RFC 7323 §2.3: a larger shift is taken as 14.
            TcpOption::WindowScale(shift) => repr.window_scale = Some(shift.min(14)),
            TcpOption::SackPermitted => repr.sack_permitted = true,
            TcpOption::SackRange(ranges) => repr.sack_ranges = ranges,
            TcpOption::TimeStamp { tsval, tsecr } => repr.timestamp = Some(TcpTimestampRepr::new(tsval, tsecr)),
            _ => {}
        }
        options = rest;
    }
    Ok((repr, false))
}

/// The addresses of a packet of ours, without a payload yet.
pub(super) fn header(local: SocketAddr, remote: SocketAddr, payload_len: usize) -> IpRepr {
    IpRepr::new(IpAddress::from(local.ip()), IpAddress::from(remote.ip()), IpProtocol::Tcp, payload_len, 64)
}

/// Writes a whole IP packet with `repr` in it. Checksums are filled in where packets leave, in `ip`.
pub(super) fn write(ip: &IpRepr, repr: &TcpRepr<'_>, packet: &mut [u8]) {
    let checksums = ChecksumCapabilities::ignored();
    ip.emit(&mut *packet, &checksums);
    let mut segment = TcpPacket::new_unchecked(&mut packet[ip.header_len()..]);
    repr.emit(&mut segment, &ip.src_addr(), &ip.dst_addr(), &checksums);
}

/// Sends a segment that no state machine asked for.
pub(super) fn send(
    local: SocketAddr,
    remote: SocketAddr,
    repr: &TcpRepr<'_>,
    chosen: Header,
    fate: Fate,
    out: &mut Packets,
) {
    let ip = header(local, remote, repr.buffer_len());
    out.push(ip.header_len() + repr.buffer_len(), fate, None, |packet| {
        write(&ip, repr, packet);
        chosen.write(packet);
    });
}

/// Writes `packet` anew into `scratch`, with a plain IP header and `payload` as its payload.
pub(super) fn rebuild(packet: &Packet<'_>, payload: &[u8], scratch: &mut Vec<u8>) {
    let (source, destination) = (IpAddress::from(packet.source), IpAddress::from(packet.destination));
    let protocol = IpProtocol::from(packet.protocol);
    let ip = IpRepr::new(source, destination, protocol, payload.len(), packet.hop_limit.max(1));
    scratch.clear();
    scratch.resize(ip.header_len(), 0);
    ip.emit(&mut scratch[..], &ChecksumCapabilities::ignored());
    scratch.extend_from_slice(payload);
}

/// The same, with the first `keep` bytes of the segment's own payload, without its FIN if `cut`, and with this
/// acknowledgment and window.
pub(super) fn rebuild_cut(
    packet: &Packet<'_>,
    segment: &Segment<'_>,
    (keep, cut): (usize, bool),
    (ack, window): (TcpSeqNumber, u16),
    scratch: &mut Vec<u8>,
) {
    let header = packet.payload.len() - segment.repr.payload.len();
    let keep = (header + keep).min(packet.payload.len());
    rebuild(packet, &packet.payload[..keep], scratch);
    let start = scratch.len() - keep;
    mute_options(&mut scratch[start..]);
    let mut tcp = TcpPacket::new_unchecked(&mut scratch[start..]);
    tcp.set_ack_number(ack);
    tcp.set_window_len(window);
    if cut {
        tcp.set_fin(false);
    }
}

/// Turns the options of a segment into NOPs: what they said has been read.
pub(super) fn mute_options(segment: &mut [u8]) {
    let end = usize::from(TcpPacket::new_unchecked(&*segment).header_len()).min(segment.len());
    if let Some(options) = segment.get_mut(20..end) {
        options.fill(1);
    }
}

/// A segment with nothing but a header.
pub(super) fn bare(local: SocketAddr, remote: SocketAddr) -> TcpRepr<'static> {
    TcpRepr {
        src_port: local.port(),
        dst_port: remote.port(),
        control: TcpControl::None,
        seq_number: TcpSeqNumber(0),
        ack_number: None,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None, None, None],
        timestamp: None,
        payload: &[],
    }
}

/// The RST that answers `segment` (RFC 9293 §3.10.7.1).
pub(super) fn reset_for(segment: &Segment<'_>) -> TcpRepr<'static> {
    let mut reset = bare(segment.local, segment.remote);
    reset.control = TcpControl::Rst;
    match segment.repr.ack_number {
        Some(ack) => reset.seq_number = ack,
        None => reset.ack_number = Some(segment.repr.seq_number + segment.len()),
    }
    reset
}
