//! What smoltcp takes for its network device: one packet in, and packets out.

use std::num::{NonZeroU16, NonZeroUsize};

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TCP_HEADER_LEN, TcpPacket, TcpSeqNumber};

use super::header::{Header, MtuDiscovery};
use super::options::{self, Options};
use super::sequence::{add, earlier, is_after, later, span};
use crate::ip::{Form, Packets};
use crate::observe::{Fate, Rule, Time};

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
    pub(super) kind: Kind,
}

/// What a segment is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    New,
    Again,
    WindowProbe,
}

/// What was sent at once: one segment as a rule, for which nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct Noted {
    first: Option<Sent>,
    more: Vec<Sent>,
}

impl Noted {
    fn push(&mut self, sent: Sent) {
        match self.first {
            None => self.first = Some(sent),
            Some(_) => self.more.push(sent),
        }
    }

    fn extend(&mut self, sent: Option<Sent>) {
        if let Some(sent) = sent {
            self.push(sent);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.first.iter().chain(&self.more)
    }
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
        // Options are added later.
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(LARGEST_PACKET - options::ROOM);
        capabilities.segmentation.tcpv6 = NonZeroUsize::new(LARGEST_PACKET - options::ROOM);
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

/// Takes what a connection sends: adds the options, marks where super-segments are to be cut, and notes what went.
pub(super) struct TcpOutlet<'a> {
    pub(super) out: &'a mut Packets,
    pub(super) fate: Fate,
    /// Payload bytes of one segment on the link, with these options.
    pub(super) segment: NonZeroU16,
    pub(super) options: Options,
    pub(super) header: Header,
    pub(super) sent: &'a mut Noted,
    /// What smoltcp sends has to be looked at first.
    pub(super) plan: Option<&'a mut Plan>,
}

/// What may leave of what smoltcp gives out, when it gives out more than that.
#[derive(Debug)]
pub(super) struct Plan {
    /// For a SYN, and why it is sent if it was sent before.
    pub(super) syn: Options,
    pub(super) syn_rule: Option<Rule>,
    /// SND.UNA, SND.NXT and the end of the peer's window.
    pub(super) una: TcpSeqNumber,
    pub(super) nxt: TcpSeqNumber,
    /// smoltcp takes the window for closed: a byte that it sends now is a probe.
    pub(super) is_closed: bool,
    /// What is to be sent again, and why.
    pub(super) due: Vec<(TcpSeqNumber, TcpSeqNumber)>,
    pub(super) rule: Option<Rule>,
    /// Old data may come.
    pub(super) is_expected: bool,
    /// Old data came, and nothing was due: smoltcp's own timer went off.
    pub(super) is_unexpected: bool,
    /// How far smoltcp has come.
    pub(super) reached: Option<TcpSeqNumber>,
    pub(super) scratch: Vec<u8>,
}

impl Outlet for TcpOutlet<'_> {
    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.plan.is_some() {
            return self.push_planned(length, write);
        }
        let (sent, options, header) = (&mut *self.sent, &self.options, self.header);
        let extra = options.len();
        self.out.push(length + extra, self.fate, Some(self.segment), |packet| {
            let result = write(&mut packet[extra..]);
            insert(packet, options);
            header.write(packet);
            sent.extend(note(packet));
            result
        })
    }
}

impl TcpOutlet<'_> {
    fn push_planned<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let Some(plan) = self.plan.take() else { return write(&mut vec![0; length]) };
        let mut scratch = std::mem::take(&mut plan.scratch);
        // As in the arena: smoltcp writes every byte.
        if scratch.len() < length {
            scratch = vec![0; length];
        }
        let packet = &mut scratch[..length];
        let result = write(packet);
        if let Some(whole) = note(packet) {
            self.choose(plan, packet, whole);
        }
        plan.scratch = scratch;
        self.plan = Some(plan);
        result
    }

    fn choose(&mut self, plan: &mut Plan, packet: &[u8], whole: Sent) {
        let length = whole.payload + usize::from(whole.fin);
        let end = add(whole.seq, length);
        if whole.syn {
            let options = plan.syn;
            self.emit(packet, whole, &options, plan.syn_rule);
        } else if length == 0 || !is_after(end, plan.una) {
            let options = self.options;
            self.emit(packet, whole, &options, None);
        } else if plan.is_closed && whole.payload == 1 {
            let options = self.options;
            self.emit(packet, Sent { kind: Kind::WindowProbe, ..whole }, &options, Some(Rule::TcpProbeZeroWindow));
        } else {
            self.choose_data(plan, packet, whole, end);
        }
    }

    fn choose_data(&mut self, plan: &mut Plan, packet: &[u8], whole: Sent, end: TcpSeqNumber) {
        let options = self.options;
        plan.reached = Some(end);
        if is_after(plan.nxt, whole.seq) {
            plan.is_unexpected |= !plan.is_expected;
            for &(left, right) in &plan.due {
                let (left, right) = (later(left, whole.seq), earlier(right, end));
                if is_after(right, left) {
                    self.emit(packet, part(whole, left, right, Kind::Again), &options, plan.rule);
                }
            }
        }
        let new = later(whole.seq, plan.nxt);
        if is_after(end, new) {
            self.emit(packet, part(whole, new, end, Kind::New), &options, None);
            plan.nxt = end;
        }
    }

    /// Sends a part of a packet that smoltcp wrote.
    fn emit(&mut self, packet: &[u8], sent: Sent, options: &Options, rule: Option<Rule>) {
        let Some(start) = tcp_start(packet) else { return };
        let whole = TcpPacket::new_unchecked(&packet[start..]);
        let payload = &packet[start + usize::from(whole.header_len())..];
        let from = span(whole.seq_number(), sent.seq).min(payload.len());
        let payload = &payload[from..payload.len().min(from + sent.payload)];
        let (headers, header) = (start + TCP_HEADER_LEN, self.header);
        let fate = Fate { rule: rule.or(self.fate.rule), ..self.fate };
        self.out.push(headers + options.len() + payload.len(), fate, Some(self.segment), |bytes| {
            bytes[..headers].copy_from_slice(&packet[..headers]);
            bytes[headers..headers + options.len()].copy_from_slice(options.as_bytes());
            bytes[headers + options.len()..].copy_from_slice(payload);
            let mut tcp = TcpPacket::new_unchecked(&mut bytes[start..]);
            tcp.set_header_len((TCP_HEADER_LEN + options.len()) as u8);
            tcp.set_seq_number(sent.seq);
            tcp.set_fin(sent.fin);
            header.write(bytes);
        });
        self.sent.push(sent);
    }
}

/// The part `left..right` of what a packet carries; a FIN counts for one.
fn part(whole: Sent, left: TcpSeqNumber, right: TcpSeqNumber, kind: Kind) -> Sent {
    let data_end = add(whole.seq, whole.payload);
    let payload = span(left, earlier(right, data_end));
    Sent { seq: left, payload, fin: whole.fin && is_after(right, data_end), kind, ..whole }
}

/// Moves the headers to the front and puts the options behind them. smoltcp has written behind their room.
fn insert(packet: &mut [u8], options: &Options) {
    let extra = options.len();
    if extra == 0 {
        return;
    }
    let Some(start) = tcp_start(&packet[extra..]) else { return };
    let headers = start + TCP_HEADER_LEN;
    packet.copy_within(extra..extra + headers, 0);
    packet[headers..headers + extra].copy_from_slice(options.as_bytes());
    TcpPacket::new_unchecked(&mut packet[start..]).set_header_len((TCP_HEADER_LEN + extra) as u8);
}

/// Takes what nobody should see: the SYN-ACK of a replayed handshake.
pub(super) struct Discard<'a> {
    pub(super) sent: &'a mut Noted,
}

/// The largest headers of a segment without data: IPv6, and TCP with all the options it can have.
const HEADERS: usize = 40 + 60;

impl Outlet for Discard<'_> {
    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let (mut small, mut large);
        let packet = if length <= HEADERS {
            small = [0; HEADERS];
            &mut small[..length]
        } else {
            large = vec![0; length];
            &mut large[..]
        };
        let result = write(packet);
        self.sent.extend(note(packet));
        result
    }
}

/// Takes datagrams.
pub(super) struct UdpOutlet<'a> {
    pub(super) out: &'a mut Packets,
    pub(super) header: Header,
    pub(super) fate: Fate,
}

impl Outlet for UdpOutlet<'_> {
    /// The payload of an IPv6 packet can have as many bytes as an IPv4 packet with its header.
    const LARGEST: usize = LARGEST_PACKET + 40;

    fn push<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let header = self.header;
        let form = if header.discovery == MtuDiscovery::Probe { Form::Probe } else { Form::Ours(None) };
        self.out.push_as(length, self.fate, form, |packet| {
            let result = write(packet);
            header.write(packet);
            result
        })
    }
}

/// Where the TCP header begins.
fn tcp_start(packet: &[u8]) -> Option<usize> {
    match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_unchecked(packet);
            (ip.next_header() == IpProtocol::Tcp).then(|| usize::from(ip.header_len()))
        }
        _ => {
            let ip = Ipv6Packet::new_unchecked(packet);
            (ip.next_header() == IpProtocol::Tcp).then(|| ip.header_len())
        }
    }
}

fn note(packet: &[u8]) -> Option<Sent> {
    let start = tcp_start(packet)?;
    let tcp = TcpPacket::new_unchecked(&packet[start..]);
    Some(Sent {
        seq: tcp.seq_number(),
        payload: packet.len() - start - usize::from(tcp.header_len()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        ack: tcp.ack().then(|| tcp.ack_number()),
        window: tcp.window_len(),
        kind: Kind::New,
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
