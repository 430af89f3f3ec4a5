//! The daemon's process behind a real TAP, in a namespace of the test's own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tapsock::config::Config;
use tapsock::net::{Stack, TcpListener};

use super::answer::{Answer, Reader};
use super::frame::{OUR_MAC, V4, icmp_packet};
use super::pair::here_i_am;
use super::socket::PacketSocket;
use super::{CLOSES, NEVER_READS, PATIENCE, Wire};
use crate::host::{Host, run};

const TAP: &str = "tap0";
const MTU: usize = 1500;
/// The number of the first ping that only asks whether the stack has seen all that was sent before.
const FENCE: [u8; 2] = [0xfe, 0xce];

/// A stack behind a TAP.
pub(crate) struct Tap {
    socket: PacketSocket,
    began: Instant,
    reader: Reader,
    answers: VecDeque<Answer>,
    fences: u16,
    _stack: Behind,
}

#[allow(dead_code)] // held for its end
enum Behind {
    Daemon(Host),
    Embedded(Stack),
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Behind::Embedded(stack) = self {
            stack.shut_down();
        }
    }
}

impl Tap {
    /// The daemon with all its services.
    pub(crate) fn daemon() -> Tap {
        tap_up();
        let socket = PacketSocket::on(TAP).unwrap();
        Tap::new(socket, Behind::Daemon(Host::attach(&["--probe", "0"])))
    }

    /// A stack in this process, with programs that no daemon needs.
    pub(crate) fn embedded() -> Tap {
        tap_up();
        let socket = PacketSocket::on(TAP).unwrap();
        let config = Config { probe: Duration::ZERO, ..Config::default() };
        let stack = Stack::builder().config(config).tap(TAP).unwrap();
        stack.wait_ready().unwrap();
        for port in [NEVER_READS, CLOSES] {
            // Both families.
            let listener = TcpListener::bind(&stack, SocketAddr::new("::".parse().unwrap(), port)).unwrap();
            std::thread::spawn(move || {
                let mut held = Vec::new();
                while let Ok((stream, _)) = listener.accept() {
                    if port == NEVER_READS {
                        held.push(stream);
                    }
                }
            });
        }
        Tap::new(socket, Behind::Embedded(stack))
    }

    fn new(socket: PacketSocket, behind: Behind) -> Tap {
        let mut tap = Tap {
            socket,
            began: Instant::now(),
            reader: Reader::new(MTU),
            answers: VecDeque::new(),
            fences: 0,
            _stack: behind,
        };
        // A TAP that was just opened drops frames until the kernel has noticed; what the stack says while it begins
        // is of no interest.
        while !tap.fence(Duration::from_millis(50)) {
            assert!(tap.began.elapsed() < PATIENCE, "the stack does not answer a ping");
        }
        tap.settle();
        tap
    }

    /// Takes the next frame of the stack, if one comes within `span`.
    fn take(&mut self, span: Duration) -> bool {
        let mut buffer = vec![0; 65_536];
        let Some(length) = self.socket.receive(span, &mut buffer).unwrap() else { return false };
        let frame = &buffer[..length];
        // The kernel is another neighbour, though it has no address and so nothing to say.
        if frame.len() < 14 || frame[6..12] != OUR_MAC {
            return true;
        }
        let answer = self.reader.read(self.began.elapsed(), frame);
        let answer = answer.unwrap_or_else(|wrong| panic!("the stack sent a wrong frame: {wrong}: {frame:02x?}"));
        let Some(answer) = answer else { return true };
        match here_i_am(&answer) {
            Some(reply) => self.socket.send(&reply).unwrap(),
            None if answer.is_change_report() => {}
            None => self.answers.push_back(answer),
        }
        true
    }

    /// Waits until the stack answers a ping: then it has seen everything before it.
    fn fence(&mut self, patience: Duration) -> bool {
        self.fences += 1;
        let [a, b] = self.fences.to_be_bytes();
        let number = [FENCE[0], FENCE[1], a, b];
        let ping = icmp_packet(V4, 8, 0, number, b"fence");
        self.socket.send(&ping.frame()).unwrap();
        let deadline = Instant::now() + patience;
        let is_it = |answer: &Answer| answer.icmp().is_some_and(|icmp| icmp.is_echo_reply() && icmp.rest == number);
        loop {
            if self.answers.back().is_some_and(is_it) {
                self.answers.pop_back();
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.take(left);
        }
    }
}

impl Wire for Tap {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn send(&mut self, frame: &[u8]) {
        // A packet socket does not take less than an Ethernet header.
        if frame.len() >= 14 {
            self.socket.send(frame).unwrap();
        }
    }

    fn settle(&mut self) -> Vec<Answer> {
        // What a connection has to say leaves after the burst in which the first ping came.
        for _ in 0..2 {
            assert!(self.fence(PATIENCE), "the stack does not answer a ping any more");
        }
        self.answers.drain(..).collect()
    }

    fn listen(&mut self, span: Duration, enough: &mut dyn FnMut(&[Answer]) -> bool) -> Vec<Answer> {
        let deadline = Instant::now() + span;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if enough(self.answers.make_contiguous()) || left.is_zero() {
                return self.answers.drain(..).collect();
            }
            self.take(left);
        }
    }

    fn as_dyn(&mut self) -> &mut dyn Wire {
        self
    }
}

/// A TAP on which the kernel has no address, and nothing to say.
fn tap_up() {
    run(&format!("ip tuntap add dev {TAP} mode tap")).well();
    run(&format!("ip link set dev {TAP} addrgenmode none")).well();
    run(&format!("ip link set dev {TAP} up")).well();
}
