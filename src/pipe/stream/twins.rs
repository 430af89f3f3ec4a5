//! Joined streams and the kernel's pairs do the same things in the same order, and are told the same.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::libc::linger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::Doorbell;
use super::*;

/// What one of the two ends does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(usize),
    Read(usize),
    Shut(Shutdown),
    /// Whether with SO_LINGER at zero.
    Close(bool),
    TakeError,
    Ready,
}

/// An end of a pair, in the kernel or not.
trait End {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize>;
    fn shut(&mut self, how: Shutdown) -> std::io::Result<()>;
    fn set_abortive(&mut self);
    fn take_error(&mut self) -> Option<std::io::Error>;
    fn ready(&mut self) -> Readiness;
}

impl End for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(self.try_read(buffer)?)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(self.try_write(bytes)?)
    }

    fn shut(&mut self, how: Shutdown) -> std::io::Result<()> {
        if how != Shutdown::Read {
            self.shutdown_write();
        }
        if how != Shutdown::Write {
            self.shutdown_read();
        }
        Ok(())
    }

    fn set_abortive(&mut self) {
        self.joined_ends().unwrap()[0].set_abortive(true);
    }

    fn take_error(&mut self) -> Option<std::io::Error> {
        Stream::take_error(self).err().map(Into::into)
    }

    fn ready(&mut self) -> Readiness {
        self.readiness()
    }
}

macro_rules! kernel_end {
    ($type:ty) => {
        impl End for $type {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                Read::read(self, buffer)
            }

            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                Write::write(self, bytes)
            }

            fn shut(&mut self, how: Shutdown) -> std::io::Result<()> {
                self.shutdown(how)
            }

            fn set_abortive(&mut self) {
                setsockopt(&*self, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
            }

            fn take_error(&mut self) -> Option<std::io::Error> {
                <$type>::take_error(self).unwrap()
            }

            fn ready(&mut self) -> Readiness {
                let mut polled = [PollFd::new(self.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
                poll(&mut polled, PollTimeout::ZERO).unwrap();
                let flags = polled[0].revents().unwrap();
                Readiness {
                    readable: flags.contains(PollFlags::POLLIN),
                    writable: flags.contains(PollFlags::POLLOUT),
                    hang_up: flags.contains(PollFlags::POLLHUP),
                    error: flags.contains(PollFlags::POLLERR),
                }
            }
        }
    };
}

kernel_end!(TcpStream);
kernel_end!(UnixStream);

fn joined(joint: Joint) -> [Box<dyn End>; 2] {
    let doorbell = Doorbell::default();
    let memory = Memory::new(usize::MAX);
    let (a, b) = Stream::joined(joint, 65_536, &memory, [doorbell.bell(0), doorbell.bell(1)]).unwrap();
    [Box::new(a), Box::new(b)]
}

fn kernel(joint: Joint) -> [Box<dyn End>; 2] {
    match joint {
        Joint::Unix => {
            let (a, b) = UnixStream::pair().unwrap();
            a.set_nonblocking(true).unwrap();
            b.set_nonblocking(true).unwrap();
            [Box::new(a), Box::new(b)]
        }
        Joint::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (b, _) = listener.accept().unwrap();
            // Nagle's algorithm would keep bytes back that a ring shows at once.
            a.set_nodelay(true).unwrap();
            b.set_nodelay(true).unwrap();
            a.set_nonblocking(true).unwrap();
            b.set_nonblocking(true).unwrap();
            [Box::new(a), Box::new(b)]
        }
    }
}

/// What each step gives, as words. `settle` lets the kernel's packets arrive.
fn play(ends: [Box<dyn End>; 2], steps: &[(usize, Step)], settle: Duration) -> Vec<String> {
    let mut ends = ends.map(Some);
    let mut told = Vec::new();
    for &(side, step) in steps {
        let Some(end) = &mut ends[side] else { continue };
        let mut buffer = [0; 64];
        let outcome = match step {
            Step::Write(count) => format!("{:?}", end.write(&buffer[..count]).map_err(|error| error.raw_os_error())),
            Step::Read(count) => format!("{:?}", end.read(&mut buffer[..count]).map_err(|error| error.raw_os_error())),
            // What a second shutdown says is the descriptor's business, not the pipe's.
            Step::Shut(how) => {
                let _ = end.shut(how);
                String::new()
            }
            Step::Close(aborts) => {
                if aborts {
                    end.set_abortive();
                }
                ends[side] = None;
                String::new()
            }
            Step::TakeError => format!("{:?}", end.take_error().map(|error| error.raw_os_error())),
            Step::Ready => format!("{:?}", end.ready()),
        };
        told.push(format!("{side}: {step:?} {outcome}"));
        if !settle.is_zero() {
            std::thread::sleep(settle);
        }
    }
    told
}

fn steps(seed: u64) -> Vec<(usize, Step)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let hows = [Shutdown::Read, Shutdown::Write, Shutdown::Both];
    (0..14)
        .map(|_| {
            let step = match rng.random_range(0..16) {
                0..4 => Step::Write(rng.random_range(0..4)),
                4..8 => Step::Read(rng.random_range(1..6)),
                8 | 9 => Step::Shut(hows[rng.random_range(0..3)]),
                10 => Step::Close(rng.random_range(0..3) == 0),
                11 => Step::TakeError,
                _ => Step::Ready,
            };
            (rng.random_range(0..2), step)
        })
        .collect()
}

fn compare(joint: Joint, seeds: std::ops::Range<u64>, settle: Duration) {
    for seed in seeds {
        let steps = steps(seed);
        let ours = play(joined(joint), &steps, Duration::ZERO);
        let mut theirs = play(kernel(joint), &steps, settle);
        // A busy machine may keep a packet of its own waiting.
        for patience in [10, 100] {
            if ours != theirs && !settle.is_zero() {
                theirs = play(kernel(joint), &steps, settle * patience);
            }
        }
        assert_eq!(ours, theirs, "{joint:?}, seed {seed}");
    }
}

#[test]
fn unix_streams_are_told_what_the_kernel_tells_its_own() {
    compare(Joint::Unix, 0..2000, Duration::ZERO);
}

#[test]
fn tcp_streams_are_told_what_the_kernel_tells_its_own_on_one_machine() {
    compare(Joint::Tcp, 0..150, Duration::from_micros(50));
}
