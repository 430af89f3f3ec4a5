//! A sequence diagram of a connection.

use std::fmt;
use std::net::SocketAddr;

use etherparse::TransportSlice;

use super::frame::{Between, Frame, between};
use super::line::Line;
use super::tcp::{Core, Scale, Segment};
use crate::observe::{Direction, Event, Fate, Record, TcpState, Time};

/// Columns between the two lines.
const WIDTH: usize = 56;

/// Draws the frames of connections as arrows between two lines, the peer's on the left and ours on the right.
///
/// ```text
///                                192.168.69.100:39638                                    192.168.69.1:80 tcp#15
/// 0.000000 SYN-SENT              │──[S] seq 0 win 64240──────────────────────────────────▶│ LISTEN ⇒ SYN-RECEIVED
/// 0.000044 ESTABLISHED           │◀─[S.] seq 0 ack 1 win 65535────────────────────────────│
/// ```
///
/// Our state is the stack's own. The peer's is what its segments and ours tell, were they to arrive: nobody can see
/// inside it. Times count from the first arrow. A dropped frame ends in `✗`, with its rule below.
#[derive(Debug, Default)]
pub struct Ladder {
    begin: Option<Time>,
    between: Option<(SocketAddr, SocketAddr)>,
    peer: Peer,
}

/// One line of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung(String);

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ladder {
    /// The lines that a record adds; none for one that is neither an arrow nor something at its ends.
    pub fn draw(&mut self, record: &Record<'_>) -> Vec<Rung> {
        match &record.event {
            Event::Frame { direction, bytes, fate } => self.arrow(record.at, *direction, &Frame::decode(bytes), fate),
            Event::Loopback { direction, bytes, fate } => {
                self.arrow(record.at, *direction, &Frame::decode_local(bytes), fate)
            }
            event @ (Event::Call { socket: Some(_), .. }
            | Event::Return { socket: Some(_), error: Some(_), .. }
            | Event::Timer { socket: Some(_), .. }
            | Event::Closed { .. }) => {
                self.begin.map(|begin| Rung(beside(record.at - begin, &Line(event).to_string()))).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn arrow(&mut self, at: Time, direction: Direction, frame: &Frame<'_>, fate: &Fate) -> Vec<Rung> {
        let Some(net) = frame.net() else { return Vec::new() };
        let (Some((source, destination)), Some(is_between)) = (between(net), Between::of(net)) else {
            return Vec::new();
        };
        // What has no ports is between hosts and not between sockets.
        let Some((from, to)) = is_between.ports else { return Vec::new() };
        let ends = (SocketAddr::new(source, from), SocketAddr::new(destination, to));
        let (peer, own) = if direction == Direction::In { ends } else { (ends.1, ends.0) };
        let mut rungs = Vec::new();
        if self.between != Some((peer, own)) {
            self.between = Some((peer, own));
            self.peer = Peer::default();
            let socket = fate.owner.map(|owner| format!(" {}", owner.socket())).unwrap_or_default();
            let own = format!("{own}{socket}");
            let peer = peer.to_string();
            rungs.push(Rung(format!("{:>9}{:<22}{peer:<WIDTH$}{own}", "", "")));
        }
        let begin = *self.begin.get_or_insert(at);
        let before = self.peer.state;
        let (text, is_drop) = match frame.transport() {
            Some(TransportSlice::Tcp(tcp)) => {
                let is_drop = fate.rule.is_some_and(|rule| rule.name().contains(".drop."));
                if !is_drop {
                    self.peer.see(direction, tcp);
                }
                let scale = Scale::of(direction, fate.numbers, tcp);
                (Core(&Segment { tcp, scale: &scale }).to_string(), is_drop)
            }
            Some(TransportSlice::Udp(udp)) => (format!("udp len {}", udp.payload().len()), false),
            _ => (format!("{} bytes", frame.bytes.len()), false),
        };
        let theirs = self.peer.state.filter(|state| Some(*state) != before).map(|state| state.to_string());
        let ours = match fate.states {
            Some((from, to)) if from != to => format!(" {from} ⇒ {to}"),
            _ => String::new(),
        };
        let arrow = Arrow { direction, text: &text, is_drop };
        let (time, theirs) = (Time::ZERO + (at - begin), theirs.unwrap_or_default());
        rungs.push(Rung(format!("{time} {theirs:<21} │{arrow}│{ours}")));
        if let Some(rule) = fate.rule {
            rungs.push(Rung(format!("{:>31}│ {}: {}", "", rule.name(), rule.sentence())));
        }
        rungs
    }
}

/// What our side does between two arrows.
fn beside(since: std::time::Duration, text: &str) -> String {
    format!("{} {:21} │{:WIDTH$}│ {text}", Time::ZERO + since, "", "")
}

struct Arrow<'a> {
    direction: Direction,
    text: &'a str,
    is_drop: bool,
}

impl fmt::Display for Arrow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What does not fit loses its end; the line of the frame has all of it.
        let text: String = self.text.chars().take(WIDTH - 4).collect();
        let dashes = "─".repeat(WIDTH - 3 - text.chars().count());
        match (self.direction, self.is_drop) {
            (Direction::In, false) => write!(f, "──{text}{dashes}▶"),
            (Direction::In, true) => write!(f, "──{text}{dashes}✗"),
            (Direction::Out, false) => write!(f, "◀─{text}{dashes}─"),
            (Direction::Out, true) => write!(f, "✗─{text}{dashes}─"),
        }
    }
}

/// The peer, as far as segments tell.
#[derive(Debug, Default)]
struct Peer {
    state: Option<TcpState>,
    /// What acknowledges its FIN, and what ours.
    fin_acked_by: Option<u32>,
    ours_acked_by: Option<u32>,
}

impl Peer {
    fn see(&mut self, direction: Direction, tcp: &etherparse::TcpSlice<'_>) {
        use TcpState::*;
        if tcp.rst() {
            self.state = Some(Closed);
            return;
        }
        match direction {
            Direction::In => {
                if tcp.syn() {
                    self.state = Some(if tcp.ack() { SynReceived } else { SynSent });
                }
                if tcp.fin() {
                    let length = u32::try_from(tcp.payload().len()).unwrap_or(0);
                    self.fin_acked_by = Some(tcp.sequence_number().wrapping_add(length).wrapping_add(1));
                    // A FIN that does not acknowledge ours was sent before ours came: both have closed at once.
                    let has_ours =
                        !tcp.ack() || self.ours_acked_by.is_none_or(|ack| ack == tcp.acknowledgment_number());
                    self.state = match self.state {
                        Some(CloseWait) if has_ours => Some(LastAck),
                        Some(CloseWait) => Some(Closing),
                        None | Some(Established | SynReceived) => Some(FinWait1),
                        other => other,
                    };
                }
            }
            Direction::Out => {
                if tcp.ack() && (matches!(self.state, Some(SynReceived)) || tcp.syn()) {
                    self.state = Some(Established);
                }
                if tcp.fin() {
                    let length = u32::try_from(tcp.payload().len()).unwrap_or(0);
                    self.ours_acked_by = Some(tcp.sequence_number().wrapping_add(length).wrapping_add(1));
                }
                let is_acked = tcp.ack() && self.fin_acked_by == Some(tcp.acknowledgment_number());
                self.state = match self.state {
                    Some(FinWait1) if is_acked && tcp.fin() => Some(TimeWait),
                    Some(FinWait1) if is_acked => Some(FinWait2),
                    Some(FinWait1) if tcp.fin() => Some(Closing),
                    Some(FinWait2) if tcp.fin() => Some(TimeWait),
                    Some(Closing) if is_acked => Some(TimeWait),
                    Some(LastAck) if is_acked => Some(Closed),
                    None | Some(Established) if tcp.fin() => Some(CloseWait),
                    other => other,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::{TcpControl, TcpRepr, TcpSeqNumber};

    use super::super::tests::frames::{HOST4, US4, segment, tcp};
    use super::*;
    use crate::observe::{Depth, Numbers, Ownership, Protocol, Rule, SocketId, Trail};

    const NUMBERS: Numbers = Numbers { local: 1_000, remote: 2_000, local_shift: 0, remote_shift: 0 };

    struct Film {
        ladder: Ladder,
        trail: Trail,
        rungs: Vec<String>,
    }

    impl Film {
        fn new() -> Film {
            let mut trail = Trail::default();
            trail.set_depth(Depth::Bytes);
            Film { ladder: Ladder::default(), trail, rungs: Vec::new() }
        }

        fn see(&mut self, micros: u64, direction: Direction, repr: &TcpRepr<'_>, fate: Fate) {
            let (from, to) = if direction == Direction::In { (HOST4, US4) } else { (US4, HOST4) };
            let bytes = tcp((from, to), repr);
            let id = self.trail.number().unwrap();
            let event = Event::Frame { direction, bytes: bytes.into(), fate };
            let record = Record { id, cause: None, at: Time::from_micros(micros), event };
            self.rungs.extend(self.ladder.draw(&record).iter().map(ToString::to_string));
        }
    }

    fn fate(states: Option<(TcpState, TcpState)>) -> Fate {
        let owner = Ownership::FourTuple { socket: SocketId { protocol: Protocol::Tcp, number: 15 } };
        Fate { numbers: Some(NUMBERS), states, ..Fate::of(owner) }
    }

    fn peers(control: TcpControl, seq: i32, ack: Option<i32>, payload: &'static [u8]) -> TcpRepr<'static> {
        let ack_number = ack.map(|ack| TcpSeqNumber(1_000 + ack));
        TcpRepr {
            control,
            seq_number: TcpSeqNumber(2_000 + seq),
            ack_number,
            window_len: 500,
            payload,
            ..segment((43210, 80))
        }
    }

    fn ours(control: TcpControl, seq: i32, ack: i32) -> TcpRepr<'static> {
        TcpRepr {
            control,
            seq_number: TcpSeqNumber(1_000 + seq),
            ack_number: Some(TcpSeqNumber(2_000 + ack)),
            window_len: 600,
            ..segment((80, 43210))
        }
    }

    #[test]
    fn a_connection_is_drawn_from_its_first_syn_to_its_last_ack() {
        use Direction::{In, Out};
        use TcpState::*;
        let mut film = Film::new();
        film.see(5, In, &peers(TcpControl::Syn, 0, None, b""), fate(Some((Listen, SynReceived))));
        film.see(9, Out, &ours(TcpControl::Syn, 0, 1), fate(None));
        film.see(15, In, &peers(TcpControl::None, 1, Some(1), b""), fate(Some((SynReceived, Established))));
        film.see(20, In, &peers(TcpControl::Fin, 1, Some(1), b"abc"), fate(Some((Established, CloseWait))));
        film.see(25, Out, &ours(TcpControl::None, 1, 5), fate(None));
        film.see(30, Out, &ours(TcpControl::Fin, 1, 5), fate(Some((CloseWait, LastAck))));
        film.see(35, In, &peers(TcpControl::None, 5, Some(2), b""), fate(Some((LastAck, Closed))));
        let expected = "                               192.168.69.100:43210                                    192.168.69.1:80 tcp#15
0.000000 SYN-SENT              │──[S] seq 0 win 500────────────────────────────────────▶│ LISTEN ⇒ SYN-RECEIVED
0.000004 ESTABLISHED           │◀─[S.] seq 0 ack 1 win 600──────────────────────────────│
0.000010                       │──[.] seq 1 ack 1 win 500──────────────────────────────▶│ SYN-RECEIVED ⇒ ESTABLISHED
0.000015 FIN-WAIT-1            │──[F.] seq 1:4 ack 1 win 500 len 3─────────────────────▶│ ESTABLISHED ⇒ CLOSE-WAIT
0.000020 FIN-WAIT-2            │◀─[.] seq 1 ack 5 win 600───────────────────────────────│
0.000025 TIME-WAIT             │◀─[F.] seq 1 ack 5 win 600──────────────────────────────│ CLOSE-WAIT ⇒ LAST-ACK
0.000030                       │──[.] seq 5 ack 2 win 500──────────────────────────────▶│ LAST-ACK ⇒ CLOSED";
        assert_eq!(film.rungs.join("\n"), expected);
    }

    #[test]
    fn a_peer_that_closes_at_the_same_time_goes_through_closing() {
        use Direction::{In, Out};
        use TcpState::*;
        let mut film = Film::new();
        film.see(0, Out, &ours(TcpControl::Fin, 1, 1), fate(Some((Established, FinWait1))));
        film.see(1, In, &peers(TcpControl::Fin, 1, Some(1), b""), fate(Some((FinWait1, Closing))));
        film.see(2, Out, &ours(TcpControl::None, 2, 2), fate(None));
        film.see(3, In, &peers(TcpControl::None, 2, Some(2), b""), fate(Some((Closing, TimeWait))));
        let left: Vec<&str> = film.rungs[1..].iter().map(|rung| rung[9..20].trim()).collect();
        assert_eq!(left, ["CLOSE-WAIT", "CLOSING", "TIME-WAIT", ""]);
    }

    #[test]
    fn a_drop_ends_in_a_cross_and_says_its_rule() {
        let mut film = Film::new();
        let fate = Fate { rule: Some(Rule::TcpChecksum), ..fate(None) };
        film.see(0, Direction::In, &peers(TcpControl::Syn, 0, None, b""), fate);
        assert!(film.rungs[1].ends_with("─✗│"), "{}", film.rungs[1]);
        assert!(film.rungs[2].contains("│ tcp.drop.checksum: the TCP checksum is wrong"), "{}", film.rungs[2]);
    }
}
