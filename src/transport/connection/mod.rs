//! One TCP connection: smoltcp's state machine, alone in its own set, with what a host needs around it.
//!
//! A segment passes `transport::guard` before smoltcp sees it. What smoltcp sends is noted on its way
//! out, so that the connection always knows its own sequence numbers; smoltcp does not show them.

mod congestion;
mod end;
mod exchange;
mod feed;
mod gaps;
mod info;
mod note;
mod patience;
mod recovery;
mod resend;
mod rest;
mod rtt;
mod scoreboard;
mod shadow;

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::TcpSeqNumber;

pub use congestion::CongestionControl;
pub(in crate::transport) use exchange::Next;
pub use info::TcpInfo;
pub use patience::Keepalive;
pub(in crate::transport) use patience::{Due, Patience, Waiting};
pub(in crate::transport) use shadow::{fed_mss, fed_shift, offered_mss};

use rest::Rest;

use super::challenge::PER_CONNECTION;
use super::header::{Header, Headers};
use super::ports::Sharing;
use super::sequence::add;
use super::timestamp::Timestamps;
use crate::error::Error;
use crate::ip::Limiter;
use crate::memory::{Buffer, Lodged};
use crate::observe::{Close, Fate, Numbers, Ownership, SocketId, Summary, TcpState, Time};
use gaps::Gaps;
use recovery::Recovery;

/// What both ends agreed on in their SYNs.
#[derive(Debug, Clone, Copy)]
pub(in crate::transport) struct Handshaken {
    pub(in crate::transport) id: SocketId,
    pub(in crate::transport) local: SocketAddr,
    pub(in crate::transport) remote: SocketAddr,
    /// Our initial sequence number.
    pub(in crate::transport) isn: TcpSeqNumber,
    /// Payload bytes that fit into one segment on the link, or that our end allows.
    pub(in crate::transport) link_mss: u16,
    /// The peer is a socket of this stack.
    pub(in crate::transport) is_local: bool,
    /// Where the clock of our timestamps starts.
    pub(in crate::transport) clock: u32,
    /// What our end chooses of the IP headers of its packets.
    pub(in crate::transport) header: Header,
    pub(in crate::transport) created: Time,
}

/// A TCP connection.
#[derive(Debug)]
pub struct Connection {
    set: Lodged<SocketSet<'static>, 2>,
    handle: SocketHandle,
    rest: Rest,
    agreed: Handshaken,
    /// The peer's initial sequence number, once its SYN has come.
    irs: Option<TcpSeqNumber>,
    pub(in crate::transport) peer: Peer,
    /// Bytes that the application's side has taken out of the receive buffer.
    consumed: u64,
    /// Its program has closed in CLOSE-WAIT, and smoltcp is told so once the window has room for everything.
    is_closing: bool,
    has_sent_syn: bool,
    /// What is on its way, and how much may be.
    recovery: Recovery,
    /// What has arrived behind a gap.
    gaps: Gaps,
    /// Once both SYNs have carried one.
    pub(in crate::transport) timestamps: Option<Timestamps>,
    /// The window that smoltcp believes it may use, in bytes behind SND.UNA, and how far it shifts one that it is told.
    believed: usize,
    shift: u8,
    /// smoltcp has gone back in its numbers, and has not come to SND.NXT again.
    is_rewound: bool,
    /// The latest moment at which smoltcp was let look at its timers.
    ahead: Time,
    /// The acknowledgment and window of our last segment.
    advertised: Option<(TcpSeqNumber, u32)>,
    /// The state that the trace has shown last.
    shown: TcpState,
    /// Who closed first.
    closer: Option<Close>,
    /// How it ended.
    pub(in crate::transport) ended: Option<Close>,
    /// What its program is told of that, where the way it ended does not say it alone.
    pub(in crate::transport) reason: Option<Error>,
    /// An ICMP error that may pass: the reason if nothing more is heard (RFC 1122 §4.2.3.9).
    pub(in crate::transport) soft_error: Option<Error>,
    /// Its program is told of them at once (IP_RECVERR).
    pub(in crate::transport) wants_errors: bool,
    pub(in crate::transport) patience: Patience,
    /// SO_LINGER.
    linger: Option<Duration>,
    /// With whom it shares its port.
    pub(in crate::transport) sharing: Sharing,
    /// The payload of a segment that the path carries, once a router has said so.
    path_mss: u16,
    pub(in crate::transport) summary: Summary,
    /// A program of ours asked for it, and has not been told that it stands.
    pub(in crate::transport) is_asked_for: bool,
    /// The observer has been told that it ended.
    pub(in crate::transport) was_over: bool,
    /// The descriptor in the socket room; `None` once the program has let go.
    pub(in crate::transport) descriptor: Option<usize>,
    /// The program has let go, and the descriptor still holds what it wrote.
    is_abandoned: bool,
    /// Waits to be looked after.
    pub(in crate::transport) is_dirty: bool,
    /// The entry in the timer heap that counts.
    pub(in crate::transport) armed: Option<Time>,
    /// Answers to segments that do not fit (RFC 5961 §7).
    pub(in crate::transport) challenges: Limiter,
}

/// An option of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpOption {
    /// TCP_NODELAY: small segments go out at once (RFC 9293 §3.7.4: Nagle's algorithm is off).
    Nodelay(bool),
    /// SO_KEEPALIVE and its three numbers; `None`: off.
    Keepalive(Option<Keepalive>),
    /// TCP_USER_TIMEOUT (RFC 5482): how long what was sent may stay unacknowledged; `None`: the system's default.
    UserTimeout(Option<Duration>),
    /// SO_LINGER (`socket(7)`); zero: closing discards what is unsent and sends a RST.
    Linger(Option<Duration>),
    /// IP_TTL, IP_TOS, IP_MTU_DISCOVER and those of IPv6, from the next packet on.
    Headers(Headers),
    /// TCP_CONGESTION, from the next acknowledgment on.
    Congestion(CongestionControl),
    /// IP_RECVERR: its program is told of ICMP errors at once, although they may pass.
    ReceiveErrors(bool),
}

/// What the peer said in its SYN and since.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::transport) struct Peer {
    /// As offered; 536 for IPv4 and 1220 for IPv6 if it was silent (RFC 9293 §3.7.1).
    pub(in crate::transport) mss: u16,
    pub(in crate::transport) window_scale: Option<u8>,
    pub(in crate::transport) sack: bool,
    /// In bytes, unscaled.
    pub(in crate::transport) window: u32,
    /// Of its first segment, as carried.
    pub(in crate::transport) first_checksum: u16,
}

fn state_of(state: tcp::State) -> TcpState {
    match state {
        tcp::State::Closed => TcpState::Closed,
        tcp::State::Listen => TcpState::Listen,
        tcp::State::SynSent => TcpState::SynSent,
        tcp::State::SynReceived => TcpState::SynReceived,
        tcp::State::Established => TcpState::Established,
        tcp::State::FinWait1 => TcpState::FinWait1,
        tcp::State::FinWait2 => TcpState::FinWait2,
        tcp::State::CloseWait => TcpState::CloseWait,
        tcp::State::Closing => TcpState::Closing,
        tcp::State::LastAck => TcpState::LastAck,
        tcp::State::TimeWait => TcpState::TimeWait,
    }
}

impl Connection {
    /// `buffers`: the one that it receives into and the one that it sends from.
    pub(in crate::transport) fn new(buffers: [Buffer; 2], agreed: Handshaken, state: TcpState) -> Connection {
        // A socket in a set of its own, as smoltcp wants it.
        let (set, handle) = Lodged::new(buffers, |[receive, send]| {
            let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
            // `recovery` decides how much may be on its way.
            socket.set_congestion_control(tcp::CongestionControl::None);
            if agreed.is_local {
                // An ACK costs next to nothing here, and the other end may be waiting for it (Nagle's algorithm).
                socket.set_ack_delay(None);
            }
            let mut set = SocketSet::new(vec![SocketStorage::EMPTY]);
            let handle = set.add(socket);
            (set, handle)
        });
        let shift = fed_shift(set.get::<tcp::Socket<'_>>(handle).send_capacity());
        Connection {
            set,
            handle,
            rest: Rest::default(),
            agreed,
            irs: None,
            peer: Peer::default(),
            consumed: 0,
            is_closing: false,
            has_sent_syn: false,
            recovery: Recovery::new(add(agreed.isn, 1), agreed.created),
            gaps: Gaps::default(),
            timestamps: None,
            believed: 0,
            shift,
            is_rewound: false,
            ahead: agreed.created,
            advertised: None,
            shown: state,
            closer: None,
            ended: None,
            reason: None,
            soft_error: None,
            wants_errors: false,
            patience: Patience::new(agreed.created),
            linger: None,
            sharing: Sharing::default(),
            path_mss: u16::MAX,
            summary: Summary::default(),
            is_asked_for: false,
            was_over: false,
            descriptor: None,
            is_abandoned: false,
            is_dirty: false,
            armed: None,
            challenges: Limiter::new(PER_CONNECTION),
        }
    }

    fn socket(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Its name in the trace.
    pub fn id(&self) -> SocketId {
        self.agreed.id
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.agreed.local
    }

    /// The peer's end.
    pub fn remote(&self) -> SocketAddr {
        self.agreed.remote
    }

    /// What it chooses of the headers of its packets.
    pub(in crate::transport) fn header(&self) -> Header {
        self.agreed.header
    }

    /// The descriptor of its program; `None` once the program has let go.
    pub fn descriptor(&self) -> Option<usize> {
        self.descriptor
    }

    /// The program has let go: what still comes is nobody's.
    pub fn disown(&mut self) {
        self.descriptor = None;
    }

    /// The state of RFC 9293.
    pub fn state(&self) -> TcpState {
        state_of(self.socket().state())
    }

    /// How it ended; `None` while it lives.
    pub fn ended(&self) -> Option<Close> {
        self.ended
    }

    /// Takes received bytes in order: `take` says how many of those it is shown it took. Ends when it takes
    /// none or nothing is left.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8]) -> usize) {
        while self.socket().can_recv() {
            let taken = self.socket_mut().recv(|bytes| {
                let count = take(bytes);
                (count, count)
            });
            match taken {
                Ok(count) if count > 0 => {
                    self.consumed += count as u64;
                    self.summary.bytes_in += count as u64;
                }
                _ => return,
            }
        }
    }

    /// Hands bytes over to be sent: `fill` writes into what it is given and says how many bytes it wrote.
    /// Ends when it writes none or nothing more fits.
    pub fn send(&mut self, fill: impl FnMut(&mut [u8]) -> usize) {
        self.send_within(usize::MAX, fill);
    }

    /// [`Connection::send`], as long as no more than `most` bytes wait to be acknowledged (SO_SNDBUF).
    pub fn send_within(&mut self, most: usize, mut fill: impl FnMut(&mut [u8]) -> usize) {
        while self.socket().can_send() {
            let room = most.saturating_sub(self.socket().send_queue());
            if room == 0 {
                return;
            }
            let was_empty = self.socket().send_queue() == 0;
            let filled = self.socket_mut().send(|buffer| {
                let length = buffer.len().min(room);
                let count = fill(&mut buffer[..length]);
                (count, count)
            });
            match filled {
                Ok(count) if count > 0 => {
                    self.note_filled(count, was_empty);
                    self.summary.bytes_out += count as u64;
                }
                _ => return,
            }
        }
    }

    /// Whether the peer's FIN has come and everything before it was taken.
    pub fn is_at_end(&self) -> bool {
        matches!(self.state(), TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait)
            && !self.socket().can_recv()
    }

    /// Whether a program may still hand bytes over.
    pub fn may_send(&self) -> bool {
        self.socket().may_send() && !self.is_closing
    }

    /// Sends a FIN after what is in the send buffer. In SYN-SENT there is nobody to send it to (RFC 9293 §3.10.4), and
    /// whoever waits for the connection is told what Linux tells (`tcp_disconnect`).
    pub fn close(&mut self) {
        if self.state() == TcpState::SynSent {
            self.end(Close::Aborted, Error::ConnectionReset);
            self.abort();
        } else if self.may_send() {
            self.note_closer(Close::ByUs);
            if self.state() == TcpState::CloseWait {
                self.is_closing = true;
            } else {
                self.socket_mut().close();
            }
        }
    }

    /// Whether the program writes no more, and everything it wrote has been handed over.
    pub fn has_closed(&self) -> bool {
        matches!(self.state(), TcpState::FinWait1 | TcpState::FinWait2)
    }

    /// Sends a RST and forgets everything. In TIME-WAIT the peer has nothing to hear (RFC 9293 §3.10.5), and what is
    /// unread is forgotten.
    pub fn abort(&mut self) {
        match self.state() {
            TcpState::Closed => {}
            TcpState::TimeWait => self.receive(<[u8]>::len),
            _ => {
                self.ended.get_or_insert(Close::Aborted);
                self.socket_mut().abort();
            }
        }
    }

    /// Takes an option.
    pub fn set(&mut self, option: TcpOption) {
        match option {
            TcpOption::Nodelay(nodelay) => self.socket_mut().set_nagle_enabled(!nodelay),
            TcpOption::Keepalive(keepalive) => self.patience.keepalive = keepalive,
            // tcp(7): 0 stands for the system's default.
            TcpOption::UserTimeout(timeout) => {
                self.patience.user_timeout = timeout.filter(|timeout| !timeout.is_zero());
            }
            TcpOption::Linger(linger) => self.linger = linger,
            TcpOption::Headers(headers) => self.agreed.header = headers.towards(self.agreed.remote.ip()),
            TcpOption::Congestion(control) => self.recovery.set_congestion_control(control),
            TcpOption::ReceiveErrors(on) => self.wants_errors = on,
        }
    }

    fn note_closer(&mut self, who: Close) {
        if matches!(self.state(), TcpState::Established | TcpState::SynReceived) {
            self.closer.get_or_insert(who);
        }
    }

    /// What the trace calls it.
    pub(in crate::transport) fn numbers(&self) -> Numbers {
        Numbers {
            local: self.agreed.isn.0 as u32,
            remote: self.irs.map_or(0, |irs| irs.0 as u32),
            local_shift: 0,
            remote_shift: self.peer.window_scale.unwrap_or(0),
        }
    }

    /// The fate of a frame of this connection that came in; shows each state change once.
    pub(in crate::transport) fn fate(&mut self) -> Fate {
        let fate = self.fate_so_far();
        self.shown = self.state();
        fate
    }

    /// The same for a frame that may be sent: the change counts as shown once the frame has left.
    fn fate_so_far(&self) -> Fate {
        Fate {
            owner: Some(Ownership::FourTuple { socket: self.agreed.id }),
            rule: None,
            states: Some((self.shown, self.state())),
            numbers: Some(self.numbers()),
            cause: None,
        }
    }

    pub(in crate::transport) fn age(&self, now: Time) -> Duration {
        now - self.agreed.created
    }

    /// Bytes received that nobody has taken.
    pub fn unread(&self) -> usize {
        self.socket().recv_queue()
    }
}
