use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{self, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::storage::PacketMetadata;
use smoltcp::wire::{HardwareAddress, IpAddress, IpEndpoint};

use super::Holder;
use super::group::GroupOptions;
use super::header::{Header, Headers};
use super::medium::{LARGEST_PACKET, Port, UdpOutlet, instant};
use super::ports::{Place, Sharing};
use super::sent::Sent;
use crate::error::{Error, Result};
use crate::ip::Packets;
use crate::memory::{Charge, Memory};
use crate::observe::{Fate, Ownership, Rule, SocketId, Summary, Time};

/// Datagrams that smoltcp's socket holds for the moment between a packet's arrival and the end of the round, and while
/// its program does not read.
const QUEUE: usize = 64;

/// Bytes of the buffer that a socket has, and those it grows to while large datagrams wait. A datagram lies in one piece,
/// so that half the buffer can be used at any time.
const SMALLEST_BUFFER: usize = 16 * 1024;
const LARGEST_BUFFER: usize = 2 * 65_536;

/// A UDP socket. It receives; one `Sender` sends for all of them.
#[derive(Debug)]
pub struct Datagram {
    set: SocketSet<'static>,
    handle: SocketHandle,
    /// Datagrams that smoltcp holds.
    waiting: usize,
    /// Their buffer.
    charge: Charge,
    pub(super) sent: Sent,
    /// Bytes that may wait here (SO_RCVBUF). One datagram always may.
    receive_bound: usize,
    /// Also soft ICMP errors, and those of peers it is not connected to (IP_RECVERR).
    pub(super) wants_errors: bool,
    pub(super) id: SocketId,
    pub(super) place: Place,
    pub(super) sharing: Sharing,
    pub(super) local: SocketAddr,
    pub(super) remote: Option<SocketAddr>,
    /// Multicast groups that it has joined.
    pub(super) groups: Vec<IpAddr>,
    pub(super) options: GroupOptions,
    pub(super) headers: Headers,
    pub(super) descriptor: usize,
    pub(super) created: Time,
    pub(super) summary: Summary,
}

/// The one smoltcp socket through which every UDP socket sends: between two datagrams it is empty, so one large buffer
/// is enough for all.
pub(super) struct Sender {
    /// A context of its own, for packets larger than TCP makes.
    interface: Interface,
    set: SocketSet<'static>,
    handle: SocketHandle,
}

/// A buffer for received datagrams.
fn receive_buffer(bytes: usize) -> udp::PacketBuffer<'static> {
    // A ring that wraps around has one entry more, for what is left at its end.
    udp::PacketBuffer::new(vec![PacketMetadata::EMPTY; QUEUE + 1], vec![0; bytes])
}

fn no_buffer() -> udp::PacketBuffer<'static> {
    udp::PacketBuffer::new(Vec::new(), Vec::new())
}

/// A set with one socket, bound to `port`. Which datagrams are whose is decided by the table of ports; smoltcp is told
/// the port only.
fn set_of(socket: udp::Socket<'static>) -> (SocketSet<'static>, SocketHandle) {
    let mut set = SocketSet::new(vec![SocketStorage::EMPTY]);
    let handle = set.add(socket);
    (set, handle)
}

fn receiver(buffer: udp::PacketBuffer<'static>, port: u16) -> udp::Socket<'static> {
    let mut socket = udp::Socket::new(buffer, no_buffer());
    // It cannot fail: the socket is new and the port is not 0.
    let bound = socket.bind(port);
    debug_assert_eq!(bound, Ok(()));
    socket
}

impl Datagram {
    pub(super) fn new(holder: Holder, place: Place, memory: &Memory, now: Time) -> Datagram {
        let local = place.local;
        let (set, handle) = set_of(receiver(receive_buffer(SMALLEST_BUFFER), local.port()));
        let mut charge = memory.account();
        charge.set(SMALLEST_BUFFER);
        Datagram {
            set,
            handle,
            waiting: 0,
            charge,
            sent: Sent::default(),
            receive_bound: LARGEST_BUFFER,
            wants_errors: false,
            id: holder.id,
            place,
            sharing: Sharing::default(),
            local,
            remote: None,
            groups: Vec::new(),
            options: GroupOptions::default(),
            headers: Headers::default(),
            descriptor: holder.descriptor,
            created: now,
            summary: Summary::default(),
        }
    }

    /// Whether it is told of every ICMP error.
    pub fn set_receive_errors(&mut self, on: bool) {
        self.wants_errors = on;
    }

    /// What stands in the header of a datagram to `destination`: groups have hops of their own.
    pub(super) fn header(&self, destination: IpAddr) -> Header {
        let header = self.headers.towards(destination);
        if destination.is_multicast() {
            return Header { hop_limit: self.options.towards(destination).hops, ..header };
        }
        header
    }

    /// How many bytes may wait here, before its program's end of the pipe has room.
    pub fn set_receive_bound(&mut self, bytes: usize) {
        self.receive_bound = bytes;
    }

    /// From the next datagram on.
    pub fn set_headers(&mut self, headers: Headers) {
        self.headers = headers;
    }

    fn socket_mut(&mut self) -> &mut udp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Its name in the trace.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// Bytes that wait to go up to its program.
    pub fn unread(&self) -> usize {
        self.set.get::<udp::Socket<'_>>(self.handle).recv_queue()
    }

    /// What it has carried up to now.
    pub fn summary(&self, now: Time) -> Summary {
        Summary { age: now - self.created, ..self.summary }
    }

    /// What it is bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whom it is connected to.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Whether it wants a datagram from `remote`: a connected one hears its peer only (`connect(2)`).
    pub(super) fn hears(&self, remote: SocketAddr) -> bool {
        self.remote.is_none_or(|peer| peer == remote)
    }

    /// Whether it has the permission that broadcast needs (SO_BROADCAST, RFC 1122 §3.3.6).
    pub(super) fn may_send_to_group(&self, group: IpAddr) -> Result<()> {
        if group.is_multicast() || self.options.broadcast { Ok(()) } else { Err(Error::PermissionDenied) }
    }

    pub(super) fn owner(&self) -> Ownership {
        Ownership::Port { socket: self.id, bound: self.local }
    }

    /// Makes room for a datagram of `length` bytes, if need be with a larger buffer, or says why there is none.
    pub(super) fn make_room(&mut self, length: usize) -> std::result::Result<(), Rule> {
        if self.waiting >= QUEUE {
            return Err(Rule::UdpBufferFull);
        }
        let is_short = self.charge.is_exhausted();
        let bound = if self.waiting == 0 { LARGEST_BUFFER } else { self.receive_bound };
        let socket = self.socket_mut();
        let bytes = socket.recv_queue() + length;
        let (needed, capacity) = (2 * bytes, socket.payload_recv_capacity());
        if needed > LARGEST_BUFFER || bytes > bound {
            return Err(Rule::UdpBufferFull);
        }
        // Also what fits here needs memory of its own as soon as it goes up to its program.
        if is_short {
            return Err(Rule::UdpMemoryLimit);
        }
        if needed > capacity {
            self.resize(needed.next_power_of_two());
        }
        Ok(())
    }

    /// Moves what waits, and fits, into another buffer.
    fn resize(&mut self, bytes: usize) {
        let mut buffer = receive_buffer(bytes);
        let socket = self.socket_mut();
        let port = socket.endpoint().port;
        while let Ok((datagram, metadata)) = socket.recv() {
            if let Ok(space) = buffer.enqueue(datagram.len(), metadata) {
                space.copy_from_slice(datagram);
            }
        }
        (self.set, self.handle) = set_of(receiver(buffer, port));
        self.charge.set(bytes);
    }

    pub(super) fn feed(&mut self, now: Time, interface: &mut Interface, packet: &[u8], out: &mut Packets) {
        let outlet = UdpOutlet { out, header: Header::default(), fate: Fate::of(self.owner()) };
        let mut port = Port { incoming: Some(packet), outlet };
        interface.poll_ingress_single(instant(now), &mut port, &mut self.set);
        self.waiting += 1;
        self.summary.packets_in += 1;
    }

    /// Shows received datagrams to `take` until it says that it has no room for one (which then stays).
    pub fn receive(&mut self, mut take: impl FnMut(&[u8], SocketAddr, IpAddr) -> bool) {
        loop {
            let socket = self.set.get_mut::<udp::Socket<'_>>(self.handle);
            let length = match socket.peek() {
                Ok((bytes, metadata)) => {
                    let peer = SocketAddr::new(metadata.endpoint.addr.into(), metadata.endpoint.port);
                    let local = metadata.local_address.map_or(self.local.ip(), IpAddr::from);
                    if !take(bytes, peer, local) {
                        return;
                    }
                    bytes.len()
                }
                Err(_) => {
                    self.waiting = 0;
                    if socket.payload_recv_capacity() > SMALLEST_BUFFER {
                        self.resize(SMALLEST_BUFFER);
                    }
                    return;
                }
            };
            self.summary.bytes_in += length as u64;
            if socket.recv().is_err() {
                return;
            }
            self.waiting = self.waiting.saturating_sub(1);
        }
    }

    /// A datagram came without a packet.
    pub(super) fn note_received(&mut self, bytes: usize) {
        self.summary.packets_in += 1;
        self.summary.bytes_in += bytes as u64;
    }

    /// It sent a datagram with so many bytes of payload.
    pub(super) fn note_sent(&mut self, bytes: usize, peer: SocketAddr) {
        self.summary.packets_out += 1;
        self.summary.bytes_out += bytes as u64;
        self.sent.note(peer, bytes + 8 + if peer.is_ipv4() { 20 } else { 40 });
    }
}

impl Sender {
    pub(super) fn new() -> Sender {
        let buffer = udp::PacketBuffer::new(vec![PacketMetadata::EMPTY; 1], vec![0; LARGEST_PACKET]);
        let (set, handle) = set_of(udp::Socket::new(no_buffer(), buffer));
        let (fate, mut out) = (Fate::nobody(Rule::UdpMalformed), Packets::new());
        let mut port = Port { incoming: None, outlet: UdpOutlet { out: &mut out, header: Header::default(), fate } };
        // It draws no random numbers.
        let config = iface::Config::new(HardwareAddress::Ip);
        Sender { interface: Interface::new(config, &mut port, instant(Time::ZERO)), set, handle }
    }

    /// Sends one datagram from `local`, for the owner in `fate`.
    pub(super) fn send(
        &mut self,
        now: Time,
        bytes: &[u8],
        (local, peer): (SocketAddr, SocketAddr),
        header: Header,
        fate: Fate,
        out: &mut Packets,
    ) -> Result<()> {
        let metadata = udp::UdpMetadata {
            endpoint: IpEndpoint { addr: IpAddress::from(peer.ip()), port: peer.port() },
            local_address: Some(IpAddress::from(local.ip())),
            meta: Default::default(),
        };
        let socket = self.set.get_mut::<udp::Socket<'_>>(self.handle);
        socket.close();
        socket.bind(local.port()).map_err(|_| Error::AddressNotAvailable)?;
        socket.send_slice(bytes, metadata).map_err(|error| match error {
            udp::SendError::BufferFull => Error::MessageTooLong,
            udp::SendError::Unaddressable => Error::InvalidInput,
        })?;
        let mut port = Port { incoming: None, outlet: UdpOutlet { out, header, fate } };
        self.interface.poll_egress(instant(now), &mut port, &mut self.set);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
