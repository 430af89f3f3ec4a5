//! What TCP knows of connections that have no segments: two programs of this stack whose pipes are joined. Addresses,
//! ports and the accept queue are the same as for all others.

use std::net::SocketAddr;

use smoltcp::wire::TcpSeqNumber;

use super::verbs::Ends;
use crate::observe::{Close, Numbers, Protocol, Rule, SocketId, Summary, TcpState, Time};
use crate::transport::header::Header;
use crate::transport::remnant::Remnant;
use crate::transport::{Alarm, Bound, FourTuple, Holder, Life, Owner, Sharing, Transport};

/// The socket at the other end of a joined connection, and who accepts it.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
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
            && self.joinable(ends).is_some()
            && match self.tuples.get(&FourTuple { local: ends.remote, remote: ends.local }) {
                None => true,
                Some(&Owner::Remnant(slot)) => self.remnants[slot].was_joined,
                Some(_) => false,
            }
    }

    fn joinable(&self, ends: &Ends) -> Option<usize> {
        match self.ports.listener(ends.remote, ends.local) {
            // With TCP_DEFER_ACCEPT who connects is there before who accepts: that takes a handshake.
            Some(Bound::Listener(slot)) if !self.listeners[slot].is_full() && self.listeners[slot].terms.defer == 0 => {
                Some(slot)
            }
            _ => None,
        }
    }

    /// Establishes it for the socket that asks. `None` if [`Transport::can_join`] says no.
    pub fn join(&mut self, ends: &Ends, connector: Holder) -> Option<Joined> {
        if !self.can_join(ends) {
            return None;
        }
        let slot = self.joinable(ends)?;
        let acceptor = self.new_id(Protocol::Tcp);
        let Ends { local, remote, .. } = *ends;
        if let Some(&Owner::Remnant(slot)) = self.tuples.get(&FourTuple { local: remote, remote: local }) {
            self.forget_remnant(slot);
        }
        let accepts = self.listeners[slot].terms.sharing;
        self.ports.occupy(local, ends.sharing);
        self.ports.occupy(remote, accepts);
        self.tuples.insert(FourTuple { local, remote }, Owner::Joined(connector.id, ends.sharing));
        self.tuples.insert(FourTuple { local: remote, remote: local }, Owner::Joined(acceptor, accepts));
        self.joined += 2;
        let listener = &mut self.listeners[slot];
        listener.waiting += 1;
        let (connector, descriptor) = (connector.id, Some(connector.descriptor));
        self.lives.push_back(Life::Connected { socket: connector, descriptor, local, remote });
        self.lives.push_back(Life::Accepted {
            socket: acceptor,
            listener: Holder { descriptor: listener.descriptor, id: listener.id },
            listening: listener.place.local,
            local: remote,
            remote: local,
            waiting: listener.waiting,
            backlog: listener.backlog,
        });
        self.lives.push_back(Life::Joined { socket: connector, peer: acceptor });
        Some(Joined { acceptor, listener: listener.descriptor })
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
        let sharing = match self.tuples.remove(&FourTuple { local, remote }) {
            Some(Owner::Joined(_, sharing)) => sharing,
            _ => Sharing::default(),
        };
        if how != Close::ByUs {
            self.ports.vacate(local, sharing);
            return;
        }
        if self.remnants.len() >= self.limits.remnants {
            self.ports.vacate(local, sharing);
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
            sharing,
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
