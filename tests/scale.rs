//! What grows with the number of connections, and what must not.

// Functions beside the tests unwrap too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

#[allow(dead_code)] // the benchmark needs another half of it
#[path = "../benches/connections/peer.rs"]
mod peer;

use std::sync::Mutex;
use std::time::Duration;

use allocation_counter::measure;
use peer::{BURST, Bench, index, resident};
use smoltcp::wire::TcpControl;
use tapsock::config::Limits;

/// What is measured of the whole process is measured alone.
static ALONE: Mutex<()> = Mutex::new(());

/// A request and a response for each of the peers `all`, in bursts.
fn exchange(
    bench: &mut Bench,
    remotes: &mut [peer::Remote],
    sockets: &[tapsock::socket::StreamSocket],
    mut stack: impl FnMut(&mut Bench),
) {
    let mut buffer = [0; 256];
    for first in (0..remotes.len()).step_by(BURST) {
        let end = (first + BURST).min(remotes.len());
        for remote in &mut remotes[first..end] {
            bench.send(remote, TcpControl::Psh, &[0x55; 100]);
        }
        stack(bench);
        for socket in &sockets[first..end] {
            assert_eq!(socket.pipe.try_read(&mut buffer), Ok(100));
            assert_eq!(socket.pipe.try_write(&buffer[..100]), Ok(100));
        }
        stack(bench);
        bench.read(index, remotes);
        // The last acknowledgment, so that nothing is outstanding.
        for remote in &mut remotes[first..end] {
            bench.send(remote, TcpControl::None, &[]);
        }
        stack(bench);
        bench.read(index, remotes);
    }
}

#[test]
fn an_idle_connection_costs_the_whole_process_less_than_8_kib() {
    const COUNT: usize = 20_000;
    let _alone = ALONE.lock().unwrap();
    let before = resident();
    let mut bench = Bench::new(Limits::default());
    let (mut remotes, sockets) = bench.establish(0, COUNT);
    exchange(&mut bench, &mut remotes, &sockets, Bench::step);
    // Half a MiB of buffers each, of which four pages have been used.
    assert!(bench.memory_used() >= COUNT * 4 * 4096);
    bench.wait(Duration::from_secs(3));
    assert_eq!(bench.memory_used(), 0);
    let after = resident();
    let each = (after.0 + after.1 - before.0 - before.1) / COUNT;
    assert!(each < 8192, "{each} bytes for each connection");
}

#[test]
fn segments_of_established_connections_allocate_nothing() {
    let _alone = ALONE.lock().unwrap();
    let mut bench = Bench::new(Limits::default());
    let (mut remotes, sockets) = bench.establish(0, 1000);
    // Queues and tables grow to the size that they need, and the timers once.
    for _ in 0..4 {
        exchange(&mut bench, &mut remotes, &sockets, Bench::step);
    }
    let mut allocated = 0;
    exchange(&mut bench, &mut remotes, &sockets, |bench| allocated += measure(|| bench.step()).count_total);
    assert_eq!(allocated, 0, "allocations in {} exchanges", remotes.len());
}
