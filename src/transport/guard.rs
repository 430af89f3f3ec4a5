//! What a segment must pass before smoltcp sees it.
//!
//! Stock smoltcp 0.14 can be made to panic, or to lose data silently, by segments that a peer may send. Each
//! case is known, and each is stopped here; what is stopped still gets the answer that RFC 9293 demands.
//! `tests.rs` shows for each that it does harm without its guard.

use smoltcp::wire::{TcpControl, TcpSeqNumber};

use super::connection::Connection;
use super::segment::Segment;
use crate::observe::{Rule, TcpState};

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

pub(super) fn admit(connection: &Connection, segment: &Segment<'_>) -> Admission {
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
        } else if distance > 0 && repr.seq_number < edge {
            Admission::Challenge(Rule::TcpChallengeReset)
        } else {
            Admission::Drop(Rule::TcpSequenceFar)
        };
    }
    if segment.is_syn() && connection.state() != TcpState::SynReceived {
        // RFC 5961 §4.2: a SYN in a synchronized state.
        return Admission::Challenge(Rule::TcpChallengeSyn);
    }
    match repr.ack_number {
        None => return Admission::Drop(Rule::TcpNoAck),
        Some(ack) if is_after(ack, connection.snd_nxt()) => return Admission::Challenge(Rule::TcpChallengeAck),
        Some(_) => {}
    }
    // RFC 9293 §3.10.7.4: after the peer's FIN there is no text. smoltcp would take it in CLOSING and deliver it, with
    // the FIN's own number between it and what came before.
    let end = repr.seq_number + repr.payload.len();
    if has_ended(connection.state()) && !repr.payload.is_empty() && is_after(end, rcv_nxt - 1) {
        let keep = usize::try_from((rcv_nxt - 1).0.wrapping_sub(repr.seq_number.0)).unwrap_or(0);
        return Admission::Cut { keep };
    }
    // The edge of the window may cut a segment, because the sender saw a larger window before. smoltcp cuts the
    // payload but takes the FIN behind it: bytes would be missing before a clean end.
    let takes_fin = repr.control == TcpControl::Fin;
    if is_after(end, edge) && !repr.payload.is_empty() {
        let keep = edge.0.wrapping_sub(repr.seq_number.0);
        return match usize::try_from(keep) {
            Ok(keep) if keep > 0 => Admission::Cut { keep },
            // Nothing of it fits: a probe of a closed window, or data beyond it. Both are answered with an ACK.
            _ => Admission::Challenge(Rule::TcpOutsideWindow),
        };
    }
    if takes_fin && is_after(end, edge) {
        return Admission::Challenge(Rule::TcpOutsideWindow);
    }
    Admission::Admit
}

/// Before the peer's SYN has come only the acknowledgment can be judged (RFC 9293 §3.10.7.3).
fn admit_unsynchronized(connection: &Connection, segment: &Segment<'_>) -> Admission {
    match segment.repr.ack_number {
        Some(ack) if is_after(ack, connection.snd_nxt()) && segment.is_rst() => Admission::Drop(Rule::TcpSequenceFar),
        _ => Admission::Admit,
    }
}

/// Whether the peer's FIN has come.
fn has_ended(state: TcpState) -> bool {
    matches!(state, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait)
}

fn is_after(a: TcpSeqNumber, b: TcpSeqNumber) -> bool {
    a.0.wrapping_sub(b.0) > 0
}
