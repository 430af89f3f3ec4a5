//! Options set and read, and what they change in the transport.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::check::{syn_acks, usual_buffers};
use super::{OptionName, Options, SYSTEMS, SocketOption, UNBOUNDED};
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::loopback::Loopback;
use crate::socket::{Descriptor, Domain, Handle, Kind, Outcome, Sockets, State};
use crate::transport::{
    Below, GroupOption, Header, Headers, Keepalive, MtuDiscovery, PacketOptions, Sharing, TcpOption, Terms, Transport,
};

/// TCP_MSS_DEFAULT: of a connection that there is not yet (RFC 9293 §3.7.1).
const DEFAULT_SEGMENT: u32 = 536;

/// A value that was checked when it was set.
fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

impl Options {
    pub(in crate::socket) fn sharing(&self) -> Sharing {
        Sharing { reuse_address: self.reuse_address, reuse_port: self.reuse_port }
    }

    fn keepalive(&self) -> TcpOption {
        TcpOption::Keepalive(self.keepalive.then_some(Keepalive {
            idle: self.keepalive_idle,
            interval: self.keepalive_interval,
            count: self.keepalive_count,
        }))
    }

    fn headers(&self) -> Headers {
        let header = |hops: u32, class: u32, discovery: MtuDiscovery| Header {
            hop_limit: byte(hops),
            traffic_class: byte(class),
            discovery,
        };
        Headers {
            v4: header(self.ttl, self.tos, self.mtu_discover),
            v6: header(self.unicast_hops, self.traffic_class, self.mtu_discover_v6),
        }
    }

    /// The rings between a connection and its program: for what is read, and for what is written.
    pub(in crate::socket) fn pipe_capacities(&self, limits: &Limits) -> [usize; 2] {
        self.buffer_bounds().map(|bytes| bytes.min(limits.pipe))
    }

    /// What may wait to be read and to be sent by a socket that is joined to another: where two share a ring and have not
    /// chosen, each has a half of it.
    fn joined_bounds(&self, limits: &Limits) -> [usize; 2] {
        self.buffer_bounds().map(|bytes| if bytes == usize::MAX { limits.pipe / 2 } else { bytes })
    }

    /// Tells a connection without packets.
    fn apply_to_joined(&self, slot: usize, limits: &Limits, loopback: &mut Loopback) {
        loopback.set_abortive(slot, self.linger.is_some_and(|span| span.is_zero()));
        loopback.set_bounds(slot, self.joined_bounds(limits));
    }

    /// Tells a connection without packets that has just begun.
    pub(in crate::socket) fn begin_joined(&self, slot: usize, limits: &Limits, loopback: &mut Loopback) {
        self.apply_to_joined(slot, limits, loopback);
        if self.max_segment != UNBOUNDED {
            loopback.set_max_segment(slot, self.max_segment);
        }
    }

    /// What may wait to be sent by a Unix socket of this kind; SO_RCVBUF means nothing to it (`unix(7)`).
    pub(in crate::socket) fn most_unsent(&self, kind: Kind, limits: &Limits) -> usize {
        match (kind, self.send_buffer) {
            (_, SYSTEMS) => usual_buffers(kind, limits)[1],
            // Bytes are twice as many as asked for, to make room for what Linux needs besides.
            (Kind::UnixStream, bytes) => bytes / 2,
            // So are messages, whose length is bounded by what is read back.
            (_, bytes) => bytes,
        }
    }

    /// What may wait at most at each end of those rings; without a choice, whatever fits.
    pub(in crate::socket) fn buffer_bounds(&self) -> [usize; 2] {
        [self.receive_buffer, self.send_buffer].map(|bytes| if bytes == SYSTEMS { usize::MAX } else { bytes / 2 })
    }

    /// What a connection is begun with, or a listener.
    pub(in crate::socket) fn terms(&self) -> Terms {
        Terms {
            sharing: self.sharing(),
            headers: self.headers(),
            max_segment: Some(self.max_segment).filter(|&size| size != UNBOUNDED).and_then(|size| size.try_into().ok()),
            receive_buffer: Some(self.receive_buffer / 2).filter(|_| self.receive_buffer != SYSTEMS),
            send_buffer: Some(self.send_buffer / 2).filter(|_| self.send_buffer != SYSTEMS),
            congestion: self.congestion,
            defer: syn_acks(self.defer_accept),
        }
    }

    /// Tells a connection what differs from the defaults.
    pub(in crate::socket) fn apply_to_connection(self: &Arc<Options>, slot: usize, transport: &mut Transport) {
        transport.set_connection_sharing(slot, self.sharing());
        let Some(connection) = transport.connection(slot) else { return };
        connection.set(TcpOption::Nodelay(self.nodelay));
        connection.set(self.keepalive());
        connection.set(TcpOption::UserTimeout(self.user_timeout));
        connection.set(TcpOption::Linger(self.linger));
        connection.set(TcpOption::Headers(self.headers()));
        connection.set(TcpOption::Congestion(self.congestion));
        connection.set(TcpOption::ReceiveErrors(self.receive_errors));
    }

    /// Tells a UDP socket.
    pub(in crate::socket) fn apply_to_datagram(&self, slot: usize, transport: &mut Transport) {
        let source = Some(self.multicast_interface).filter(|address| !address.is_unspecified());
        for option in [
            GroupOption::Broadcast(self.broadcast),
            GroupOption::LoopbackV4(self.multicast_loop),
            GroupOption::LoopbackV6(self.multicast_loop_v6),
            GroupOption::HopsV4(byte(self.multicast_ttl)),
            GroupOption::HopsV6(byte(self.multicast_hops)),
            GroupOption::SourceV4(source),
        ] {
            transport.set_group_option(slot, option);
        }
        transport.set_datagram_sharing(slot, self.sharing());
        let datagram = transport.datagram(slot);
        datagram.set_receive_errors(self.receive_errors);
        datagram.set_receive_bound(self.buffer_bounds()[0]);
        datagram.set_headers(self.headers());
    }
}

impl Options {
    /// Tells an echo socket or a raw socket.
    pub(in crate::socket) fn apply_to_packet(&self, is_v4: bool, slot: usize, transport: &mut Transport) {
        let headers = self.headers();
        let Header { hop_limit, traffic_class, discovery } = if is_v4 { headers.v4 } else { headers.v6 };
        let source = Some(self.multicast_interface).filter(|address| is_v4 && !address.is_unspecified());
        let options = PacketOptions {
            hops: hop_limit,
            multicast_hops: byte(if is_v4 { self.multicast_ttl } else { self.multicast_hops }),
            multicast_loop: if is_v4 { self.multicast_loop } else { self.multicast_loop_v6 },
            multicast_source: source.map(IpAddr::V4),
            traffic_class,
            discovery,
            receive_buffer: self.buffer_bounds()[0],
            broadcast: self.broadcast,
            header_included: self.header_included,
            receive_errors: self.receive_errors,
            icmp_filter: self.icmp_filter,
        };
        transport.set_packet_options(slot, options);
    }
}

impl Sockets {
    /// `setsockopt(2)`.
    pub(in crate::socket) fn set_option(
        &mut self,
        socket: Handle,
        option: SocketOption,
        transport: &mut Transport,
        below: &Below<'_>,
    ) -> Result<Outcome> {
        let limits = self.limits.clone();
        let Descriptor { domain, kind, options, bound, errors, state, .. } =
            self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        option.name().check_settable(*domain, *kind)?;
        let option = option.checked(*kind, &limits, below)?;
        if matches!(option, SocketOption::V6Only(_)) && (!state.is_fresh() || bound.is_some()) {
            // `ipv6(7)`: before it is bound.
            return Err(Error::InvalidInput);
        }
        if options.get(option.name()) != option {
            Arc::make_mut(options).set(option);
        }
        if option == SocketOption::ReceiveErrors(false) {
            // Linux: skb_errqueue_purge.
            errors.clear();
        }
        if let Some(place) = bound {
            transport.set_bound_sharing(**place, socket.descriptor, options.sharing());
        }
        match *state {
            State::Stream { slot, .. } => {
                options.apply_to_connection(slot, transport);
                transport.mark(slot);
            }
            State::Listener { slot, .. } => transport.set_terms(slot, options.terms()),
            State::Datagram { slot: Some(slot), .. } => options.apply_to_datagram(slot, transport),
            State::Joined { slot } => options.clone().apply_to_joined(slot, &limits, &mut self.loopback),
            State::Unix(_) => self.bound_unix(socket),
            State::Packet { slot: Some(slot), .. } => {
                options.apply_to_packet(*domain == Domain::Inet, slot, transport);
            }
            _ => {}
        }
        Ok(Outcome::Done)
    }

    /// `getsockopt(2)`.
    pub(in crate::socket) fn get_option(
        &self,
        socket: Handle,
        name: OptionName,
        transport: &mut Transport,
        below: &Below<'_>,
    ) -> Result<Outcome> {
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        name.check_for(descriptor.domain, descriptor.kind)?;
        let kept = descriptor.options.get(name);
        let [receive, send] = usual_buffers(descriptor.kind, &self.limits);
        let option = match kept {
            SocketOption::ReceiveBuffer(SYSTEMS) => SocketOption::ReceiveBuffer(receive),
            SocketOption::SendBuffer(SYSTEMS) => SocketOption::SendBuffer(send),
            SocketOption::MaxSegment(wanted) => {
                let size = match descriptor.state {
                    State::Stream { slot, .. } => transport.segment_size(slot).map(u32::from),
                    State::Joined { slot } => {
                        let end = self.loopback.end(slot).ok();
                        end.map(|end| end.segment_size(below.ip.path_mtu(end.remote().ip())))
                    }
                    _ => None,
                };
                let wanted = if wanted == UNBOUNDED { DEFAULT_SEGMENT } else { wanted };
                SocketOption::MaxSegment(size.unwrap_or(wanted))
            }
            SocketOption::Mtu(_) => {
                let peer = peer(&descriptor.state, &self.loopback, transport).ok_or(Error::NotConnected)?;
                SocketOption::Mtu(u32::try_from(below.ip.path_mtu(peer.ip())).unwrap_or(u32::MAX))
            }
            kept => kept,
        };
        Ok(Outcome::Option(option))
    }
}

fn peer(state: &State, loopback: &Loopback, transport: &mut Transport) -> Option<SocketAddr> {
    match *state {
        State::Stream { slot, .. } => transport.connection(slot).map(|connection| connection.remote()),
        State::Datagram { slot: Some(slot), .. } => transport.datagram(slot).peer(),
        State::Joined { slot } => loopback.end(slot).ok().map(|end| end.remote()),
        State::Packet { slot: Some(slot), .. } => transport.packet_peer(slot).map(|peer| SocketAddr::new(peer, 0)),
        _ => None,
    }
}
