//! What a segment must pass before smoltcp sees it.
//!
//! Stock smoltcp 0.14 can be made to panic, or to lose data silently, by segments that a peer may send. Each
//! case is known, and each is stopped here; what is stopped still gets the answer that RFC 9293 demands.
//! `tests.rs` shows for each that it does harm without its guard.

use smoltcp::wire::{TcpControl, TcpSeqNumber};

use super::connection::Connection;
use super::segment::Segment;
use super::sequence::{add, is_after, span};
use crate::observe::{Rule, TcpState, Time};

/// Sequence numbers further away than this cannot be compared safely: smoltcp's subtraction panics at 2³¹.
const FAR: i32 = 1 << 30;

/// What to do with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// smoltcp may see it.
    Admit,
    /// smoltcp may see its first `keep` bytes of payload, without a FIN.
    Cut { keep: usize },
    /// Answer with our own ACK (rate-limited), and drop it.
    Challenge(Rule),
    /// Drop it.
    Drop(Rule),
}

pub(super) fn admit(connection: &Connection, segment: &Segment<'_>, now: Time) -> Admission {
    let repr = &segment.repr;
    if connection.state() == TcpState::SynSent {
        return admit_unsynchronized(connection, segment);
    }
    let (Some(rcv_nxt), Some(edge)) = (connection.rcv_nxt(), connection.receive_edge()) else {
        return Admission::Drop(Rule::TcpNoAck);
    };
    let distance = repr.seq_number.0.wrapping_sub(rcv_nxt.0);
    if !(-FAR..=FAR).contains(&distance) {
        return if segment.is_rst() {
            Admission::Drop(Rule::TcpSequenceFar)
        } else {
            Admission::Challenge(Rule::TcpChallengeSequence)
        };
    }
    if segment.is_rst() {
        // RFC 5961 §3.2: only the exact number resets; a guess within the window is asked to prove itself.
        return if repr.seq_number == rcv_nxt {
            Admission::Admit
        } else if distance > 0 && is_after(edge, repr.seq_number) {
            Admission::Challenge(Rule::TcpChallengeReset)
        } else {
            Admission::Drop(Rule::TcpSequenceFar)
        };
    }
    if segment.is_syn() && connection.state() != TcpState::SynReceived {
        // RFC 5961 §4.2: a SYN in a synchronized state.
        return Admission::Challenge(Rule::TcpChallengeSyn);
    }
    if connection.is_stray(segment, now) {
        return Admission::Challenge(Rule::TcpPaws);
    }
    if connection.state() != TcpState::TimeWait
        && let Some(refused) = refuse_old(connection, segment, distance)
    {
        return refused;
    }
    match repr.ack_number {
        None => return Admission::Drop(Rule::TcpNoAck),
        Some(ack) if is_after(ack, connection.snd_nxt()) && connection.state() != TcpState::SynReceived => {
            return Admission::Challenge(Rule::TcpChallengeAck);
        }
        // RFC 5961 §5.2: an old ACK is one that this connection may have sent.
        Some(ack) if span(ack, connection.snd_una()) > connection.largest_send_window() => {
            return Admission::Challenge(Rule::TcpOldAck);
        }
        Some(_) => {}
    }
    // RFC 9293 §3.10.7.4: after the peer's FIN there is no text, and no other FIN. smoltcp would take text in CLOSING and
    // deliver it, with the FIN's own number between it and what came before; and in LAST-ACK it would not see that such
    // a segment acknowledges our FIN.
    let end = add(repr.seq_number, repr.payload.len());
    let last = TcpSeqNumber(rcv_nxt.0.wrapping_sub(1));
    let has_more = !repr.payload.is_empty() || repr.control == TcpControl::Fin;
    if has_ended(connection.state()) && has_more && is_after(end, last) {
        return Admission::Cut { keep: 0 };
    }
    // smoltcp would give the program what has come behind the gap, and the end after that.
    if repr.control == TcpControl::Fin && connection.has_received_behind(end) {
        return Admission::Challenge(Rule::TcpFinInside);
    }
    // The edge of the window may cut a segment, because the sender saw a larger window before. smoltcp cuts the
    // payload but takes the FIN behind it: bytes would be missing before a clean end.
    if repr.payload.is_empty() {
        // A probe may stand at the start of a closed window, and nothing else may.
        let is_beyond = distance > 0 && !is_after(edge, repr.seq_number);
        return if is_beyond { Admission::Challenge(Rule::TcpOutsideWindow) } else { Admission::Admit };
    }
    if is_after(end, edge) {
        return match span(repr.seq_number, edge) {
            // Nothing of it fits: a probe of a closed window, or data beyond it. Both are answered with an ACK.
            0 => Admission::Challenge(Rule::TcpOutsideWindow),
            keep if is_after(add(repr.seq_number, keep), rcv_nxt) => Admission::Cut { keep },
            _ => Admission::Challenge(Rule::TcpOutsideWindow),
        };
    }
    Admission::Admit
}

/// What lies wholly before RCV.NXT (RFC 9293 §3.10.7.4): it is answered with an ACK, and nothing of it is used.
fn refuse_old(connection: &Connection, segment: &Segment<'_>, distance: i32) -> Option<Admission> {
    let repr = &segment.repr;
    let length = repr.payload.len() + usize::from(repr.control == TcpControl::Fin);
    if distance >= 0 || length as i64 + i64::from(distance) > 0 {
        return None;
    }
    if length == 0 {
        // Overtaken on its way by data that has not been acknowledged yet: as good as in order.
        let is_recent = connection.last_ack_sent().is_some_and(|ack| !is_after(ack, repr.seq_number));
        if is_recent || connection.state() == TcpState::SynReceived {
            return None;
        }
    }
    let rule = match (length, distance) {
        (0 | 1, -1) if repr.control != TcpControl::Fin => Rule::TcpKeepaliveAnswer,
        (0, _) => Rule::TcpChallengeSequence,
        _ => Rule::TcpOldData,
    };
    Some(Admission::Challenge(rule))
}

/// Before the peer's SYN has come only the acknowledgment can be judged (RFC 9293 §3.10.7.3).
fn admit_unsynchronized(connection: &Connection, segment: &Segment<'_>) -> Admission {
    match segment.repr.ack_number {
        Some(ack) if is_after(ack, connection.snd_nxt()) && segment.is_rst() => Admission::Drop(Rule::TcpSequenceFar),
        _ => Admission::Admit,
    }
}

/// Whether the peer's FIN has come.
pub(super) fn has_ended(state: TcpState) -> bool {
    matches!(state, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait)
}
