//! What smoltcp takes for its network device: one packet in, and packets out.

use std::num::{NonZeroU16, NonZeroUsize};

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber};

use super::segment::clamp_mss;
use crate::ip::Packets;
use crate::observe::{Fate, Time};

/// smoltcp works on packets as large as IP allows; `ip` cuts them for the link.
pub(super) const LARGEST_PACKET: usize = 65_535;

/// What a state machine sent, as far as those around it need to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) seq: TcpSeqNumber,
    pub(super) payload: usize,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) ack: Option<TcpSeqNumber>,
    /// As it stands in the header.
    pub(super) window: u16,
}

/// Where packets go.
pub(super) trait Outlet {
    /// The largest packet that it takes.
    const LARGEST: usize = LARGEST_PACKET;

    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R;
}

/// Lets smoltcp see one packet and takes what it sends.
pub(super) struct Port<'p, O> {
    pub(super) incoming: Option<&'p [u8]>,
    pub(super) outlet: O,
}

impl<O: Outlet> Device for Port<'_, O> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a, O>
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Incoming<'_>, Outgoing<'_, O>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(&mut self.outlet)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Outgoing<'_, O>> {
        Some(Outgoing(&mut self.outlet))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = O::LARGEST;
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(LARGEST_PACKET);
        capabilities.segmentation.tcpv6 = NonZeroUsize::new(LARGEST_PACKET);
        capabilities
    }
}

pub(super) struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(super) struct Outgoing<'a, O>(&'a mut O);

impl<O: Outlet> TxToken for Outgoing<'_, O> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.0.push(length, f)
    }
}

/// Takes what a connection sends: marks where super-segments are to be cut, writes the right MSS into a SYN, and notes what went.
pub(super) struct TcpOutlet<'a> {
    pub(super) out: &'a mut Packets,
    pub(super) fate: Fate,
    /// Payload bytes of one segment on the link.
    pub(super) segment: NonZeroU16,
    /// The MSS that we announce.
    pub(super) announced_mss: u16,
    pub(super) sent: &'a mut Vec<Sent>,
}

impl Outlet for TcpOutlet<'_> {
    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let (sent, announced_mss) = (&mut *self.sent, self.announced_mss);
        self.out.push(length, self.fate, Some(self.segment), |packet| {
            let result = write(packet);
            sent.extend(note(packet, announced_mss));
            result
        })
    }
}

/// Takes what nobody should see: the SYN-ACK of a replayed handshake.
pub(super) struct Discard<'a> {
    pub(super) scratch: Vec<u8>,
    pub(super) sent: &'a mut Vec<Sent>,
}

impl Outlet for Discard<'_> {
    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        self.scratch.clear();
        self.scratch.resize(length, 0);
        let result = write(&mut self.scratch);
        self.sent.extend(note(&mut self.scratch, u16::MAX));
        result
    }
}

/// Takes datagrams.
pub(super) struct UdpOutlet<'a> {
    pub(super) out: &'a mut Packets,
    pub(super) fate: Fate,
}

impl Outlet for UdpOutlet<'_> {
    /// The payload of an IPv6 packet can have as many bytes as an IPv4 packet with its header.
    const LARGEST: usize = LARGEST_PACKET + 40;

    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        self.out.push(length, self.fate, None, write)
    }
}

fn note(packet: &mut [u8], announced_mss: u16) -> Option<Sent> {
    let header = match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_unchecked(&*packet);
            (ip.next_header() == IpProtocol::Tcp).then(|| usize::from(ip.header_len()))
        }
        _ => {
            let ip = Ipv6Packet::new_unchecked(&*packet);
            (ip.next_header() == IpProtocol::Tcp).then(|| ip.header_len())
        }
    }?;
    let length = packet.len();
    let mut tcp = TcpPacket::new_unchecked(&mut packet[header..]);
    if tcp.syn() {
        clamp_mss(tcp.options_mut(), announced_mss);
    }
    Some(Sent {
        seq: tcp.seq_number(),
        payload: length - header - usize::from(tcp.header_len()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        ack: tcp.ack().then(|| tcp.ack_number()),
        window: tcp.window_len(),
    })
}

/// smoltcp's clock.
pub(super) fn instant(now: Time) -> Instant {
    Instant::from_micros(i64::try_from(now.micros()).unwrap_or(i64::MAX))
}

/// Our clock.
pub(super) fn time(instant: Instant) -> Time {
    Time::from_micros(u64::try_from(instant.total_micros()).unwrap_or(0))
}
