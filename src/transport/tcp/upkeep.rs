//! Connections between segments: the dirty list, timers, ends.

use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::wire::{TcpControl, TcpRepr};

use crate::error::Error;
use crate::ip::Packets;
use crate::observe::{Close, Fate, Rule, Summary, TcpState, Time, TimerKind};
use crate::transport::connection::{Connection, Due, Next};
use crate::transport::{Alarm, FourTuple, Life, Owner, Sharing, Transport, segment};

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How it came.
    pub how: Close,
    /// What its program is told, where `how` does not say it alone.
    pub reason: Option<Error>,
    /// Its program has taken everything that came before.
    pub is_drained: bool,
}

impl Transport {
    /// The connection of a slot; `None` once it is gone.
    pub fn connection(&mut self, slot: usize) -> Option<&mut Connection> {
        self.connections.get_mut(slot)
    }

    /// The payload of a full segment of a connection that stands (TCP_MAXSEG); `None` before.
    pub fn segment_size(&self, slot: usize) -> Option<u16> {
        self.connections.get(slot).and_then(Connection::segment_size)
    }

    /// Joins a connection to the descriptor of its program.
    pub fn adopt(&mut self, slot: usize, descriptor: usize) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.descriptor = Some(descriptor);
        }
        self.mark(slot);
    }

    /// Takes a connection in, which counts at its port from here on.
    pub(super) fn keep(&mut self, connection: Connection) -> usize {
        let tuple = FourTuple { local: connection.local(), remote: connection.remote() };
        self.ports.occupy(tuple.local, connection.sharing);
        let slot = self.connections.insert(connection);
        self.tuples.insert(tuple, Owner::Connection(slot));
        slot
    }

    /// With whom a connection shares its port from here on (SO_REUSEADDR, SO_REUSEPORT).
    pub fn set_connection_sharing(&mut self, slot: usize, sharing: Sharing) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let tuple = FourTuple { local: connection.local(), remote: connection.remote() };
        // Once it is gone it does not count any more.
        if connection.sharing != sharing && self.tuples.get(&tuple) == Some(&Owner::Connection(slot)) {
            self.ports.vacate(tuple.local, connection.sharing);
            self.ports.occupy(tuple.local, sharing);
            connection.sharing = sharing;
        }
    }

    /// Puts a connection into the dirty list.
    pub fn mark(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push_back(slot);
        }
    }

    /// Takes a connection out of the dirty list, with its descriptor.
    pub fn next_dirty(&mut self) -> Option<(usize, Option<usize>)> {
        let slot = self.dirty.pop_front()?;
        let connection = self.connections.get_mut(slot)?;
        connection.is_dirty = false;
        Some((slot, connection.descriptor))
    }

    /// How many connections have ended by a panic since this was asked last.
    pub fn take_panics(&mut self) -> u64 {
        std::mem::take(&mut self.panics)
    }

    /// The state of a connection, of a handshake that becomes one, or of what is left of one.
    pub fn tcp_state(&self, local: SocketAddr, remote: SocketAddr) -> TcpState {
        match self.tuples.get(&FourTuple { local, remote }) {
            Some(&Owner::Connection(slot)) => self.connections[slot].state(),
            Some(&Owner::Handshake(_)) => TcpState::SynReceived,
            Some(&Owner::Remnant(slot)) => self.remnants[slot].state,
            Some(&Owner::Joined(..)) => TcpState::Established,
            None => TcpState::Closed,
        }
    }

    /// Whether connections wait to be looked after.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Lets a connection send what is due, arms its timer, and removes it if it is over and its program has taken
    /// everything; in TIME-WAIT the connection lives on without its program.
    pub fn service(&mut self, now: Time, slot: usize, out: &mut Packets) -> Option<End> {
        let connection = self.connections.get_mut(slot)?;
        if connection.descriptor.is_none() && connection.unread() > 0 {
            // RFC 1122 §4.2.2.13: nobody will read this any more, and the peer must know.
            connection.abort();
        }
        let (due, patience_ends) = match connection.ended {
            None => connection.patience_due(now),
            Some(_) => (None, None),
        };
        match due {
            Some(Due::GiveUp) => {
                self.fired.push_back((connection.id(), TimerKind::GiveUp));
                connection.give_up();
            }
            Some(Due::Probe) => {
                self.fired.push_back((connection.id(), TimerKind::Keepalive));
                let fate = Fate { rule: Some(Rule::TcpKeepalive), ..connection.fate() };
                let (local, remote, header) = (connection.local(), connection.remote(), connection.header());
                segment::send(local, remote, &connection.keepalive(now), header, fate, out);
            }
            None => {}
        }
        let next = match connection.ended {
            Some(Close::Panicked | Close::Unreachable | Close::AddressGone) => Next::At(None),
            // Nobody has answered the SYN: there is nobody to be told (RFC 9293 §3.10.4; Linux: tcp_need_reset).
            Some(_) if connection.rcv_nxt().is_none() => Next::At(None),
            _ => connection.transmit(now, &mut self.interface, out),
        };
        if let Some(timer) = connection.take_fired() {
            self.fired.push_back((connection.id(), timer));
        }
        let was_over = connection.was_over;
        connection.settle();
        let over = connection.ended();
        let reason = connection.reason;
        if let (Some(how), false) = (over, was_over) {
            connection.was_over = true;
            let summary = Summary { age: connection.age(now), ..connection.summary };
            self.lives.push_back(Life::Closed { socket: connection.id(), how, summary });
            if how == Close::Panicked {
                self.panics += 1;
                let fate = Fate { rule: Some(Rule::TcpPanicked), ..connection.fate() };
                let reset = TcpRepr { control: TcpControl::Rst, ..connection.challenge(now) };
                segment::send(connection.local(), connection.remote(), &reset, connection.header(), fate, out);
            }
        }
        let is_gone = connection.state() == TcpState::Closed
            || matches!(over, Some(Close::Panicked | Close::Unreachable | Close::AddressGone));
        // What came before the end is still there for a program that has not read it yet.
        let is_drained = connection.descriptor.is_none() || connection.unread() == 0;
        match next {
            _ if is_gone => {
                let tuple = FourTuple { local: connection.local(), remote: connection.remote() };
                if let Entry::Occupied(entry) = self.tuples.entry(tuple)
                    && *entry.get() == Owner::Connection(slot)
                {
                    entry.remove();
                    self.ports.vacate(tuple.local, connection.sharing);
                }
                if is_drained {
                    self.connections.remove(slot);
                }
            }
            Next::AtOnce => self.mark(slot),
            Next::At(at) => {
                if let Some(at) = earliest([at, patience_ends, connection.take_rest_deadline()]) {
                    // It has just sent all it could: what is due "now" waits for something that has not come.
                    let at = at.max(now + Duration::from_millis(1));
                    if connection.armed.is_none_or(|armed| at < armed) {
                        connection.armed = Some(at);
                        self.timers.arm(at, Alarm::Connection { slot, number: connection.id().number });
                    }
                }
                self.settle_remnant(now, slot, out);
            }
        }
        over.map(|how| End { how, reason, is_drained })
    }

    /// Deadlines that have come: marks connections dirty, sends SYN-ACKs again.
    pub fn poll(&mut self, now: Time, out: &mut Packets) {
        let owners = self.connections.len() + self.handshakes.len() + self.remnants.len();
        self.timers.sweep(owners, |at, alarm| match *alarm {
            Alarm::Connection { slot, number } => self
                .connections
                .get(slot)
                .is_some_and(|connection| connection.id().number == number && connection.armed == Some(at)),
            Alarm::Handshake { slot, number } => {
                self.handshakes.get(slot).is_some_and(|handshake| handshake.agreed.id.number == number)
            }
            Alarm::Remnant { slot, number } => {
                self.remnants.get(slot).is_some_and(|remnant| remnant.id.number == number)
            }
        });
        while let Some((at, alarm)) = self.timers.due(now) {
            match alarm {
                Alarm::Connection { slot, number } => {
                    let Some(connection) = self.connections.get_mut(slot) else { continue };
                    if connection.id().number == number && connection.armed == Some(at) {
                        connection.armed = None;
                        self.mark(slot);
                    }
                }
                Alarm::Remnant { slot, number } => self.expire_remnant(now, slot, number),
                Alarm::Handshake { slot, number } => {
                    let Some(handshake) = self.handshakes.get_mut(slot) else { continue };
                    if handshake.agreed.id.number != number {
                        continue;
                    }
                    let due = if handshake.resend_at > at {
                        Some(handshake.resend_at)
                    } else {
                        self.fired.push_back((handshake.agreed.id, TimerKind::SynAck));
                        handshake.send_syn_ack(now, Rule::TcpSynAckTimeout, out)
                    };
                    match due {
                        Some(due) => self.timers.arm(due, alarm),
                        None => {
                            self.forget_handshake(slot);
                            self.given_up.push_back(Rule::TcpSynAckGivenUp);
                        }
                    }
                }
            }
        }
    }

    /// Ends every connection and every handshake with a RST, because the stack stops.
    pub fn shut_down(&mut self, now: Time, out: &mut Packets) {
        // A peer whose final ACK is on its way takes the connection for established.
        for handshake in self.handshakes.drain() {
            self.tuples.remove(&FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote });
            handshake.send_reset(None, out);
        }
        for (_, listener) in &mut self.listeners {
            listener.under_way.clear();
        }
        for remnant in self.remnants.drain() {
            self.tuples.remove(&FourTuple { local: remnant.local, remote: remnant.remote });
            self.ports.vacate(remnant.local, remnant.sharing);
        }
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(connection) = self.connections.get_mut(slot)
                && connection.ended.is_none()
            {
                connection.ended = Some(Close::Shutdown);
                connection.abort();
            }
            self.service(now, slot, out);
        }
    }
}

fn earliest(moments: [Option<Time>; 3]) -> Option<Time> {
    moments.into_iter().flatten().min()
}
