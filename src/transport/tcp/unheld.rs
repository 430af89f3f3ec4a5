//! TCP that no descriptor holds: connections whose programs have let go of them, handshakes under way, and what is left
//! of connections.

use std::net::SocketAddr;

use crate::observe::{SocketId, Summary, TcpState, Time, TimerKind};
use crate::transport::{TcpInfo, Transport};

/// Where TCP keeps what no descriptor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Connections; those of a descriptor as well.
    Connections,
    /// SYN-RECEIVED.
    Handshakes,
    /// FIN-WAIT-2 and TIME-WAIT.
    Remnants,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheld {
    /// Its name in the trace.
    pub id: SocketId,
    /// Its state.
    pub state: TcpState,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Bytes that nobody will read.
    pub unread: usize,
    /// Bytes that the peer has not acknowledged.
    pub unsent: usize,
    /// What it has carried; nothing is known of that once only a remnant is left.
    pub summary: Summary,
    /// What happens next if nothing is heard, and when.
    pub timer: Option<(TimerKind, Time)>,
    /// Of a connection: all that is known of it.
    pub info: Option<Box<TcpInfo>>,
}

impl Transport {
    /// A number that is larger than every slot of a shelf.
    pub fn slots(&self, shelf: Shelf) -> usize {
        match shelf {
            Shelf::Connections => self.connections.capacity(),
            Shelf::Handshakes => self.handshakes.capacity(),
            Shelf::Remnants => self.remnants.capacity(),
        }
    }

    /// What is in a slot of a shelf, if it is nobody's.
    pub fn unheld(&self, now: Time, shelf: Shelf, slot: usize) -> Option<Unheld> {
        match shelf {
            Shelf::Connections => {
                let connection = self.connections.get(slot).filter(|connection| connection.descriptor().is_none())?;
                let info = connection.info(now);
                Some(Unheld {
                    id: info.socket,
                    state: info.state,
                    local: info.local,
                    remote: info.remote,
                    unread: info.receive_queue,
                    unsent: info.send_queue,
                    summary: info.summary,
                    timer: info.sending.timer,
                    info: Some(Box::new(info)),
                })
            }
            Shelf::Handshakes => {
                let agreed = self.handshakes.get(slot)?.agreed;
                let summary = Summary { age: now - agreed.created, ..Summary::default() };
                let state = TcpState::SynReceived;
                Some(Unheld {
                    id: agreed.id,
                    state,
                    local: agreed.local,
                    remote: agreed.remote,
                    unread: 0,
                    unsent: 0,
                    summary,
                    timer: None,
                    info: None,
                })
            }
            Shelf::Remnants => {
                let remnant = self.remnants.get(slot)?;
                Some(Unheld {
                    id: remnant.id,
                    state: remnant.state,
                    local: remnant.local,
                    remote: remnant.remote,
                    unread: 0,
                    unsent: 0,
                    summary: Summary::default(),
                    timer: Some((TimerKind::TimeWait, remnant.expires)),
                    info: None,
                })
            }
        }
    }
}
