//! What a TCP socket chooses before its connection begins, or a listener for those that come by it.

use std::net::SocketAddr;

use super::connection::CongestionControl;
use super::header::Headers;
use crate::config::Limits;

/// A TCP connection gets no smaller buffers than this.
pub const LEAST_BUFFER: usize = 2048;

/// The choices that are made before a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// IP_TTL, IP_TOS, IP_MTU_DISCOVER and those of IPv6.
    pub headers: Headers,
    /// TCP_MAXSEG: no larger segments, in either direction. Options are part of it (RFC 9293 §3.7.1).
    pub max_segment: Option<u16>,
    /// SO_RCVBUF: bytes that may wait in the connection to be read; `None`: as many as the limit says.
    pub receive_buffer: Option<usize>,
    /// SO_SNDBUF: the same, to be sent.
    pub send_buffer: Option<usize>,
    /// TCP_CONGESTION.
    pub congestion: CongestionControl,
    /// TCP_DEFER_ACCEPT: after how many SYN-ACKs a connection is accepted although no data has come; 0: at once.
    pub defer: u32,
}

impl Terms {
    /// The bytes of the receive buffer.
    pub(super) fn receive_bytes(&self, limits: &Limits) -> usize {
        bytes(self.receive_buffer, limits.receive_buffer)
    }

    /// The bytes of the send buffer.
    pub(super) fn send_bytes(&self, limits: &Limits) -> usize {
        bytes(self.send_buffer, limits.send_buffer)
    }

    /// The MSS that the link and the socket allow.
    pub(super) fn mss(&self, link: u16) -> u16 {
        self.max_segment.map_or(link, |most| most.min(link))
    }

    pub(super) fn header(&self, remote: SocketAddr) -> super::header::Header {
        self.headers.towards(remote.ip())
    }
}

fn bytes(wanted: Option<usize>, limit: usize) -> usize {
    wanted.map_or(limit, |wanted| wanted.clamp(LEAST_BUFFER.min(limit), limit))
}
