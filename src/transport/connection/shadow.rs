//! The numbers of RFC 9293 §3.3.1 that smoltcp does not show.

use std::net::SocketAddr;

use smoltcp::wire::{TcpRepr, TcpSeqNumber};

use super::{Connection, Peer};
use crate::observe::{TcpState, Time};
use crate::transport::handshake::Handshake;
use crate::transport::segment::{self, Segment};
use crate::transport::sequence::{add, earlier, later, span};
use crate::transport::timestamp::{self, Timestamps};

impl Connection {
    /// The next sequence number that we expect; `None` before the peer's SYN.
    pub(in crate::transport) fn rcv_nxt(&self) -> Option<TcpSeqNumber> {
        let fin =
            matches!(self.state(), TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait);
        let received = self.consumed as usize + self.socket().recv_queue() + 1 + usize::from(fin);
        self.irs.map(|irs| add(irs, received))
    }

    /// The end of what has ever left.
    pub(in crate::transport) fn snd_nxt(&self) -> TcpSeqNumber {
        if self.has_sent_syn { self.recovery.end() } else { self.agreed.isn }
    }

    /// The oldest sequence number that the peer has not acknowledged.
    pub(in crate::transport) fn snd_una(&self) -> TcpSeqNumber {
        if self.state() == TcpState::SynSent { self.agreed.isn } else { self.recovery.una() }
    }

    /// MAX.SND.WND (RFC 5961 §5.2).
    pub(in crate::transport) fn largest_send_window(&self) -> usize {
        self.recovery.largest_window()
    }

    /// What we have acknowledged (Last.ACK.sent, RFC 7323 §4.3).
    pub(in crate::transport) fn last_ack_sent(&self) -> Option<TcpSeqNumber> {
        self.advertised.map(|(ack, _)| ack).or(self.irs.map(|irs| add(irs, 1)))
    }

    /// The end of the window: what the buffer can take, and no more than we have advertised.
    pub(in crate::transport) fn receive_edge(&self) -> Option<TcpSeqNumber> {
        let rcv_nxt = self.rcv_nxt()?;
        let free = self.socket().recv_capacity() - self.socket().recv_queue();
        let buffer_edge = add(rcv_nxt, free);
        match self.advertised {
            Some((ack, window)) => Some(earlier(buffer_edge, later(rcv_nxt, add(ack, window as usize)))),
            None => Some(buffer_edge),
        }
    }

    pub(super) fn receive_window(&self) -> u16 {
        let window = match (self.rcv_nxt(), self.receive_edge()) {
            (Some(rcv_nxt), Some(edge)) => span(rcv_nxt, edge),
            _ => 0,
        };
        u16::try_from(window).unwrap_or(u16::MAX)
    }

    /// Whether bytes with numbers from `end` on have arrived: then nothing can end there.
    pub(in crate::transport) fn has_received_behind(&self, end: TcpSeqNumber) -> bool {
        self.gaps.reaches_behind(end)
    }

    /// Whether the peer's clock says that this is a stray (RFC 7323 §5.3). A segment without a timestamp passes, as on
    /// Linux: there are machines on the way that take options away.
    pub(in crate::transport) fn is_stray(&self, segment: &Segment<'_>, now: Time) -> bool {
        match (&self.timestamps, segment.repr.timestamp) {
            (Some(timestamps), Some(option)) => timestamps.is_old(option.tsval, now),
            _ => false,
        }
    }

    /// What the peer's SYN says.
    pub(in crate::transport) fn note_syn(&mut self, segment: &Segment<'_>, now: Time) {
        self.irs = Some(segment.repr.seq_number);
        self.peer = Peer {
            mss: offered_mss(segment),
            window_scale: segment.repr.window_scale,
            sack: segment.repr.sack_permitted,
            window: u32::from(segment.repr.window_len),
            first_checksum: segment.checksum,
        };
        let clock = self.agreed.clock;
        self.timestamps = segment.repr.timestamp.map(|option| Timestamps::new(clock, option.tsval, now));
        let ack = segment.repr.ack_number.unwrap_or(self.agreed.isn);
        self.agree(segment.repr.seq_number, ack);
    }

    /// What the SYN entry knew: both SYNs, and how often they were sent.
    pub(in crate::transport) fn note_handshake(&mut self, handshake: &Handshake) {
        self.irs = Some(handshake.irs);
        self.peer = Peer {
            mss: handshake.mss,
            window_scale: handshake.window_scale,
            sack: handshake.sack,
            window: u32::from(handshake.window),
            first_checksum: handshake.checksum,
        };
        self.timestamps = handshake.timestamps;
        self.agree(handshake.irs, add(self.agreed.isn, 1));
        self.summary.packets_in = u64::from(handshake.syns);
        self.summary.packets_out = u64::from(handshake.tries + handshake.repeats);
        self.summary.retransmitted = u64::from((handshake.tries + handshake.repeats).saturating_sub(1));
    }

    fn agree(&mut self, seq: TcpSeqNumber, ack: TcpSeqNumber) {
        let mss = fed_mss(self.send_mss(), self.timestamps.is_some());
        self.recovery.agree(usize::from(mss), self.peer.sack);
        self.recovery.note_window(seq, ack, self.peer.window as usize);
        self.believed = self.peer.window as usize;
    }

    /// A segment came again whose data was received in order before (RFC 2883).
    pub(in crate::transport) fn note_duplicate(&mut self, segment: &Segment<'_>) {
        let start = segment.repr.seq_number;
        if !segment.repr.payload.is_empty() {
            self.gaps.note_duplicate(start, add(start, segment.repr.payload.len()));
        }
    }

    /// Our own ACK, for a segment that must not be fed.
    pub(in crate::transport) fn challenge(&mut self, now: Time) -> TcpRepr<'static> {
        let mut blocks = self.gaps.report().map(|(left, right)| (left.0 as u32, right.0 as u32));
        let sack_ranges = if self.peer.sack { [blocks.next(), blocks.next(), blocks.next()] } else { [None; 3] };
        drop(blocks);
        self.gaps.reported();
        TcpRepr {
            seq_number: self.recovery.nxt(),
            ack_number: self.rcv_nxt(),
            window_len: self.receive_window(),
            timestamp: self.timestamps.map(|timestamps| timestamps.option(now)),
            sack_ranges,
            ..segment::bare(self.agreed.local, self.agreed.remote)
        }
    }

    /// The payload of a full segment of ours, once both SYNs have been seen.
    pub(in crate::transport) fn segment_size(&self) -> Option<u16> {
        self.irs.map(|_| fed_mss(self.send_mss(), self.timestamps.is_some()))
    }

    /// The MSS of our own segments, options included.
    pub(in crate::transport) fn send_mss(&self) -> u16 {
        let offered = if self.peer.mss == 0 { default_mss(self.agreed.remote) } else { self.peer.mss };
        offered.min(self.agreed.link_mss).min(self.path_mss)
    }
}

/// Half of the largest window without a scale, such as ours. Were a full segment longer, as it is on the loopback, there
/// would hardly ever be room for one behind what is on its way, and Nagle's algorithm would wait for an ACK that waits
/// for a second segment (Linux: tcp_bound_to_half_wnd).
const HALF_A_WINDOW: u16 = 32_767;

/// The MSS that smoltcp is told: it knows nothing of the options that are added behind it.
pub(in crate::transport) fn fed_mss(send_mss: u16, has_timestamps: bool) -> u16 {
    let mss = if has_timestamps { send_mss.saturating_sub(timestamp::LENGTH as u16) } else { send_mss };
    mss.min(HALF_A_WINDOW)
}

/// How far smoltcp is told to shift the windows we tell it: so far that a full send buffer fits.
pub(in crate::transport) fn fed_shift(send_buffer: usize) -> u8 {
    (0..14).find(|shift| send_buffer >> shift <= usize::from(u16::MAX)).unwrap_or(14)
}

/// What the peer's SYN offers, or the default of its family.
pub(in crate::transport) fn offered_mss(segment: &Segment<'_>) -> u16 {
    match segment.repr.max_seg_size {
        // smoltcp ignores 0 too; tiny ones would make each byte a packet.
        Some(size) if size >= 48 => size,
        Some(_) => 48,
        None => default_mss(segment.remote),
    }
}

/// RFC 9293 §3.7.1: what an endpoint takes that did not say.
fn default_mss(remote: SocketAddr) -> u16 {
    if remote.is_ipv4() { 536 } else { 1220 }
}
