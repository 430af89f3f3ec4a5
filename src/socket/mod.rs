//! Descriptors and verbs: what a program asks of a socket, as state machines that never block.
//!
//! A program's [`Verb`] comes in as a [`Call`] with a ticket and goes out, now or later, as a [`Completion`]
//! with the same ticket. Bytes do not travel by calls: they go through the [`pipe`](crate::pipe) that each
//! socket shares with its program, and this room moves them between the pipe and the transport.
//!
//! smoltcp's types stop here: what the rooms above see is std's addresses and this module's plain types.

mod call;
mod service;

pub use call::{Call, Completion, DatagramSocket, Handle, ListenerSocket, Outcome, StreamSocket, Verb};

pub use crate::transport::{GroupOption, Keepalive, TcpInfo, TcpOption};

use std::collections::VecDeque;

use slab::Slab;

use crate::config::Limits;
use crate::memory::Memory;
use crate::pipe::{AcceptEnd, DatagramEnd, Doorbell, StreamEnd};

/// The table of descriptors.
#[derive(Debug)]
pub struct Sockets {
    table: Slab<Descriptor>,
    doorbell: Doorbell,
    completions: VecDeque<Completion>,
    rung: Vec<usize>,
    memory: Memory,
    limits: Limits,
    next_number: u64,
}

#[derive(Debug)]
struct Descriptor {
    number: u64,
    socket: Socket,
}

/// A socket, by its slot in the transport and the stack's end of its pipe.
#[derive(Debug)]
enum Socket {
    Listener {
        slot: usize,
        end: AcceptEnd<StreamSocket>,
    },
    /// `lingering`: the ticket of a close that waits for the FIN to arrive.
    Stream {
        slot: usize,
        end: StreamEnd,
        connecting: Option<Box<Connecting>>,
        lingering: Option<u64>,
    },
    Datagram {
        slot: usize,
        end: DatagramEnd,
    },
}

/// A connect that waits for the peer, with the program's end of the pipe.
#[derive(Debug)]
struct Connecting {
    ticket: u64,
    socket: StreamSocket,
}

impl Sockets {
    /// An empty table. Programs ring `doorbell`; the memory of their pipes is of `memory`.
    pub fn new(limits: &Limits, memory: Memory, doorbell: Doorbell) -> Sockets {
        Sockets {
            table: Slab::new(),
            doorbell,
            completions: VecDeque::new(),
            rung: Vec::new(),
            memory,
            limits: limits.clone(),
            next_number: 1,
        }
    }

    /// Takes the next finished call.
    pub fn next_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    fn insert(&mut self, socket: Socket) -> Handle {
        let number = self.next_number;
        self.next_number += 1;
        let descriptor = self.table.insert(Descriptor { number, socket });
        Handle { descriptor, number }
    }

    fn find(&self, handle: Handle) -> Option<&Socket> {
        let descriptor = self.table.get(handle.descriptor)?;
        (descriptor.number == handle.number).then_some(&descriptor.socket)
    }
}

#[cfg(test)]
impl Sockets {
    /// What it holds, by name.
    pub(crate) fn left(&self) -> Vec<(&'static str, usize)> {
        vec![("descriptors", self.table.len()), ("completions", self.completions.len()), ("rung", self.rung.len())]
    }
}
