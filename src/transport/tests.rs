use rand::SeedableRng;
use rand::rngs::StdRng;

use super::connection::{Handshaken, buffers};
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
        let agreed = Handshaken { id, local, remote, isn, link_mss: 1460, clock: 0, created: Time::ZERO };
        let limits = Limits { receive_buffer: 4096, send_buffer: 4096, ..Limits::default() };
        let mut connection = Connection::new(buffers(&limits, &memory).unwrap(), agreed, TcpState::Closed);
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
