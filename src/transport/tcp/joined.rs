//! What TCP knows of connections that have no segments: two programs of this stack whose pipes are joined. Addresses,
//! ports and the accept queue are the same as for all others.

use std::net::SocketAddr;

use smoltcp::wire::TcpSeqNumber;

use super::verbs::Ends;
use crate::observe::{Close, Numbers, Protocol, Rule, SocketId, Summary, TcpState, Time};
use crate::transport::header::Header;
use crate::transport::remnant::Remnant;
use crate::transport::{Alarm, Bound, FourTuple, Life, Owner, Transport};

/// Both sockets of a joined connection, and who accepts it.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// The one that asked.
    pub connector: SocketId,
    /// The one that is accepted.
    pub acceptor: SocketId,
    /// The listener's descriptor.
    pub listener: usize,
}

impl Transport {
    /// Whether a connection between these ends can be established at this moment without a segment: somebody of this
    /// stack listens there, and has room.
    pub fn can_join(&self, ends: &Ends) -> bool {
        ends.is_local
            && ends.local != ends.remote
            && self.joinable(ends.remote).is_some()
            && match self.tuples.get(&FourTuple { local: ends.remote, remote: ends.local }) {
                None => true,
                Some(&Owner::Remnant(slot)) => self.remnants[slot].was_joined,
                Some(_) => false,
            }
    }

    fn joinable(&self, at: SocketAddr) -> Option<usize> {
        match self.ports.listener(at) {
            Some(Bound::Listener(slot)) if !self.listeners[slot].is_full() => Some(slot),
            _ => None,
        }
    }

    /// Establishes it. `None` if [`Transport::can_join`] says no.
    pub fn join(&mut self, ends: &Ends) -> Option<Joined> {
        if !self.can_join(ends) {
            return None;
        }
        let slot = self.joinable(ends.remote)?;
        let (connector, acceptor) = (self.new_id(Protocol::Tcp), self.new_id(Protocol::Tcp));
        let Ends { local, remote, .. } = *ends;
        if let Some(&Owner::Remnant(slot)) = self.tuples.get(&FourTuple { local: remote, remote: local }) {
            self.forget_remnant(slot);
        }
        self.tuples.insert(FourTuple { local, remote }, Owner::Joined(connector));
        self.tuples.insert(FourTuple { local: remote, remote: local }, Owner::Joined(acceptor));
        self.joined += 2;
        let listener = &mut self.listeners[slot];
        listener.waiting += 1;
        self.lives.push_back(Life::Connected { socket: connector, local, remote });
        self.lives.push_back(Life::Accepted {
            socket: acceptor,
            listener: listener.id,
            listening: listener.place.local,
            local: remote,
            remote: local,
            waiting: listener.waiting,
            backlog: listener.backlog,
        });
        self.lives.push_back(Life::Joined { socket: connector, peer: acceptor });
        Some(Joined { connector, acceptor, listener: listener.descriptor })
    }

    /// One end of a joined connection is over. Whoever closed first keeps its ends in TIME-WAIT, as after any other
    /// connection; no old segment can come, so a new one may follow at once.
    pub fn part(
        &mut self,
        now: Time,
        (id, local, remote): (SocketId, SocketAddr, SocketAddr),
        how: Close,
        summary: Summary,
    ) {
        self.lives.push_back(Life::Closed { socket: id, how, summary });
        self.joined -= 1;
        self.tuples.remove(&FourTuple { local, remote });
        if how != Close::ByUs {
            return;
        }
        if self.remnants.len() >= self.limits.remnants {
            self.given_up.push_back(Rule::TcpRemnantLimit);
            return;
        }
        let mut remnant = Remnant {
            id,
            local,
            remote,
            state: TcpState::TimeWait,
            numbers: Numbers { local: 0, remote: 0, local_shift: 0, remote_shift: 0 },
            snd_nxt: TcpSeqNumber(0),
            rcv_nxt: TcpSeqNumber(0),
            window: 0,
            header: Header::default(),
            timestamps: None,
            was_joined: true,
            expires: now,
        };
        remnant.wait(now);
        let expires = remnant.expires;
        let slot = self.remnants.insert(remnant);
        self.tuples.insert(FourTuple { local, remote }, Owner::Remnant(slot));
        self.timers.arm(expires, Alarm::Remnant { slot, number: id.number });
    }
}
