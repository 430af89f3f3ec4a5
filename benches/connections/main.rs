//! What a segment costs among many connections, what an idle connection costs, and how many a second can come and go.
//!
//! `cargo bench --bench connections [cost|memory|churn]`. One thread, no I/O, no clock but the virtual one; the peer is
//! crafted segments and is not measured. See benches/README.md.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[allow(dead_code)] // each of its users needs another half
mod peer;

use std::time::Duration;

use peer::{BURST, Bench, index, remote, resident};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use smoltcp::wire::TcpControl;
use tapsock::config::Limits;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    if wants("memory") {
        memory(100_000);
    }
    if wants("cost") {
        cost(&[100, 1_000]);
    }
    if wants("churn") {
        churn();
    }
}

/// Best of several passes: 100 bytes in, read and answered by the program, 100 bytes out.
fn cost(counts: &[usize]) {
    const EXCHANGES: usize = 20_000;
    const PASSES: usize = 1;
    println!("\nrequest and response of 100 bytes, connections in random order, bursts of {BURST}");
    println!("{:>12} {:>14} {:>14} {:>10}", "connections", "ns/exchange", "ns/segment", "ratio");
    let mut first = None;
    for &count in counts {
        let mut bench = Bench::new(Limits::default());
        let (mut remotes, sockets) = bench.establish(0, count);
        // In the order of the peers, whatever the order of acceptance was.
        let mut by_peer: Vec<usize> = vec![0; count];
        for (i, socket) in sockets.iter().enumerate() {
            let std::net::IpAddr::V4(address) = socket.remote.ip() else { panic!("IPv4 only") };
            by_peer[index(address, socket.remote.port())] = i;
        }
        let mut order: Vec<usize> = (0..count).collect();
        let mut rng = StdRng::seed_from_u64(3);
        let (mut best, mut segments_each) = (f64::INFINITY, 0.0);
        for _ in 0..PASSES {
            let (mut done, mut segments) = (0, 0);
            bench.busy = Duration::ZERO;
            while done < EXCHANGES {
                order.shuffle(&mut rng);
                for burst in order.chunks(BURST) {
                    for &n in burst {
                        bench.send(&mut remotes[n], TcpControl::Psh, &[0x55; 100]);
                    }
                    segments += burst.len();
                    bench.step();
                    bench.step_after(|_| {
                        let mut buffer = [0; 256];
                        for &n in burst {
                            let pipe = &sockets[by_peer[n]].pipe;
                            assert_eq!(pipe.try_read(&mut buffer), Ok(100));
                            assert_eq!(pipe.try_write(&buffer[..100]), Ok(100));
                        }
                    });
                    segments += bench.read(index, &mut remotes);
                    done += burst.len();
                    if done >= EXCHANGES {
                        break;
                    }
                }
            }
            let nanoseconds = bench.busy.as_nanos() as f64 / done as f64;
            if nanoseconds < best {
                best = nanoseconds;
                segments_each = segments as f64 / done as f64;
            }
        }
        let base = *first.get_or_insert(best);
        println!("{count:>12} {best:>14.0} {:>14.0} {:>10.2}", best / segments_each, best / base);
    }
}

/// The whole process, before and after; the peer's own notes are made before.
fn memory(count: usize) {
    let (before, tables_before) = resident();
    let mut bench = Bench::new(Limits::default());
    let (mut remotes, sockets) = bench.establish(0, count);
    let show = |what: &str| {
        let (after, tables) = resident();
        println!(
            "{what:<44} {:>7} bytes each, and {:>5} of page tables",
            after.saturating_sub(before) / count,
            tables.saturating_sub(tables_before) / count
        );
    };
    println!("\nmemory of the process for {count} connections with default buffers");
    show("established, nothing sent yet");
    let mut buffer = [0; 256];
    for socket in (0..count).collect::<Vec<_>>().chunks(BURST) {
        for &n in socket {
            bench.send(&mut remotes[n], TcpControl::Psh, &[0x55; 100]);
        }
        bench.step();
        for socket in &sockets[socket[0]..=socket[socket.len() - 1]] {
            let _ = socket.pipe.try_read(&mut buffer);
            let _ = socket.pipe.try_write(&buffer[..100]);
        }
        bench.step();
        bench.read(index, &mut remotes);
        for &n in socket {
            bench.send(&mut remotes[n], TcpControl::None, &[]);
        }
        bench.step();
    }
    show("just after a request and a response each");
    bench.wait(Duration::from_secs(3));
    show("idle again");
    drop(sockets);
}

/// Handshake, one byte each way, and the close of both sides; the peer closes first.
fn churn() {
    const PASSES: usize = 1;
    const CONNECTIONS: usize = 50_000;
    let mut bench = Bench::new(Limits::default());
    let mut best = f64::INFINITY;
    for _ in 0..PASSES {
        bench.busy = Duration::ZERO;
        for burst in 0..CONNECTIONS / BURST {
            let first = burst * BURST;
            let (mut remotes, sockets): (Vec<_>, Vec<_>) = bench.establish(first, BURST);
            let find = |address, port| index(address, port) - first;
            let mut each = |bench: &mut Bench, control, payload: &[u8]| {
                for remote in &mut remotes {
                    bench.send(remote, control, payload);
                }
                bench.step();
                bench.read(find, &mut remotes);
            };
            each(&mut bench, TcpControl::Psh, b"x");
            bench.step_after(|_| {
                for socket in &sockets {
                    let mut byte = [0];
                    assert_eq!(socket.pipe.try_read(&mut byte), Ok(1));
                    assert_eq!(socket.pipe.try_write(&byte), Ok(1));
                }
            });
            bench.read(find, &mut remotes);
            let mut each = |bench: &mut Bench, control, payload: &[u8]| {
                for remote in &mut remotes {
                    bench.send(remote, control, payload);
                }
                bench.step();
                bench.read(find, &mut remotes);
            };
            each(&mut bench, TcpControl::Fin, b"");
            bench.step_after(|_| drop(sockets));
            bench.read(find, &mut remotes);
            for remote in &mut remotes {
                bench.send(remote, TcpControl::None, b"");
            }
            bench.step();
            bench.read(find, &mut remotes);
        }
        assert_eq!(bench.sockets(), 1, "every connection is gone");
        best = best.min(bench.busy.as_secs_f64() / (CONNECTIONS / BURST * BURST) as f64);
    }
    let _ = remote(0);
    println!("\nhandshake, one byte each way, close: {:.2} µs, {:.0} connections a second", best * 1e6, 1.0 / best);
}
