use std::net::SocketAddr;

use smoltcp::wire::TcpSeqNumber;

use super::{Connection, Sending};
use crate::observe::{SocketId, Summary, TcpState, Time};

/// A snapshot of a connection. Sequence numbers are relative to the initial ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpInfo {
    /// The name of the socket in the trace.
    pub socket: SocketId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The state of the connection.
    pub state: TcpState,
    /// The MSS of our own segments, options included (RFC 9293 §3.7.1): the smaller of the peer's and what the way takes.
    /// Timestamps take 12 bytes of it, which TCP_MAXSEG and Linux's `tcpi_snd_mss` leave out.
    pub send_mss: u16,
    /// The MSS that we announced.
    pub receive_mss: u16,
    /// The window the peer advertised last, in bytes.
    pub send_window: u32,
    /// The window we advertised last, in bytes.
    pub receive_window: u32,
    /// How many bits the peer's window field is shifted by; `None`: it did not offer window scaling.
    pub send_scale: Option<u8>,
    /// How many bits ours is shifted by; `None`: not agreed.
    pub receive_scale: Option<u8>,
    /// Whether the peer understands selective acknowledgments.
    pub sack: bool,
    /// Our initial sequence number.
    pub local_isn: u32,
    /// The peer's.
    pub remote_isn: u32,
    /// The next sequence number we send, relative.
    pub send_next: u32,
    /// The next sequence number we expect, relative.
    pub receive_next: u32,
    /// Bytes handed to the connection and not yet acknowledged.
    pub send_queue: usize,
    /// Bytes received and not yet taken by the program's side.
    pub receive_queue: usize,
    /// The checksum of the peer's first segment. It was verified in software before anything else was believed.
    pub first_checksum: u16,
    /// What went in and out so far.
    pub summary: Summary,
    /// How it sends, and why not more.
    pub sending: Sending,
}

impl Connection {
    /// What a program may know about it.
    pub fn info(&self, now: Time) -> TcpInfo {
        let relative = |number: TcpSeqNumber, start: TcpSeqNumber| number.0.wrapping_sub(start.0) as u32;
        let irs = self.irs.unwrap_or_default();
        TcpInfo {
            socket: self.agreed.id,
            local: self.agreed.local,
            remote: self.agreed.remote,
            state: self.state(),
            send_mss: self.send_mss(),
            receive_mss: self.agreed.link_mss,
            send_window: self.peer.window,
            receive_window: self.advertised.map_or(0, |(_, window)| window),
            send_scale: self.peer.window_scale,
            receive_scale: self.peer.window_scale.map(|_| 0),
            sack: self.peer.sack,
            local_isn: self.agreed.isn.0 as u32,
            remote_isn: irs.0 as u32,
            send_next: relative(self.snd_nxt(), self.agreed.isn),
            receive_next: self.rcv_nxt().map_or(0, |next| relative(next, irs)),
            send_queue: self.socket().send_queue(),
            receive_queue: self.socket().recv_queue(),
            first_checksum: self.peer.first_checksum,
            summary: Summary { age: self.age(now), ..self.summary },
            sending: self.sending(),
        }
    }
}
