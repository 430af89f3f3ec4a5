use std::collections::VecDeque;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::sync::Mutex;

use super::datagram::Addresses;
use super::joined::{Carrier, Tally};
use super::lock;
use crate::memory::{Charge, Memory};

/// How many datagrams wait at most, however small they are.
pub const MOST_DATAGRAMS: usize = 256;

/// What a waiting datagram costs besides its bytes.
pub(super) const COST: usize = 64;

/// A datagram that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<A = Addresses> {
    /// How many bytes of it are in the buffer.
    pub count: usize,
    /// How many it had (MSG_TRUNC). The rest is lost.
    pub length: usize,
    /// Who sent it, and to whom.
    pub addresses: A,
}

/// Whom it is from or for, and its bytes.
pub(super) type Message<A> = (A, Box<[u8]>);

/// Datagrams in order. Each has memory of its own, so that a socket through which one large datagram went keeps
/// nothing of it.
#[derive(Debug)]
pub(super) struct Queue<A> {
    pub(super) datagrams: VecDeque<Message<A>>,
    bytes: usize,
    /// What was put in.
    pub(super) given: Tally,
    /// What a program has received.
    pub(super) taken: Tally,
    pub(super) capacity: usize,
    /// `bytes`, where all that buffers use is counted.
    pub(super) charge: Charge,
}

impl<A> Queue<A> {
    pub(super) fn new(capacity: usize, memory: &Memory) -> Mutex<Queue<A>> {
        Mutex::new(Queue {
            datagrams: VecDeque::new(),
            bytes: 0,
            given: Tally::default(),
            taken: Tally::default(),
            capacity,
            charge: memory.account(),
        })
    }

    pub(super) fn has_room(&self, length: usize) -> bool {
        self.datagrams.len() < MOST_DATAGRAMS && self.bytes + length + COST <= self.capacity
    }

    /// Whether a message of so many bytes that has come may wait: as on Linux one may always, however long it is.
    pub(super) fn admits(&self, length: usize) -> bool {
        self.datagrams.is_empty() || self.has_room(length)
    }

    pub(super) fn push(&mut self, addresses: A, bytes: Box<[u8]>) {
        self.count(self.bytes + bytes.len() + COST);
        self.given.add(bytes.len());
        self.datagrams.push_back((addresses, bytes));
    }

    pub(super) fn pop(&mut self) -> Option<Message<A>> {
        let (addresses, bytes) = self.datagrams.pop_front()?;
        self.count(self.bytes - (bytes.len() + COST));
        Some((addresses, bytes))
    }

    /// Takes one for a program that receives it.
    fn receive(&mut self) -> Option<Message<A>> {
        let next = self.pop()?;
        self.taken.add(next.1.len());
        Some(next)
    }

    /// Copies the next one into `buffers`, and takes it unless it is only looked at. `sender` says what is told of whom it
    /// is from. What was taken comes with it, to be dropped when the lock is free.
    pub(super) fn read<F>(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
        peek: bool,
        sender: impl FnOnce(&A) -> F,
    ) -> Option<(Received<F>, Option<Message<A>>)> {
        let taken = if peek { None } else { self.receive() };
        let (from, bytes) = taken.as_ref().or_else(|| self.datagrams.front())?;
        let received = Received { count: scatter(bytes, buffers), length: bytes.len(), addresses: sender(from) };
        Some((received, taken))
    }

    /// Puts one that was taken last back in front of the others.
    pub(super) fn give_back(&mut self, addresses: A, bytes: Box<[u8]>) {
        self.count(self.bytes + bytes.len() + COST);
        self.datagrams.push_front((addresses, bytes));
    }

    /// Takes all that waits.
    pub(super) fn take_all(&mut self) -> VecDeque<Message<A>> {
        self.count(0);
        std::mem::take(&mut self.datagrams)
    }

    /// Bytes of all that waits, and what it costs besides.
    pub(super) fn used(&self) -> usize {
        self.bytes
    }

    /// Bytes of payload that wait.
    pub(super) fn waiting(&self) -> usize {
        self.bytes - self.datagrams.len() * COST
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = bytes;
        self.charge.set(bytes);
    }
}

impl<A: fmt::Debug + Send> Carrier for Mutex<Queue<A>> {
    fn given(&self) -> Tally {
        lock(self).given
    }

    fn taken(&self) -> Tally {
        lock(self).taken
    }

    fn waiting(&self) -> usize {
        lock(self).waiting()
    }

    fn set_most(&self, bytes: usize) {
        lock(self).capacity = bytes;
    }

    /// Each message has its own, which goes with it.
    fn holds_memory(&self) -> bool {
        false
    }

    fn rest(&self) {}
}

/// Copies as much of `bytes` as fits.
fn scatter(mut bytes: &[u8], buffers: &mut [IoSliceMut<'_>]) -> usize {
    let before = bytes.len();
    for buffer in buffers {
        let (here, rest) = bytes.split_at(bytes.len().min(buffer.len()));
        buffer[..here.len()].copy_from_slice(here);
        bytes = rest;
    }
    before - bytes.len()
}

pub(super) fn gather(buffers: &[IoSlice<'_>], length: usize) -> Box<[u8]> {
    match buffers {
        [one] => one[..].into(),
        _ => {
            let mut bytes = Vec::with_capacity(length);
            buffers.iter().for_each(|buffer| bytes.extend_from_slice(buffer));
            bytes.into()
        }
    }
}
