//! When something is sent again, and how much may be sent at all.
//!
//! smoltcp keeps the bytes and numbers them; this decides what of them leaves. It finds losses by time
//! (RACK, RFC 8985) from the selective acknowledgments (RFC 6675), or by counting duplicate ACKs if the peer
//! sends none (RFC 5681, RFC 6582); it probes the tail before the retransmission timer must go off
//! (RFC 8985 §7), and keeps that timer (RFC 6298). It decides *what* is due; `resend` makes smoltcp give the
//! bytes out again.

use std::time::Duration;

use smoltcp::wire::TcpSeqNumber;

use super::congestion::{Congestion, CongestionControl};
use super::rtt::Rtt;
use super::scoreboard::{Arrivals, Scoreboard, is_younger};
use super::sending::Sending;
use crate::observe::{Rule, Time, TimerKind};
use crate::transport::sequence::{add, is_after, later, span};

/// RFC 5681 §3.2.
const DUPLICATES: u32 = 3;

/// The tail is not probed earlier than this after it left.
const LEAST_PROBE: Duration = Duration::from_millis(10);

/// What a peer may add to a round trip when it delays the ACK of a single segment (Linux: 40 ms).
const DELAYED_ACK: Duration = Duration::from_millis(50);

/// How often the patience with reordering doubles at most.
const MOST_PATIENCE: u32 = 16;

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct Recovery {
    board: Scoreboard,
    congestion: Congestion,
    rtt: Rtt,
    /// SND.UNA and SND.NXT, without probes of a closed window.
    una: TcpSeqNumber,
    nxt: TcpSeqNumber,
    /// The end of what has ever left, probes included.
    end: TcpSeqNumber,
    /// Payload of a full segment.
    mss: usize,
    /// Where the peer's window ends, and the segment that said so (SND.WL1, SND.WL2).
    edge: TcpSeqNumber,
    window_from: Option<(TcpSeqNumber, TcpSeqNumber)>,
    largest_window: usize,
    episode: Option<Episode>,
    /// Duplicate ACKs in a row.
    copies: u32,
    /// The peer sends selective acknowledgments.
    selective: bool,
    /// Of all that has arrived, what left last (RACK.xmit_ts, RACK.end_seq), and its round trip.
    youngest: Option<(Time, TcpSeqNumber)>,
    latest: Duration,
    /// The path delivers out of order, and how much patience that takes, in quarters of a round trip.
    is_disordered: bool,
    patience: u32,
    /// When to look for losses again.
    look_at: Option<Time>,
    /// Since when the retransmission timer runs, and how many times it went off in a row.
    running_since: Time,
    backoff: u32,
    last_sent: Time,
    /// A probe of the tail is on its way: SND.NXT when it left.
    probed: Option<TcpSeqNumber>,
    /// A probe of the tail is due.
    probe: Option<(TcpSeqNumber, TcpSeqNumber)>,
    /// The first segment of an episode does not wait for the window (RFC 6675 §5, step 4.3).
    is_urgent: bool,
    undo: Option<Undo>,
    /// Since when the peer's window is closed, or the last probe of it, and how many probes there were.
    closed_since: Option<Time>,
    window_probes: u32,
    /// The timer that went off last, for whoever looks.
    fired: Option<TimerKind>,
}

/// Losses are being repaired.
#[derive(Debug, Clone, Copy)]
struct Episode {
    /// It is over when everything before this is acknowledged.
    point: TcpSeqNumber,
    timeout: bool,
    /// They were too large for the path.
    narrowed: bool,
}

/// What to go back to when every retransmission turns out to have been needless (RFC 3708).
#[derive(Debug, Clone, Copy)]
struct Undo {
    before: Congestion,
    sent_again: u32,
}

/// What is to be sent again, and why.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) ranges: Vec<(TcpSeqNumber, TcpSeqNumber)>,
    pub(super) rule: Rule,
}

impl Recovery {
    /// `start`: the sequence number behind our SYN.
    pub(super) fn new(start: TcpSeqNumber, now: Time) -> Recovery {
        Recovery {
            board: Scoreboard::default(),
            congestion: Congestion::new(536, CongestionControl::default()),
            rtt: Rtt::default(),
            una: start,
            nxt: start,
            end: start,
            mss: 536,
            edge: start,
            window_from: None,
            largest_window: 0,
            episode: None,
            copies: 0,
            selective: false,
            youngest: None,
            latest: Duration::ZERO,
            is_disordered: false,
            patience: 1,
            look_at: None,
            running_since: now,
            backoff: 0,
            last_sent: now,
            probed: None,
            probe: None,
            is_urgent: false,
            undo: None,
            closed_since: None,
            window_probes: 0,
            fired: None,
        }
    }

    /// Takes the timer that went off last.
    pub(super) fn take_fired(&mut self) -> Option<TimerKind> {
        self.fired.take()
    }

    /// What both SYNs agreed on.
    pub(super) fn agree(&mut self, mss: usize, selective: bool) {
        self.mss = mss.max(1);
        self.congestion = Congestion::new(self.mss, self.congestion.control());
        self.selective = selective;
    }

    /// From here on the window grows and shrinks by this.
    pub(super) fn set_congestion_control(&mut self, control: CongestionControl) {
        self.congestion.set_control(control);
    }

    pub(super) fn una(&self) -> TcpSeqNumber {
        self.una
    }

    pub(super) fn nxt(&self) -> TcpSeqNumber {
        self.nxt
    }

    /// The end of what has ever left.
    pub(super) fn end(&self) -> TcpSeqNumber {
        self.end
    }

    pub(super) fn edge(&self) -> TcpSeqNumber {
        self.edge
    }

    /// MAX.SND.WND (RFC 5961 §5.2).
    pub(super) fn largest_window(&self) -> usize {
        self.largest_window
    }

    pub(super) fn is_outstanding(&self) -> bool {
        !self.board.is_empty()
    }

    /// Whether the peer's window has no room.
    pub(super) fn is_closed(&self) -> bool {
        !is_after(self.edge, self.una)
    }

    /// The window of an acceptable segment; ignored if a younger segment has said otherwise (RFC 9293 §3.10.7.4).
    pub(super) fn note_window(&mut self, seq: TcpSeqNumber, ack: TcpSeqNumber, window: usize) {
        let is_newer =
            self.window_from.is_none_or(|(wl1, wl2)| is_after(seq, wl1) || (seq == wl1 && !is_after(wl2, ack)));
        if is_newer && !is_after(ack, self.end) {
            self.window_from = Some((seq, ack));
            self.edge = add(ack, window);
            self.largest_window = self.largest_window.max(window);
        }
    }

    /// `start..end` has left for the first time.
    pub(super) fn on_sent(&mut self, start: TcpSeqNumber, end: TcpSeqNumber, now: Time) {
        if self.board.is_empty() {
            self.running_since = now;
        }
        self.board.send(start, end, now);
        self.nxt = later(self.nxt, end);
        self.end = later(self.end, end);
        self.last_sent = now;
    }

    /// A byte beyond a closed window has left.
    pub(super) fn on_window_probe(&mut self, end: TcpSeqNumber) {
        self.end = later(self.end, end);
    }

    /// `start..end` has left again.
    pub(super) fn on_sent_again(&mut self, start: TcpSeqNumber, end: TcpSeqNumber, now: Time) {
        self.board.resend(start, end, now);
        self.last_sent = now;
        if start == self.una {
            self.running_since = now;
        }
        if let Some(undo) = &mut self.undo {
            undo.sent_again += span(start, end).div_ceil(self.mss) as u32;
        }
    }

    /// An acceptable ACK. `is_copy`: it carries nothing else and acknowledges nothing new.
    pub(super) fn on_ack(&mut self, now: Time, ack: TcpSeqNumber, blocks: &[Option<(u32, u32)>], is_copy: bool) {
        let mut arrivals = Arrivals::default();
        let was_used = self.board.on_its_way() + self.mss >= self.congestion.window();
        let highest = if self.board.arrived() > 0 { self.board.highest_arrived() } else { None };
        let advanced = is_after(ack, self.una);
        if advanced {
            self.board.acknowledge(ack, &mut arrivals);
            self.una = ack;
            self.nxt = later(self.nxt, ack);
            self.end = later(self.end, ack);
            self.edge = later(self.edge, ack);
            self.backoff = 0;
            self.copies = 0;
            self.running_since = now;
            self.window_probes = 0;
        }
        let is_duplicate = self.take_blocks(blocks, &mut arrivals);
        if is_duplicate {
            self.on_needless();
        }
        if arrivals.bytes == 0 {
            self.copies += u32::from(is_copy);
        } else {
            self.probed = None;
        }
        if let Some((sent_at, end, again)) = arrivals.youngest {
            let rtt = now - sent_at;
            // An ACK that comes too early for the second copy is the first one's.
            if !(again && rtt < self.rtt.least()) {
                self.latest = rtt;
                if self.youngest.is_none_or(|youngest| is_younger((sent_at, end), youngest)) {
                    self.youngest = Some((sent_at, end));
                }
            }
        }
        if let Some(sent_at) = arrivals.sampled
            && (self.selective || self.episode.is_none())
        {
            self.rtt.sample(now - sent_at);
        }
        if let (Some(first), Some(highest)) = (arrivals.first_copy, highest)
            && is_after(highest, first)
        {
            self.is_disordered = true;
        }
        if advanced && self.episode.is_some_and(|episode| !is_after(episode.point, ack)) {
            self.episode = None;
        }
        if advanced && was_used && self.episode.is_none_or(|episode| episode.timeout) {
            self.congestion.on_ack(now, arrivals.bytes, self.rtt.smoothed().unwrap_or_default());
        }
        let is_troubled = self.board.arrived() > 0 || self.episode.is_some() || self.copies >= DUPLICATES;
        if is_troubled || arrivals.youngest.is_some_and(|(.., again)| again) {
            self.look(now, advanced);
        }
    }

    /// Says whether the peer reports something that it had already (RFC 2883).
    fn take_blocks(&mut self, blocks: &[Option<(u32, u32)>], arrivals: &mut Arrivals) -> bool {
        let mut is_duplicate = false;
        for &(left, right) in blocks.iter().flatten() {
            let (left, right) = (TcpSeqNumber(left as i32), TcpSeqNumber(right as i32));
            if !is_after(right, left) {
                continue;
            }
            if !is_after(right, self.una) {
                is_duplicate = true;
            } else if self.selective && !is_after(self.una, left) && !is_after(right, self.nxt) {
                self.board.arrive(left, right, arrivals);
            }
        }
        is_duplicate
    }

    fn on_needless(&mut self) {
        self.is_disordered = true;
        self.patience = (self.patience + 1).min(MOST_PATIENCE);
        if let Some(undo) = &mut self.undo {
            undo.sent_again = undo.sent_again.saturating_sub(1);
            if undo.sent_again == 0 {
                self.congestion.restore(undo.before);
                self.undo = None;
            }
        }
    }

    /// Looks for losses.
    fn look(&mut self, now: Time, advanced: bool) {
        let mut found = false;
        self.look_at = None;
        if self.selective
            && let Some(youngest) = self.youngest
        {
            // RFC 8985 §6.2, step 4: patience is for paths that reorder.
            let has_proof = self.episode.is_some() || self.board.arrived() >= DUPLICATES as usize * self.mss;
            let window = if !self.is_disordered && has_proof {
                Duration::ZERO
            } else {
                let quarter = self.rtt.least() / 4;
                (quarter * self.patience).min(self.rtt.smoothed().unwrap_or_default())
            };
            let (lost, again_at) = self.board.find_lost(now, youngest, self.latest + window);
            found |= lost;
            self.look_at = again_at;
        }
        if self.board.arrived() == 0 {
            // In an episode they say that the first segment was lost again, once it has had its time.
            let patience = self.rtt.smoothed().unwrap_or_default() * 3 / 2;
            let has_waited = self.board.first().is_some_and(|first| first.sent_at + patience < now);
            let is_third = self.copies == DUPLICATES && (self.episode.is_none() || has_waited);
            // RFC 6582 §3.2: the ACK of a part says that the next segment is lost, too.
            let is_partial = !self.selective && advanced && self.episode.is_some_and(|episode| !episode.timeout);
            if is_third || is_partial {
                self.board.lose(self.una, add(self.una, self.mss));
                self.is_urgent = true;
                found = true;
            }
        }
        if found && self.episode.is_none() {
            self.episode = Some(Episode { point: self.nxt, timeout: false, narrowed: false });
            self.undo = Some(Undo { before: self.congestion, sent_again: 0 });
            self.congestion.on_loss(span(self.una, self.nxt));
            self.is_urgent = true;
        }
    }

    /// The path carries less than was thought: what is on its way will not arrive.
    pub(super) fn narrow(&mut self, mss: usize) {
        self.mss = mss.max(1);
        // What fits still may arrive.
        if span(self.una, self.nxt) > self.mss {
            self.board.lose_all(false);
            let episode = Episode { point: self.nxt, timeout: false, narrowed: true };
            self.episode.get_or_insert(episode).narrowed = true;
            self.is_urgent = true;
        }
    }

    /// The retransmission timer went off (RFC 6298 §5.4-§5.7).
    pub(super) fn on_timeout(&mut self, now: Time) {
        self.congestion.on_timeout(span(self.una, self.nxt), self.backoff == 0);
        self.board.lose_all(self.backoff > 0);
        self.backoff += 1;
        self.running_since = now;
        self.episode = Some(Episode { point: self.nxt, timeout: true, narrowed: false });
        self.undo = None;
        self.copies = 0;
        self.probed = None;
        self.probe = None;
        self.look_at = None;
        self.is_urgent = true;
        self.fired = Some(TimerKind::Retransmission);
    }

    /// Does what time demands.
    pub(super) fn on_time(&mut self, now: Time) {
        if self.board.is_empty() {
            return;
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.fired = Some(TimerKind::Reordering);
            self.look(now, false);
        }
        if self.timeout_at() <= now {
            if self.is_closed() {
                // The probes of the window ask for an answer.
                self.running_since = now;
            } else {
                self.on_timeout(now);
            }
        } else if self.probe_at().is_some_and(|at| at <= now) {
            self.fired = Some(TimerKind::TailLoss);
            self.probe = self.board.tail(self.mss);
            self.probed = Some(self.nxt);
            self.running_since = now;
        }
    }

    fn timeout_at(&self) -> Time {
        self.running_since + self.rtt.timeout(self.backoff)
    }

    /// RFC 8985 §7.2.
    fn probe_at(&self) -> Option<Time> {
        let rtt = self.rtt.smoothed()?;
        if !self.selective || self.probed.is_some() || self.backoff > 0 || self.board.lost() > 0 {
            return None;
        }
        let is_single = self.board.on_its_way() <= self.mss && self.episode.is_none();
        let wait = (rtt * 2).max(LEAST_PROBE) + if is_single { DELAYED_ACK } else { Duration::ZERO };
        Some(self.last_sent.max(self.running_since) + wait)
    }

    /// `is_closed`: there are data, and the peer's window is closed. Says whether a probe of it is due
    /// (RFC 9293 §3.8.6.1).
    pub(super) fn probes_window(&mut self, now: Time, is_closed: bool) -> bool {
        if !is_closed {
            self.closed_since = None;
            self.window_probes = 0;
            return false;
        }
        let since = *self.closed_since.get_or_insert(now);
        let is_due = since + self.rtt.timeout(self.window_probes) <= now;
        if is_due {
            self.closed_since = Some(now);
            self.window_probes += 1;
            self.fired = Some(TimerKind::ZeroWindow);
        }
        is_due
    }

    /// When it wants to be looked at again.
    pub(super) fn deadline(&self) -> Option<Time> {
        if let Some(since) = self.closed_since {
            return Some(since + self.rtt.timeout(self.window_probes));
        }
        if self.board.is_empty() {
            return None;
        }
        [self.look_at, self.probe_at(), Some(self.timeout_at())].into_iter().flatten().min()
    }

    /// What happens next if nothing is heard, and when.
    pub(super) fn timer(&self) -> Option<(TimerKind, Time)> {
        if let Some(since) = self.closed_since {
            return Some((TimerKind::ZeroWindow, since + self.rtt.timeout(self.window_probes)));
        }
        if self.board.is_empty() {
            return None;
        }
        let reordering = self.look_at.map(|at| (TimerKind::Reordering, at));
        let tail = self.probe_at().map(|at| (TimerKind::TailLoss, at));
        let timers = [reordering, tail, Some((TimerKind::Retransmission, self.timeout_at()))];
        timers.into_iter().flatten().min_by_key(|&(_, at)| at)
    }

    /// What it knows of how the connection sends.
    pub(super) fn sending(&self) -> Sending {
        Sending {
            congestion_control: self.congestion.control(),
            congestion_window: self.congestion.window(),
            slow_start_threshold: self.congestion.threshold(),
            on_its_way: self.board.on_its_way(),
            arrived: self.board.arrived(),
            lost: self.board.lost(),
            segment: self.mss,
            round_trip: self.rtt.measured(),
            timeout: self.rtt.timeout(self.backoff),
            backoff: self.backoff.max(self.window_probes),
            last_sent: self.last_sent,
            ..Sending::default()
        }
    }

    /// What is to be sent again now.
    pub(super) fn due(&mut self) -> Option<Due> {
        if let Some(range) = self.probe.take()
            && is_after(self.edge, range.0)
        {
            return Some(Due { ranges: vec![range], rule: Rule::TcpProbeTail });
        }
        if self.board.lost() == 0 {
            return None;
        }
        let quota = self.congestion.window().saturating_sub(self.board.on_its_way());
        if quota < self.mss && !self.is_urgent {
            return None;
        }
        let mut ranges = self.board.due(self.mss, quota);
        ranges.retain(|range| is_after(self.edge, range.0));
        if ranges.is_empty() {
            return None;
        }
        self.is_urgent = false;
        let rule = match self.episode {
            Some(Episode { timeout: true, .. }) => Rule::TcpRetransmitTimeout,
            Some(Episode { narrowed: true, .. }) => Rule::TcpRetransmitPathMtu,
            _ => Rule::TcpRetransmitFast,
        };
        Some(Due { ranges, rule })
    }

    /// How far behind SND.UNA smoltcp should send, so that no more is on its way than the congestion window, and how far
    /// the peer's window allows. New data waits until what was lost has left again.
    pub(super) fn window(&mut self, now: Time) -> (usize, usize) {
        if self.board.is_empty() && now - self.last_sent > self.rtt.timeout(0) {
            self.congestion.on_idle();
        }
        let outstanding = span(self.una, self.nxt);
        let mut free = 0;
        if self.board.lost() == 0 {
            // Without selective acknowledgments each copy says that one segment has left the path (RFC 3042).
            let left = if self.selective { 0 } else { (self.copies as usize).saturating_mul(self.mss) };
            free = self.congestion.window().saturating_sub(self.board.on_its_way().saturating_sub(left));
            if free < self.mss && outstanding > 0 {
                free = 0;
            }
        }
        (outstanding + free, span(self.una, self.edge))
    }

    /// Whether smoltcp's own retransmission timer may have gone off; it waits at least a second.
    pub(super) fn is_overdue(&self, now: Time) -> bool {
        !self.board.is_empty() && now - self.running_since >= Duration::from_millis(900)
    }
}
