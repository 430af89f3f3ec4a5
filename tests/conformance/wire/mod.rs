//! A wire with the stack at its other end, and the words in which the tests speak about it.
//!
//! - [`Wire`]: frames go in, [`Answer`]s come out. [`Pair`] is one stack in virtual time; [`Tap`] is the daemon's
//!   process, or a stack embedded in this one, behind a real TAP.
//! - [`frame`]: what a test sends. [`Client`]: the same for a whole TCP connection.
//! - [`answer`]: what the stack sends, and what is always wrong with a frame.
//!
//! Both wires have the same programs behind the stack: echo on port 7, discard on 9, one that says something and
//! closes on 13, one that writes without end on 19. Two more are not in the daemon: [`NEVER_READS`] and
//! [`CLOSES`].

mod answer;
mod checksum;
mod client;
mod frame;
mod pair;
mod socket;
mod tap;

use std::time::Duration;

pub(crate) use answer::{Answer, Arp, Icmp, Reader};
pub(crate) use checksum::{of as checksum_of, with_pseudo_header as checksum_with_pseudo_header};
pub(crate) use client::Client;
pub(crate) use frame::*;
pub(crate) use pair::{BY_HAND, Pair, arp_bytes, arp_frame, who_has};
pub(crate) use tap::Tap;

pub(crate) const ECHO: u16 = 7;
pub(crate) const DISCARD: u16 = 9;
pub(crate) const DAYTIME: u16 = 13;
pub(crate) const CHARGEN: u16 = 19;
/// Accepts, and never reads.
pub(crate) const NEVER_READS: u16 = 4000;
/// Accepts, and closes at once.
pub(crate) const CLOSES: u16 = 4001;
/// Where nobody listens.
pub(crate) const CLOSED: u16 = 81;

/// The longest that something may take which must happen. Nothing that is right takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A wire with the stack at its other end.
pub(crate) trait Wire {
    /// How long it has been there.
    fn now(&self) -> Duration;

    /// Sends a frame to the stack.
    fn send(&mut self, frame: &[u8]);

    /// What the stack says at once to what was sent: what comes later is not waited for.
    fn settle(&mut self) -> Vec<Answer>;

    /// What the stack says within `span`, or until it is enough.
    fn listen(&mut self, span: Duration, enough: &mut dyn FnMut(&[Answer]) -> bool) -> Vec<Answer>;

    /// What the stack says at once to this frame.
    fn ask(&mut self, frame: &[u8]) -> Vec<Answer> {
        self.send(frame);
        self.settle()
    }

    /// What the stack says within `span`.
    fn wait(&mut self, span: Duration) -> Vec<Answer> {
        self.listen(span, &mut |_| false)
    }

    /// What the stack says until something like this is there; fails the test if that takes too long.
    fn until(&mut self, what: &str, is_it: &mut dyn FnMut(&Answer) -> bool) -> Vec<Answer> {
        let mut seen = 0;
        let mut found = false;
        let answers = self.listen(PATIENCE, &mut |answers| {
            found |= answers[seen..].iter().any(&mut *is_it);
            seen = answers.len();
            found
        });
        assert!(found, "no {what} came; what came is {answers:#?}");
        answers
    }

    /// Whether a ping is answered, once and with just its bytes. Connections may have something to say meanwhile.
    fn pings(&mut self, packet: &Packet) -> bool {
        let answers: Vec<Icmp> = self.ask(&packet.frame()).iter().filter_map(Answer::icmp).collect();
        let is_it =
            |icmp: &Icmp| icmp.is_echo_reply() && icmp.rest == packet.payload[4..8] && icmp.data == packet.payload[8..];
        answers.len() == 1 && is_it(&answers[0])
    }

    /// Fails the test unless the stack still answers pings and handshakes of both families.
    fn is_well(&mut self) {
        for family in FAMILIES {
            assert!(self.pings(&ping(family, 99, b"still there?")), "{family:?}: no answer to a ping");
        }
        for family in FAMILIES {
            let mut client = Client::new(family, ECHO);
            client.open(self.as_dyn());
            client.say(self.as_dyn(), b"still there?");
            assert_eq!(client.read(self.as_dyn(), 12), b"still there?");
            client.reset(self.as_dyn());
        }
    }

    fn as_dyn(&mut self) -> &mut dyn Wire;
}

/// Defines tests by their bodies, which are functions over a [`Wire`], and lists them for docs/conformance.md.
///
/// `both`: in virtual time and on a TAP with the daemon. `embedded`: the same, but on the TAP with a stack in this
/// process, whose programs never read or close first. `pair`: in virtual time alone; the body takes a [`Pair`].
macro_rules! lines {
    (both { $($both:ident)* } embedded { $($embedded:ident)* } pair { $($pair:ident)* }) => {
        mod pair {
            $(#[test] fn $both() { super::$both(&mut $crate::wire::Pair::new()); })*
            $(#[test] fn $embedded() { super::$embedded(&mut $crate::wire::Pair::new()); })*
            $(#[test] fn $pair() { super::$pair(&mut $crate::wire::Pair::new()); })*
        }
        #[allow(clippy::module_inception)]
        mod tap {
            $(#[test] fn $both() {
                $crate::namespace::alone(|| super::$both(&mut $crate::wire::Tap::daemon()));
            })*
            $(#[test] fn $embedded() {
                $crate::namespace::alone(|| super::$embedded(&mut $crate::wire::Tap::embedded()));
            })*
        }
        pub(crate) const TESTS: &[(&str, bool)] = &[
            $((stringify!($both), true),)* $((stringify!($embedded), true),)* $((stringify!($pair), false),)*
        ];
    };
}
pub(crate) use lines;
