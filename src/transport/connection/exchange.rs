//! smoltcp is run here, and nowhere else: what it sends when it is due, and a handshake that is replayed.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smoltcp::iface::{Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{TcpSeqNumber, TcpTimestampRepr};

use super::{Connection, Handshaken};
use crate::error::{Error, Result};
use crate::ip::Packets;
use crate::observe::{Close, Fate, Rule, TcpState, Time};
use crate::transport::medium::{Discard, Noted, Plan, Port, TcpOutlet, instant, time};
use crate::transport::options::Options;
use crate::transport::timestamp;

/// How many bytes one connection may send in one round, so that it cannot starve the others.
pub(super) const BYTES_PER_ROUND: usize = 64 * 1024;

/// When a connection wants to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Next {
    /// There is more than one round may take.
    AtOnce,
    /// At this moment; `None`: only when something happens.
    At(Option<Time>),
}

impl Connection {
    /// Sends what is due: data, ACKs, retransmissions, probes.
    pub(in crate::transport) fn transmit(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) -> Next {
        let start = out.bytes_used();
        if self.is_synchronized() {
            self.recovery.on_time(now);
            self.resend(now, interface, out);
            self.tell_window(now, interface, out);
            self.close_late(now);
            let is_closed = if self.recovery.is_outstanding() {
                self.recovery.is_closed()
            } else {
                self.socket().send_queue() > 0 && self.window_field(now) == 0
            };
            if self.recovery.probes_window(now, is_closed) {
                self.probe_window(now, interface, out);
            }
        }
        if self.waits_for_reader() {
            return Next::At(None);
        }
        loop {
            let deadline = self.deadline(now, interface);
            if self.ended == Some(Close::Panicked) || deadline.is_none_or(|at| at > now) {
                return Next::At(self.with_recovery(deadline));
            }
            let before = out.len();
            let fate = self.fate_so_far();
            let is_closed = self.believed == 0;
            let is_special = is_closed || self.is_rewound || self.recovery.is_overdue(now) || !self.is_synchronized();
            let mut plan = is_special.then(|| self.plan(now, Vec::new(), None));
            self.run(&[], fate, (now, now), plan.as_mut(), out, interface);
            if self.ended == Some(Close::Panicked) {
                return Next::At(None);
            }
            let was_dropped = plan.as_ref().is_some_and(|plan| plan.reached.is_some());
            if let Some(plan) = plan {
                self.note_reached(&plan);
                if plan.is_unexpected {
                    // smoltcp's own timer has gone off before ours.
                    self.is_rewound = true;
                    self.recovery.on_timeout(now);
                    self.resend(now, interface, out);
                    self.tell_window(now, interface, out);
                    continue;
                }
            }
            if out.len() == before && !was_dropped {
                let deadline = self.deadline(now, interface);
                return Next::At(self.with_recovery(deadline));
            }
            if let Some((_, shown)) = fate.states {
                self.shown = shown;
            }
            if out.bytes_used() - start > BYTES_PER_ROUND {
                return Next::AtOnce;
            }
        }
    }

    /// The handshake of a connection that a peer asked for, replayed: smoltcp sees the SYN, and its SYN-ACK,
    /// which was sent long ago, is thrown away. `interface` draws our initial sequence number.
    ///
    /// # Errors
    ///
    /// If smoltcp did not do what it should; then nobody may use this connection.
    pub(in crate::transport) fn replay_syn(&mut self, now: Time, interface: &mut Interface, syn: &[u8]) -> Result<()> {
        let local = self.agreed.local;
        self.socket_mut().listen((local.ip(), local.port())).map_err(|_| Error::InvalidInput)?;
        let mut sent = Noted::default();
        let mut port = Port { incoming: Some(syn), outlet: Discard { sent: &mut sent } };
        interface.poll_ingress_single(instant(now), &mut port, &mut self.set);
        interface.poll_egress(instant(now), &mut port, &mut self.set);
        match (sent.iter().next(), sent.iter().count()) {
            (Some(syn_ack), 1) if syn_ack.syn && syn_ack.seq == self.agreed.isn => {
                self.note_sent(*syn_ack, now);
                Ok(())
            }
            _ => Err(Error::ConnectionAborted),
        }
    }

    /// Asks for a connection. `interface` draws our initial sequence number.
    pub(in crate::transport) fn connect(
        &mut self,
        now: Time,
        interface: &mut Interface,
        out: &mut Packets,
    ) -> Result<()> {
        let Handshaken { local, remote, .. } = self.agreed;
        self.is_asked_for = true;
        let context = interface.context();
        self.set
            .get_mut::<tcp::Socket<'_>>(self.handle)
            .connect(context, (remote.ip(), remote.port()), (local.ip(), local.port()))
            .map_err(|_| Error::AddressNotAvailable)?;
        // At once: a SYN of the peer that comes before ours has left makes smoltcp panic.
        self.transmit(now, interface, out);
        if self.has_sent_syn { Ok(()) } else { Err(Error::ConnectionAborted) }
    }

    /// Lets smoltcp see `packet`, or, if it is empty, do what is due at the second of the moments.
    pub(super) fn run(
        &mut self,
        packet: &[u8],
        fate: Fate,
        (now, moment): (Time, Time),
        plan: Option<&mut Plan>,
        out: &mut Packets,
        interface: &mut Interface,
    ) {
        let mut options = Options::default();
        if let Some(timestamps) = &self.timestamps {
            options.timestamp(timestamps.option(now));
        }
        let reports = self.peer.sack && !self.gaps.is_empty();
        if reports {
            options.sack(self.gaps.report());
        }
        let segment = usize::from(self.send_mss()).saturating_sub(options.len()) as u16;
        let segment = NonZeroU16::new(segment).unwrap_or(NonZeroU16::MIN);
        let mut sent = Noted::default();
        let header = self.agreed.header;
        let outlet = TcpOutlet { out, fate, segment, options, header, sent: &mut sent, plan };
        let mut port = Port { incoming: (!packet.is_empty()).then_some(packet), outlet };
        let set = &mut self.set;
        let survived = catch_unwind(AssertUnwindSafe(|| {
            if packet.is_empty() {
                interface.poll_egress(instant(moment), &mut port, set);
            } else {
                interface.poll_ingress_single(instant(moment), &mut port, set);
            }
        }))
        .is_ok();
        if reports && !sent.is_empty() {
            self.gaps.reported();
        }
        for &segment in sent.iter() {
            self.note_sent(segment, now);
        }
        if !survived {
            self.break_off();
        }
    }

    /// Its state machine has panicked. What that left behind is not looked at again: an empty one takes its place.
    fn break_off(&mut self) {
        self.ended = Some(Close::Panicked);
        let nothing = || tcp::SocketBuffer::new(Vec::new());
        *self.set = SocketSet::new(vec![SocketStorage::EMPTY]);
        self.handle = self.set.add(tcp::Socket::new(nothing(), nothing()));
    }

    /// What smoltcp's segments are compared with on their way out.
    pub(super) fn plan(&self, now: Time, due: Vec<(TcpSeqNumber, TcpSeqNumber)>, rule: Option<Rule>) -> Plan {
        Plan {
            syn: self.syn_options(now),
            syn_rule: (self.has_sent_syn && self.irs.is_none()).then_some(Rule::TcpRetransmitTimeout),
            una: self.recovery.una(),
            nxt: self.recovery.nxt(),
            is_closed: self.believed == 0,
            due,
            rule,
            is_expected: self.is_rewound,
            is_unexpected: false,
            reached: None,
            scratch: Vec::new(),
        }
    }

    /// Our SYN offers everything; our SYN-ACK what the peer has offered.
    fn syn_options(&self, now: Time) -> Options {
        let clock = self.agreed.clock;
        if self.irs.is_none() {
            let timestamp = TcpTimestampRepr::new(timestamp::value(clock, now), 0);
            return Options::syn(self.agreed.link_mss, Some(0), true, Some(timestamp));
        }
        let timestamp = self.timestamps.map(|timestamps| timestamps.option(now));
        Options::syn(self.agreed.link_mss, self.peer.window_scale.map(|_| 0), self.peer.sack, timestamp)
    }

    /// Whether all that is left is a program that has not read everything yet. smoltcp's TIME-WAIT ends after ten
    /// seconds, and what is unread would end with it.
    fn waits_for_reader(&self) -> bool {
        self.state() == TcpState::TimeWait && self.unread() > 0 && self.has_acknowledged()
    }

    /// When smoltcp has something to do; a moment that has passed: now. `None`: only when something happens.
    fn deadline(&mut self, now: Time, interface: &mut Interface) -> Option<Time> {
        let set = &self.set;
        // FACTS §1, panic 3, is one of this call.
        match catch_unwind(AssertUnwindSafe(|| interface.poll_at(instant(now), set))) {
            Ok(at) => at.map(time),
            Err(_) => {
                self.break_off();
                None
            }
        }
    }

    fn with_recovery(&self, deadline: Option<Time>) -> Option<Time> {
        let recovery = if self.is_synchronized() { self.recovery.deadline() } else { None };
        [recovery, deadline].into_iter().flatten().min()
    }
}
