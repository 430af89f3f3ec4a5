use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::storage::PacketMetadata;
use smoltcp::wire::{IpAddress, IpEndpoint};

use super::group::GroupOptions;
use super::medium::{Port, UdpOutlet, instant};
use crate::error::{Error, Result};
use crate::ip::Packets;
use crate::observe::{Fate, Ownership, SocketId, Summary, Time};

/// Datagrams that smoltcp's socket holds for the moment between a packet's arrival and the end of the round.
const QUEUE: usize = 64;

/// A UDP socket.
#[derive(Debug)]
pub struct Datagram {
    set: SocketSet<'static>,
    handle: SocketHandle,
    pub(super) id: SocketId,
    pub(super) local: SocketAddr,
    pub(super) remote: Option<SocketAddr>,
    /// Multicast groups that it has joined.
    pub(super) groups: Vec<IpAddr>,
    pub(super) options: GroupOptions,
    pub(super) descriptor: usize,
    pub(super) created: Time,
    pub(super) summary: Summary,
}

impl Datagram {
    pub(super) fn new(id: SocketId, local: SocketAddr, descriptor: usize, now: Time) -> Datagram {
        let buffer = || udp::PacketBuffer::new(vec![PacketMetadata::EMPTY; QUEUE], vec![0; QUEUE * 2048]);
        let mut set = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = set.add(udp::Socket::new(buffer(), buffer()));
        let mut datagram = Datagram {
            set,
            handle,
            id,
            local,
            remote: None,
            groups: Vec::new(),
            options: GroupOptions::default(),
            descriptor,
            created: now,
            summary: Summary::default(),
        };
        // Which datagrams are ours is decided by the table of ports; smoltcp is told the port only. It cannot fail:
        // the socket is new and the port is not 0.
        let bound = datagram.socket_mut().bind(local.port());
        debug_assert_eq!(bound, Ok(()));
        datagram
    }

    fn socket_mut(&mut self) -> &mut udp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Its name in the trace.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// What it is bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
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

    /// Whether a datagram of `length` bytes fits.
    pub(super) fn has_room(&mut self, length: usize) -> bool {
        let socket = self.socket_mut();
        socket.recv_queue() + length <= socket.payload_recv_capacity() / 2
    }

    pub(super) fn feed(&mut self, now: Time, interface: &mut Interface, packet: &[u8], out: &mut Packets) {
        let outlet = UdpOutlet { out, fate: Fate::of(self.owner()) };
        let mut port = Port { incoming: Some(packet), outlet };
        interface.poll_ingress_single(instant(now), &mut port, &mut self.set);
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
                Err(_) => return,
            };
            self.summary.bytes_in += length as u64;
            if socket.recv().is_err() {
                return;
            }
        }
    }

    pub(super) fn send(
        &mut self,
        now: Time,
        interface: &mut Interface,
        bytes: &[u8],
        peer: SocketAddr,
        source: IpAddr,
        out: &mut Packets,
    ) -> Result<()> {
        // smoltcp refuses 0.
        let hops = peer.ip().is_multicast().then(|| self.options.hops.max(1));
        self.socket_mut().set_hop_limit(hops);
        let metadata = udp::UdpMetadata {
            endpoint: IpEndpoint { addr: IpAddress::from(peer.ip()), port: peer.port() },
            local_address: Some(IpAddress::from(source)),
            meta: Default::default(),
        };
        self.socket_mut().send_slice(bytes, metadata).map_err(|_| Error::NoBufferSpace)?;
        let outlet = UdpOutlet { out, fate: Fate::of(self.owner()) };
        let mut port = Port { incoming: None, outlet };
        interface.poll_egress(instant(now), &mut port, &mut self.set);
        self.summary.packets_out += 1;
        self.summary.bytes_out += bytes.len() as u64;
        Ok(())
    }
}
