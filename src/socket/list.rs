//! The list of sockets: a plain snapshot for those who show it.
//!
//! It is made in parts, each with a bound on the work: the engine has other things to do.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Address, Descriptor, Domain, Handle, Kind, Protocol, Sockets, State, Type, address};
use crate::observe::{Owner, SocketId, Summary, TcpState, Time, TimerKind};
use crate::transport::{Shelf, TcpInfo, Transport, Unheld};

/// How many slots one call looks at.
const SLOTS_PER_CALL: usize = 1024;

/// One socket of a stack, as `ss(8)` would show it.
///
/// What no program holds any more is there as well: connections that still send what was written, handshakes under way,
/// FIN-WAIT-2 and TIME-WAIT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketRow {
    /// Its name in the trace. A connection's remnant has the name of the socket that it was of, which may be used again.
    pub id: SocketId,
    /// The family of its addresses.
    pub domain: Domain,
    /// What it carries.
    pub r#type: Type,
    /// The protocol; 0 for a Unix socket.
    pub protocol: Protocol,
    /// As Linux has it for every kind of socket: `Established` is connected, `Closed` is not (`UNCONN` of `ss(8)`).
    pub state: TcpState,
    /// Where it is. The port of an echo socket is its identifier, that of a raw socket its protocol.
    pub local: Address,
    /// Whom it is connected to.
    pub peer: Option<Address>,
    /// Bytes that have come and that its program has not read. Of a listener: how many connections wait to be accepted.
    /// What a program has written to a joined socket counts here, at the one that will read it.
    pub recv_q: usize,
    /// Bytes that its program has written and that the peer has not acknowledged. Of a listener: how many may wait.
    pub send_q: usize,
    /// Of a listener: how many may wait.
    pub backlog: Option<usize>,
    /// How it reaches its peer.
    pub way: Way,
    /// Whether a program holds it, or will once it accepts it.
    pub is_held: bool,
    /// Which program, if it has said so.
    pub owner: Option<Owner>,
    /// What it has carried up to now.
    pub summary: Summary,
    /// What happens next if nothing is heard, and when.
    pub timer: Option<(TimerKind, Time)>,
    /// Of a TCP connection with packets: all that is known of it.
    pub info: Option<Box<TcpInfo>>,
}

/// How a socket reaches its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By packets, over the link or over the loopback; it will if it is not connected yet.
    Wire,
    /// It shares its memory with another socket of this stack, and there is no packet.
    Joined {
        /// Which; `None` if it is gone, or for a Unix socket that is not connected.
        peer: Option<SocketId>,
    },
}

/// Where a listing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Page {
    table: usize,
    slot: usize,
}

/// The tables that sockets are in.
#[derive(Clone, Copy)]
enum Table {
    Descriptors,
    /// Ends of joined connections; those of a descriptor as well.
    Joined,
    Tcp(Shelf),
}

const TABLES: [Table; 5] = [
    Table::Descriptors,
    Table::Joined,
    Table::Tcp(Shelf::Connections),
    Table::Tcp(Shelf::Handshakes),
    Table::Tcp(Shelf::Remnants),
];

impl Sockets {
    /// The sockets from `page` on, and where to go on if there may be more.
    pub(super) fn list(&self, now: Time, mut page: Page, transport: &mut Transport) -> (Vec<SocketRow>, Option<Page>) {
        let mut rows = Vec::new();
        for _ in 0..SLOTS_PER_CALL {
            let table = loop {
                let Some(&table) = TABLES.get(page.table) else { return (rows, None) };
                if page.slot < self.slots(table, transport) {
                    break table;
                }
                page = Page { table: page.table + 1, slot: 0 };
            };
            rows.extend(match table {
                Table::Descriptors => self.row(now, page.slot, transport),
                Table::Joined => self.joined_row(now, page.slot),
                Table::Tcp(shelf) => transport.unheld(now, shelf, page.slot).map(unheld_row),
            });
            page.slot += 1;
        }
        (rows, Some(page))
    }

    fn slots(&self, table: Table, transport: &Transport) -> usize {
        match table {
            Table::Descriptors => self.table.capacity(),
            Table::Joined => self.loopback.slots(),
            Table::Tcp(shelf) => transport.slots(shelf),
        }
    }

    fn row(&self, now: Time, descriptor: usize, transport: &mut Transport) -> Option<SocketRow> {
        let entry = self.table.get(descriptor)?;
        let row = blank(entry);
        let shown = |address: SocketAddr| Address::from(address::shown(entry.domain, address));
        Some(match &entry.state {
            State::Idle { end } => SocketRow { recv_q: end.as_ref().map_or(0, |end| end.unread()), ..row },
            State::Shut { .. } => row,
            State::Listener { slot, end } => {
                let (local, backlog) = transport.listening(*slot);
                SocketRow {
                    state: TcpState::Listen,
                    local: shown(local),
                    recv_q: end.waiting(),
                    send_q: backlog,
                    backlog: Some(backlog),
                    ..row
                }
            }
            State::Stream { slot, end, .. } => match transport.connection(*slot) {
                None => row,
                Some(connection) => {
                    let mut info = connection.info(now);
                    // What the stack has not even taken yet waits as well.
                    info.sending.unsent += end.unsent();
                    SocketRow {
                        state: info.state,
                        local: shown(info.local),
                        peer: Some(shown(info.remote)),
                        recv_q: info.receive_queue + end.unread(),
                        send_q: info.send_queue + end.unsent(),
                        summary: info.summary,
                        timer: info.sending.timer,
                        info: Some(Box::new(info)),
                        ..row
                    }
                }
            },
            State::Joined { slot } => match self.loopback.end(*slot) {
                Err(_) => row,
                Ok(end) => SocketRow {
                    state: end.state(),
                    local: shown(end.local()),
                    peer: Some(shown(end.remote())),
                    recv_q: end.pipe().unread(),
                    way: Way::Joined { peer: self.loopback.peer(*slot) },
                    summary: end.summary(now),
                    ..row
                },
            },
            State::Datagram { slot, end } => {
                let row = SocketRow { recv_q: end.unread(), send_q: end.unsent(), ..row };
                let Some(slot) = *slot else { return Some(row) };
                let socket = transport.datagram(slot);
                let peer = socket.peer().map(shown);
                SocketRow {
                    state: connected(peer.is_some()),
                    local: shown(socket.local()),
                    peer,
                    recv_q: row.recv_q + socket.unread(),
                    summary: socket.summary(now),
                    ..row
                }
            }
            State::Packet { slot, end } => {
                let row = SocketRow { recv_q: end.unread(), send_q: end.unsent(), ..row };
                let Some(slot) = *slot else { return Some(row) };
                let socket = transport.packet_socket(slot);
                let peer = socket.peer().map(|peer| shown(SocketAddr::new(peer, 0)));
                SocketRow {
                    state: connected(peer.is_some()),
                    local: shown(socket.local()),
                    peer,
                    recv_q: row.recv_q + socket.unread(),
                    summary: socket.summary(now),
                    ..row
                }
            }
            State::Unix(unix) => {
                let carried = unix.carried();
                let peer = unix.peer();
                let row = SocketRow {
                    local: unix.name().into(),
                    peer: peer.map(|peer| self.unix_name_of(peer).into()),
                    state: connected(peer.is_some()),
                    recv_q: carried.unread,
                    way: Way::Joined { peer: peer.and_then(|peer| self.find(peer)).map(|peer| peer.id) },
                    summary: unix.summary(now),
                    ..row
                };
                match unix.queue() {
                    None => row,
                    Some((waiting, backlog)) => SocketRow {
                        state: TcpState::Listen,
                        recv_q: waiting,
                        send_q: backlog,
                        backlog: Some(backlog),
                        ..row
                    },
                }
            }
        })
    }

    /// An end of a joined connection that its program has let go of and that is still open to the other one.
    fn joined_row(&self, now: Time, slot: usize) -> Option<SocketRow> {
        let end = self.loopback.end(slot).ok().filter(|end| end.is_dropped() && end.state() != TcpState::Closed)?;
        let unheld = Unheld {
            id: end.id(),
            state: end.state(),
            local: end.local(),
            remote: end.remote(),
            unread: end.pipe().unread(),
            unsent: 0,
            summary: end.summary(now),
            timer: None,
            info: None,
        };
        Some(SocketRow { way: Way::Joined { peer: self.loopback.peer(slot) }, ..unheld_row(unheld) })
    }

    /// What a Unix socket is called, if it is still there.
    fn unix_name_of(&self, socket: Handle) -> super::UnixAddress {
        match self.find(socket).map(|entry| &entry.state) {
            Some(State::Unix(unix)) => unix.name(),
            _ => super::UnixAddress::Unnamed,
        }
    }
}

fn connected(is_connected: bool) -> TcpState {
    if is_connected { TcpState::Established } else { TcpState::Closed }
}

/// What is the same for every kind.
fn blank(entry: &Descriptor) -> SocketRow {
    let Descriptor { id, domain, kind, ref owner, ref bound, .. } = *entry;
    let local = bound.as_ref().map_or(address::wildcard(domain), |place| address::shown(domain, place.local));
    SocketRow {
        id,
        domain,
        r#type: kind.r#type(),
        protocol: kind.protocol(domain),
        state: TcpState::Closed,
        local: local.into(),
        peer: None,
        recv_q: 0,
        send_q: 0,
        backlog: None,
        way: Way::Wire,
        is_held: true,
        owner: owner.clone(),
        summary: Summary::default(),
        timer: None,
        info: None,
    }
}

fn unheld_row(unheld: Unheld) -> SocketRow {
    let Unheld { id, state, local, remote, unread, unsent, summary, timer, info } = unheld;
    let domain = if local.is_ipv4() { Domain::Inet } else { Domain::Inet6 };
    SocketRow {
        id,
        domain,
        r#type: Kind::Tcp.r#type(),
        protocol: Kind::Tcp.protocol(domain),
        state,
        local: local.into(),
        peer: Some(remote.into()),
        recv_q: unread,
        send_q: unsent,
        backlog: None,
        way: Way::Wire,
        is_held: false,
        owner: None,
        summary,
        timer,
        info,
    }
}
