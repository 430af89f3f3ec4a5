//! How fast one socket of a stack reaches another of the same stack, by packets.
//!
//! `cargo bench --bench loopback -- step|net SECONDS` prints bytes per second of payload, written and read in pieces of
//! 64 KiB: `step` in one thread, around `Stack::step`, as a program that drives its own stack would; `net` with an
//! engine, a writer and a reader in a thread each. See benches/README.md.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::config::{Config, Loopback};
use tapsock::net::{self, TcpListener, TcpStream};
use tapsock::observe::{NoObserver, Time};
use tapsock::pipe::Doorbell;
use tapsock::stack::{Call, Frames, Outcome, Stack, Verb};

const PIECE: usize = 64 * 1024;

/// Slow start is not what is measured.
const WARM_UP: Duration = Duration::from_millis(200);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let (how, seconds) = match args.as_slice() {
        [] => ("step", "1"),
        [how] => (how.as_str(), "1"),
        [how, seconds, ..] => (how.as_str(), seconds.as_str()),
    };
    let time = Duration::try_from_secs_f64(seconds.parse().expect("a number of seconds")).expect("a span");
    let rate = match how {
        "step" => step(time),
        "net" => net(time),
        other => panic!("'{other}' is neither step nor net"),
    };
    assert!(rate > 0.0, "nothing arrived");
    println!("{rate:.0}");
}

fn config() -> Config {
    Config { addresses: Vec::new(), loopback: Loopback::Wire, ..Config::default() }
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

/// A stack and the clock, and no thread but this one.
struct Alone {
    stack: Stack,
    calls: Vec<Call>,
    frames: Frames,
    began: Instant,
}

impl Alone {
    fn step(&mut self) {
        let now = Time::from_micros(self.began.elapsed().as_micros() as u64);
        self.stack.step(now, [], &mut self.calls, &mut self.frames, &mut NoObserver);
        assert!(self.frames.is_empty(), "nothing is for the device");
    }

    fn call(&mut self, verb: Verb) -> Outcome {
        self.calls.push(Call { ticket: 0, owner: None, verb });
        loop {
            self.step();
            if let Some(completion) = self.stack.next_completion() {
                return completion.result.expect("the call");
            }
        }
    }
}

fn step(time: Duration) -> f64 {
    let stack = Stack::without_link(config(), [7; 32], Doorbell::default());
    let mut alone = Alone { stack, calls: Vec::new(), frames: Frames::new(), began: Instant::now() };
    let Outcome::Listener(listener) = alone.call(Verb::OpenListener { local: address(), backlog: 1, v6_only: true })
    else {
        panic!()
    };
    let Outcome::Stream(client) = alone.call(Verb::OpenStream { local: None, remote: address() }) else { panic!() };
    let server = listener.queue.try_accept().expect("a connection");

    let data = vec![0x55; PIECE];
    let mut buffer = vec![0; PIECE];
    let mut run = |time: Duration| {
        let begin = Instant::now();
        let mut bytes = 0;
        while begin.elapsed() < time {
            for _ in 0..16 {
                while client.pipe.try_write(&data).is_ok() {}
                alone.step();
                while let Ok(count) = server.pipe.try_read(&mut buffer) {
                    bytes += count;
                }
            }
        }
        bytes as f64 / begin.elapsed().as_secs_f64()
    };
    run(WARM_UP);
    run(time)
}

fn net(time: Duration) -> f64 {
    let stack = net::Stack::builder().config(config()).loopback_only().expect("a stack");
    let listener = TcpListener::bind(&stack, address()).expect("a listener");
    let mut client = TcpStream::connect(&stack, address()).expect("a connection");
    let (mut server, _) = listener.accept().expect("the same");
    let (bytes, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let data = vec![0x55; PIECE];
            while !is_over.load(Ordering::Relaxed) {
                if client.write_all(&data).is_err() {
                    break;
                }
            }
            drop(client);
        });
        scope.spawn(|| {
            let mut buffer = vec![0; PIECE];
            while let Ok(count @ 1..) = server.read(&mut buffer) {
                bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
        thread::sleep(WARM_UP);
        let (begin, before) = (Instant::now(), bytes.load(Ordering::Relaxed));
        thread::sleep(time);
        let rate = (bytes.load(Ordering::Relaxed) - before) as f64 / begin.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        stack.shut_down();
        rate
    })
}
