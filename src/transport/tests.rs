use rand::SeedableRng;
use rand::rngs::StdRng;

use super::connection::Handshaken;
use super::*;
use crate::observe::TcpState;

/// The seed that makes smoltcp use our number is found by running its generator backwards: if smoltcp changes
/// the generator, this fails.
#[test]
fn smoltcp_uses_the_initial_sequence_number_that_we_chose() {
    let mut rng = StdRng::seed_from_u64(5);
    let key = Key::new(&mut rng);
    let (local, remote) = ("192.168.69.1:1000".parse().unwrap(), "192.168.69.2:80".parse().unwrap());
    let memory = Memory::new(usize::MAX);
    for tick in 0..1000 {
        let isn = isn::choose(&key, Time::from_micros(tick * 7919), &FourTuple { local, remote });
        let id = SocketId { protocol: Protocol::Tcp, number: 1 };
        let header = Header::default();
        let (link_mss, is_local, clock) = (1460, false, 0);
        let agreed = Handshaken { id, local, remote, isn, link_mss, is_local, clock, header, created: Time::ZERO };
        let mut connection = Connection::new(memory.pair([4096; 2]).unwrap(), agreed, TcpState::Closed);
        let mut interface = new_interface(isn::seed(isn), Time::ZERO);
        let mut packets = Packets::new();
        connection.connect(Time::ZERO, &mut interface, &mut packets).unwrap();
        assert_eq!(connection.snd_nxt(), isn + 1);
    }
}

impl Transport {
    /// Gives a segment to the state machine of the only connection on our `port` with this peer's, with no guard.
    pub(crate) fn feed_unguarded(&mut self, now: Time, remote: SocketAddr, packet: &[u8], out: &mut Packets) {
        let found = self.connections.iter_mut().find(|(_, connection)| connection.remote() == remote);
        let (slot, connection) = found.unwrap();
        connection.feed_unguarded(now, &mut self.interface, packet, out);
        self.mark(slot);
    }
}

impl Transport {
    /// What it holds of connections, by name: all of it is 0 once every connection has come to its end.
    pub(crate) fn left(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("connections", self.connections.len()),
            ("handshakes", self.handshakes.len()),
            ("remnants", self.remnants.len()),
            ("joined", self.joined),
            ("listeners", self.listeners.len()),
            ("packet sockets", self.packet_sockets.len()),
            ("raw slots", self.raw_slots.len()),
            ("tuples", self.tuples.len()),
            ("ports", self.ports.len()),
            ("dirty", self.dirty.len()),
            ("timers", self.timers.len()),
            ("notices", self.notices.len()),
            ("lives", self.lives.len()),
            ("given up", self.given_up.len()),
            ("bytes of memory", self.memory.used()),
        ]
    }

    /// Whether the tables agree with each other.
    pub(crate) fn check(&self) {
        for (tuple, owner) in &self.tuples {
            let (local, remote) = match *owner {
                Owner::Connection(slot) => (self.connections[slot].local(), self.connections[slot].remote()),
                Owner::Handshake(slot) => (self.handshakes[slot].agreed.local, self.handshakes[slot].agreed.remote),
                Owner::Remnant(slot) => (self.remnants[slot].local, self.remnants[slot].remote),
                Owner::Joined(_) => continue,
            };
            assert_eq!((tuple.local, tuple.remote), (local, remote), "{owner:?}");
        }
        let under_way: usize = self.listeners.iter().map(|(_, listener)| listener.under_way.len()).sum();
        assert_eq!(under_way, self.handshakes.len());
        for (slot, handshake) in &self.handshakes {
            assert_eq!(self.listeners[handshake.listener].under_way[handshake.place], slot);
        }
        for (_, listener) in &self.listeners {
            assert!(listener.waiting <= listener.backlog, "{} of {}", listener.waiting, listener.backlog);
        }
        // A connection without a place in the table has ended, and waits for its program to read what came before.
        let placed = self.tuples.values().filter(|owner| matches!(owner, Owner::Connection(_))).count();
        let ended = self.connections.iter().filter(|(_, connection)| connection.ended().is_some()).count();
        assert!(self.tuples.len() - placed == self.handshakes.len() + self.remnants.len() + self.joined);
        assert!(self.connections.len() - placed <= ended, "{} - {placed} > {ended}", self.connections.len());
    }
}
