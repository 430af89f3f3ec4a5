//! Any event on one line.

use std::fmt;

use super::frame::Frame;
use super::layers::Layers;
use super::life::Life;
use super::quantity::Bytes;
use super::summary::Summary;
use crate::observe::{CallKind, Depth, Event, Fate, Record, Rule, TimerKind};

/// What happened, on one line, without its moment: `tcp#15 write 1.9 KiB`. `{:#}` leaves out the numbers of other events.
///
/// ```
/// use tapsock::observe::{CallKind, Event, Protocol, SocketId};
/// use tapsock::trace::Line;
///
/// let socket = Some(SocketId { protocol: Protocol::Tcp, number: 15 });
/// let event = Event::Call { socket, call: CallKind::Write { bytes: 1946 } };
/// assert_eq!(Line(&event).to_string(), "tcp#15 write 1.9 KiB");
/// ```
#[derive(Debug)]
pub struct Line<'a>(pub &'a Event<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Frame { direction, bytes, fate } => {
                write!(f, "{}", Summary { direction: *direction, frame: &Frame::decode(bytes), fate })
            }
            Event::Loopback { direction, bytes, fate } => {
                write!(f, "{}", Summary { direction: *direction, frame: &Frame::decode_local(bytes), fate })
            }
            Event::Call { socket, call } => {
                if let Some(socket) = socket {
                    write!(f, "{socket} ")?;
                }
                write!(f, "{}", Call(call))
            }
            Event::Return { socket, call, address, error } => {
                if let Some(socket) = socket {
                    write!(f, "{socket} ")?;
                }
                f.write_str(call)?;
                if let Some(address) = address {
                    write!(f, " {address}")?;
                }
                match error {
                    Some(error) => write!(f, ": {error}"),
                    None => f.write_str(" returns"),
                }
            }
            Event::State { socket, from, to } => write!(f, "{socket} {from} ⇒ {to}"),
            Event::Delivered { socket, bytes } => {
                write!(f, "{socket} {} can be read", Bytes(u64::try_from(*bytes).unwrap_or(u64::MAX)))
            }
            Event::Timer { socket, timer } => {
                if let Some(socket) = socket {
                    write!(f, "{socket} ")?;
                }
                write!(f, "timer: {}", Timer(*timer))
            }
            Event::Segment { socket, direction, seq, length, rule, original, acknowledges } => {
                write!(f, "{socket} segment {direction} seq {seq}")?;
                if *length > 0 {
                    write!(f, " len {length}")?;
                }
                match acknowledges {
                    _ if f.alternate() => {}
                    Some([first, last]) if first == last => write!(f, " · acknowledges {first}")?,
                    Some([first, last]) => write!(f, " · acknowledges {first} to {last}")?,
                    None => {}
                }
                match original {
                    Some(_) if f.alternate() => f.write_str(" · again")?,
                    Some(original) => write!(f, " · again, first sent as {original}")?,
                    None => {}
                }
                match rule {
                    Some(rule) => write!(f, " · {rule}: {}", rule.sentence()),
                    None => Ok(()),
                }
            }
            event => Life::of(event).map_or(Ok(()), |life| write!(f, "{life}")),
        }
    }
}

/// All layers of a frame or a packet, each field and each checksum, one line for each layer; nothing for other events.
#[derive(Debug)]
pub struct Detail<'a>(pub &'a Event<'a>);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (direction, frame, fate) = match self.0 {
            Event::Frame { direction, bytes, fate } => (*direction, Frame::decode(bytes), fate),
            Event::Loopback { direction, bytes, fate } => (*direction, Frame::decode_local(bytes), fate),
            _ => return Ok(()),
        };
        let layers = Layers { direction, frame: &frame, fate }.to_string();
        // The first line of a record in the log stands behind its level, the others below it.
        layers.lines().try_for_each(|line| writeln!(f, "    {}", line.trim_start()))
    }
}

struct Call<'a>(&'a CallKind);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: &usize| Bytes(u64::try_from(*bytes).unwrap_or(u64::MAX));
        match self.0 {
            CallKind::Socket => f.write_str("socket"),
            CallKind::Bind { local } => write!(f, "bind {local}"),
            CallKind::Listen { backlog } => write!(f, "listen, backlog {backlog}"),
            CallKind::UnixBind { name } => write!(f, "bind {name}"),
            CallKind::UnixConnect { name } => write!(f, "connect {name}"),
            CallKind::Connect { remote } => write!(f, "connect {remote}"),
            CallKind::Accept => f.write_str("accept"),
            CallKind::ReadEnd => f.write_str("read = 0 (end)"),
            CallKind::Read { bytes: count } => write!(f, "read {}", bytes(count)),
            CallKind::Write { bytes: count } => write!(f, "write {}", bytes(count)),
            CallKind::ShutdownRead => f.write_str("shutdown, reading"),
            CallKind::ShutdownWrite => f.write_str("shutdown, writing"),
            CallKind::Close => f.write_str("close"),
            CallKind::Option { name } => write!(f, "option {name}"),
        }
    }
}

struct Timer(TimerKind);

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            TimerKind::Retransmission => "the oldest segment was not acknowledged in time (RFC 6298)",
            TimerKind::Reordering => "what left before an arrival had its time to arrive too (RFC 8985 §6.2)",
            TimerKind::TailLoss => "the last ACK is late (RFC 8985 §7)",
            TimerKind::ZeroWindow => "the peer's window has been closed for a while (RFC 9293 §3.8.6.1)",
            TimerKind::Keepalive => "the peer has been silent for a while (RFC 9293 §3.8.4)",
            TimerKind::DelayedAck => "an ACK was put off long enough (RFC 9293 §3.8.6.3)",
            TimerKind::GiveUp => "the peer has not answered for too long (tcp(7))",
            TimerKind::TimeWait => "old segments had their time to die out (RFC 9293 §3.6.1)",
            TimerKind::SynAck => "the SYN-ACK was not acknowledged in time (RFC 6298 §5)",
            TimerKind::Neighbour => "a neighbour has not answered, or was silent for a while (RFC 4861 §7.3)",
            TimerKind::Reassembly => "fragments are missing for too long (RFC 1122 §3.3.2)",
            TimerKind::Autoconfiguration => "an address, a lease or a router is due",
            TimerKind::Group => "a report about groups is due",
        })
    }
}

/// What sort of line it is, for those who colour it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// An ordinary packet or segment.
    Plain,
    /// A step in the life of a socket, an address or a neighbour.
    Life,
    /// A call of a program, and what comes back.
    Call,
    /// A timer, or what is sent again.
    Again,
    /// Something was dropped, refused or reset.
    Drop,
}

impl Tone {
    /// The tone of an event.
    pub fn of(event: &Event<'_>) -> Tone {
        match event {
            Event::Frame { fate, .. } | Event::Loopback { fate, .. } => Tone::of_fate(fate),
            Event::Segment { rule, .. } => rule.map_or(Tone::Plain, Tone::of_rule),
            Event::Timer { .. } => Tone::Again,
            Event::Return { error: Some(_), .. } => Tone::Drop,
            event if event.depth() == Depth::Call => Tone::Call,
            _ => Tone::Life,
        }
    }

    fn of_fate(fate: &Fate) -> Tone {
        fate.rule.map_or(Tone::Plain, Tone::of_rule)
    }

    fn of_rule(rule: Rule) -> Tone {
        let name = rule.name();
        let has = |part: &str| name.split('.').any(|word| word == part);
        if has("drop") || has("rst") {
            Tone::Drop
        } else if has("retransmit") || has("probe") || has("keepalive") {
            Tone::Again
        } else {
            Tone::Plain
        }
    }
}

/// What a record has to do with others, in front of its line: `@17 ← @12`.
#[derive(Debug)]
pub struct Links<'a>(pub &'a Record<'a>);

impl fmt::Display for Links<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.cause {
            Some(cause) => write!(f, "{} ← {cause}", self.0.id),
            None => write!(f, "{}", self.0.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Direction, Protocol, SocketId, TcpState};

    const SOCKET: SocketId = SocketId { protocol: Protocol::Tcp, number: 3 };

    fn returns(
        socket: Option<SocketId>,
        call: &'static str,
        address: Option<&str>,
        error: Option<&'static str>,
    ) -> Event<'static> {
        let address = address.map(|address| address.parse().unwrap());
        Event::Return { socket, call: call.into(), address, error: error.map(Into::into) }
    }

    #[test]
    fn calls_states_and_timers_are_said_in_the_words_of_the_man_pages_and_rfcs() {
        let socket = Some(SOCKET);
        for (event, line) in [
            (Event::Call { socket: None, call: CallKind::Socket }, "socket"),
            (Event::Call { socket, call: CallKind::Listen { backlog: 8 } }, "tcp#3 listen, backlog 8"),
            (Event::Call { socket, call: CallKind::ReadEnd }, "tcp#3 read = 0 (end)"),
            (Event::Call { socket, call: CallKind::Read { bytes: 0 } }, "tcp#3 read 0 B"),
            (Event::Call { socket, call: CallKind::UnixBind { name: "@log".into() } }, "tcp#3 bind @log"),
            (returns(socket, "connect", None, Some("ECONNREFUSED")), "tcp#3 connect: ECONNREFUSED"),
            (returns(None, "bind", Some("[::]:80"), Some("EADDRINUSE")), "bind [::]:80: EADDRINUSE"),
            (returns(socket, "connect", None, None), "tcp#3 connect returns"),
            (
                Event::State { socket: SOCKET, from: TcpState::FinWait1, to: TcpState::FinWait2 },
                "tcp#3 FIN-WAIT-1 ⇒ FIN-WAIT-2",
            ),
            (Event::Delivered { socket: SOCKET, bytes: 78 }, "tcp#3 78 B can be read"),
            (Event::Timer { socket, timer: TimerKind::TailLoss }, "tcp#3 timer: the last ACK is late (RFC 8985 §7)"),
            (
                Event::Segment {
                    socket: SOCKET,
                    direction: Direction::Out,
                    seq: 1,
                    length: 10,
                    rule: Some(Rule::TcpProbeTail),
                    original: None,
                    acknowledges: None,
                },
                "tcp#3 segment out seq 1 len 10 · tcp.probe.tail: the last ACK is late: the last segment is sent again, so that the peer says what it has",
            ),
        ] {
            assert_eq!(Line(&event).to_string(), line);
        }
    }

    #[test]
    fn drops_and_repetitions_have_a_tone_of_their_own() {
        let tone = |rule| Tone::of_rule(rule);
        assert_eq!(tone(Rule::TcpChecksum), Tone::Drop);
        assert_eq!(tone(Rule::TcpRstClosedPort), Tone::Drop);
        assert_eq!(tone(Rule::TcpRetransmitFast), Tone::Again);
        assert_eq!(tone(Rule::IcmpEcho), Tone::Plain);
    }
}
