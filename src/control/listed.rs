//! A socket as it is written on the control socket.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{Address, SocketRow, TcpInfo, Way};
use crate::observe::{Owner, Protocol, SocketId, TcpState, Time, TimerKind};

/// One socket. Spans are microseconds, sizes bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name in the trace.
    pub id: SocketId,
    /// What it speaks.
    pub network: Network,
    /// Whose addresses it has.
    pub family: Family,
    /// Its state; `ESTABLISHED` is connected, `CLOSED` is not, for those that have no states.
    pub state: TcpState,
    /// Where it is: an address and a port, or the name of a Unix socket. The port of an echo socket is its identifier, that
    /// of a raw socket its protocol.
    pub local: String,
    /// Whom it is connected to.
    pub peer: Option<String>,
    /// Bytes that its program has not read; of a listener: how many connections wait to be accepted.
    pub recv_q: u64,
    /// Bytes that the peer has not acknowledged; of a listener: how many may wait.
    pub send_q: u64,
    /// Whether it is a listener.
    pub listens: bool,
    /// The socket that it shares its memory with: there is no packet between the two.
    pub joined: Option<SocketId>,
    /// Whether a program holds it, or will once it accepts it.
    pub held: bool,
    /// Which program, if it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// How long it has been there.
    pub age: u64,
    /// Payload that came and went, and in how many segments, datagrams or messages.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// See `bytes_in`.
    pub packets_in: u64,
    /// See `bytes_in`.
    pub packets_out: u64,
    /// Segments among them that were sent again.
    pub retransmitted: u64,
    /// What happens next if the peer is silent.
    pub timer: Option<Pending>,
    /// Of a TCP connection with packets, if details were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Details>,
}

/// What a socket speaks, as `ss(8)` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Network {
    /// TCP.
    #[serde(rename = "tcp")]
    Tcp,
    /// UDP.
    #[serde(rename = "udp")]
    Udp,
    /// ICMP echo.
    #[serde(rename = "icmp")]
    Icmp,
    /// Raw IP.
    #[serde(rename = "raw")]
    Raw,
    /// A Unix socket of the stack: a stream.
    #[serde(rename = "u_str")]
    UnixStream,
    /// Datagrams.
    #[serde(rename = "u_dgr")]
    UnixDatagram,
    /// Messages in order.
    #[serde(rename = "u_seq")]
    UnixSeqPacket,
}

impl Network {
    /// What this one speaks.
    pub(super) fn of(row: &SocketRow) -> Network {
        match (row.id.protocol, row.r#type) {
            (Protocol::Tcp, _) => Network::Tcp,
            (Protocol::Udp, _) => Network::Udp,
            (Protocol::Icmp, _) => Network::Icmp,
            (Protocol::Raw, _) => Network::Raw,
            (Protocol::Unix, kind) => match kind.name() {
                "SOCK_DGRAM" => Network::UnixDatagram,
                "SOCK_SEQPACKET" => Network::UnixSeqPacket,
                _ => Network::UnixStream,
            },
        }
    }

    /// As `ss(8)` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Network::Tcp => "tcp",
            Network::Udp => "udp",
            Network::Icmp => "icmp",
            Network::Raw => "raw",
            Network::UnixStream => "u_str",
            Network::UnixDatagram => "u_dgr",
            Network::UnixSeqPacket => "u_seq",
        }
    }
}

/// Whose addresses a socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Names.
    Unix,
}

/// Something that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What.
    pub timer: TimerKind,
    /// In how long.
    pub due: u64,
    /// How often it has happened in a row.
    pub count: u32,
}

/// What is known of a TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// How the congestion window grows and shrinks.
    pub congestion_control: String,
    /// The congestion window.
    pub cwnd: u64,
    /// The slow start threshold, once something was lost.
    pub ssthresh: Option<u64>,
    /// A full segment of ours, without its options.
    pub mss: u64,
    /// The MSS that the peer was told.
    pub advmss: u64,
    /// The largest packet that the path carries, as far as that is known.
    pub pmtu: u64,
    /// The window that the peer advertised last.
    pub snd_wnd: u64,
    /// The one that we advertised last.
    pub rcv_wnd: u64,
    /// How many bits the peer's window field is shifted by, and ours; `null` if that was not agreed on.
    pub wscale: Option<[u8; 2]>,
    /// Whether the peer understands selective acknowledgments.
    pub sack: bool,
    /// Whether segments carry timestamps.
    pub timestamps: bool,
    /// Whether small segments wait for the acknowledgment of the one before.
    pub nagle: bool,
    /// The smoothed round trip, its variance and the least one, once one was measured.
    pub rtt: Option<[u64; 3]>,
    /// How long an acknowledgment may take.
    pub rto: u64,
    /// How often in a row it took longer.
    pub backoff: u32,
    /// What was sent and is neither acknowledged nor lost.
    pub in_flight: u64,
    /// What the peer has behind a gap.
    pub sacked: u64,
    /// What is lost and waits to be sent again.
    pub lost: u64,
    /// What waits to be sent for the first time, without what is still in the pipe from the program.
    pub notsent: u64,
    /// How long ago something was sent.
    pub lastsnd: u64,
    /// Why nothing more is sent: `nothing`, `handshake`, `application`, `finished`, `window`, `congestion`, `recovery` or
    /// `nagle`.
    pub held_by: String,
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Listed {
    /// A row of the stack's list at this moment. `details`: with all that is known of a connection.
    pub(super) fn new(row: &SocketRow, now: Time, details: bool) -> Listed {
        let family = match &row.local {
            Address::Inet(SocketAddr::V4(_)) => Family::Inet,
            Address::Inet(SocketAddr::V6(_)) => Family::Inet6,
            Address::Unix(_) => Family::Unix,
        };
        let count = row.info.as_ref().map_or(0, |info| info.sending.backoff);
        Listed {
            id: row.id,
            network: Network::of(row),
            family,
            state: row.state,
            local: row.local.to_string(),
            peer: row.peer.as_ref().map(ToString::to_string),
            recv_q: row.recv_q as u64,
            send_q: row.send_q as u64,
            listens: row.backlog.is_some(),
            joined: match row.way {
                Way::Joined { peer } => peer,
                Way::Wire => None,
            },
            held: row.is_held,
            owner: row.owner.clone(),
            age: micros(row.summary.age),
            bytes_in: row.summary.bytes_in,
            bytes_out: row.summary.bytes_out,
            packets_in: row.summary.packets_in,
            packets_out: row.summary.packets_out,
            retransmitted: row.summary.retransmitted,
            timer: row.timer.map(|(timer, at)| Pending { timer, due: micros(at - now), count }),
            tcp: row.info.as_ref().filter(|_| details).map(|info| Details::new(info, now)),
        }
    }
}

impl Details {
    fn new(info: &TcpInfo, now: Time) -> Details {
        let sending = &info.sending;
        Details {
            congestion_control: sending.congestion_control.name().to_owned(),
            cwnd: sending.congestion_window as u64,
            ssthresh: sending.slow_start_threshold.map(|threshold| threshold as u64),
            mss: sending.segment as u64,
            advmss: info.receive_mss.into(),
            pmtu: sending.path_mtu as u64,
            snd_wnd: info.send_window.into(),
            rcv_wnd: info.receive_window.into(),
            wscale: info.send_scale.zip(info.receive_scale).map(|(theirs, ours)| [theirs, ours]),
            sack: info.sack,
            timestamps: sending.timestamps,
            nagle: sending.nagle,
            rtt: sending.round_trip.map(|figures| figures.map(micros)),
            rto: micros(sending.timeout),
            backoff: sending.backoff,
            in_flight: sending.on_its_way as u64,
            sacked: sending.arrived as u64,
            lost: sending.lost as u64,
            notsent: sending.unsent as u64,
            lastsnd: micros(now - sending.last_sent),
            held_by: sending.hold.name().to_owned(),
        }
    }
}
