//! The column from `link` to `socket`, composed. Pure: no I/O, no clock, no randomness of its own.
//!
//! [`Stack::step`] takes the moment, frames and calls, and gives frames, completions and the next deadline.
//! The engine drives it with a device and a clock; tests drive it in virtual time; both see the same machine.

mod autoconf;
mod calls;
mod causes;
mod follow;
mod loopback;
mod send;
mod show;
#[cfg(test)]
mod tests;
mod usage;

use std::net::IpAddr;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::{Cidr, Config};
use autoconf::Autoconf;
use causes::Causes;
use loopback::Loopback;

use crate::ip::{Ip, Packets, Verdict};
pub use autoconf::{Awaited, Lifetime, Origin};

pub use crate::link::Frames;
pub use crate::socket::{Address, Call, Completion, Hold, Outcome, Page, Sending, SocketRow, TcpInfo, Type, Verb, Way};
pub use crate::transport::{SelfTestFailed, self_test};
pub use usage::Usage;

use crate::link::{Link, NeighbourMessage, Received};
use crate::memory::Memory;
use crate::observe::{Cast, Counters, Depth, Direction, Event, Fate, Observer, Rule, Time, TimerKind, Trail};
use crate::pipe::Doorbell;
use crate::socket::Sockets;
use crate::transport::{Below, Transport};

/// How many bytes of frames one step makes at most, give or take one connection's share: about as many frames as the
/// engine reads in a burst, so that the answers to what is sent do not pile up unread.
const BYTES_PER_STEP: usize = 96 * 1024;

/// How many connections one step looks after at most.
const CONNECTIONS_PER_STEP: usize = 512;

/// How many bytes, and how many bursts of packets, one step lets arrive by the loopback at most.
const LOOPBACK_BYTES_PER_STEP: usize = 256 * 1024;
const LOOPBACK_BURSTS_PER_STEP: usize = 16;

/// What a step says about the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When to step again, if nothing happens before.
    pub deadline: Option<Time>,
    /// There is more to do at once: the step stopped at its bounds.
    pub has_more: bool,
}

/// One stack.
#[derive(Debug)]
pub struct Stack {
    link: Link,
    ip: Ip,
    transport: Transport,
    sockets: Sockets,
    packets: Packets,
    loopback: Loopback,
    counters: Counters,
    trail: Trail,
    causes: Causes,
    rng: StdRng,
    autoconf: Autoconf,
    duplicates: Vec<(IpAddr, crate::config::Mac)>,
    config: Config,
    is_begun: bool,
    is_linked: bool,
}

impl Stack {
    /// A stack for a link of `mtu` bytes of IP packet. All its randomness comes from `seed`. Programs ring
    /// `doorbell`.
    pub fn new(config: Config, mtu: usize, seed: [u8; 32], doorbell: Doorbell) -> Stack {
        let mut rng = StdRng::from_seed(seed);
        let ip = Ip::new(&config, mtu, rng.next_u64());
        let memory = Memory::with_tape(config.limits.memory, doorbell.tape());
        let hash_keys = [rng.next_u64(), rng.next_u64()];
        let mut link = Link::new(config.mac, mtu, &config.limits, hash_keys);
        if config.slaac {
            link.hear_routers(config.limits.prefixes);
        }
        Stack {
            link,
            ip,
            transport: Transport::new(&config, memory.clone(), &mut rng),
            sockets: Sockets::new(&config, memory, doorbell),
            packets: Packets::new(),
            loopback: Loopback::default(),
            counters: Counters::default(),
            trail: Trail::default(),
            causes: Causes::new(&config.limits),
            rng,
            autoconf: Autoconf::new(&config),
            duplicates: Vec::new(),
            config,
            is_begun: false,
            is_linked: true,
        }
    }

    /// A stack without a link. Its addresses are its own at once, nothing is ever asked or announced, and it reaches
    /// nobody but itself.
    pub fn without_link(config: Config, seed: [u8; 32], doorbell: Doorbell) -> Stack {
        // What the link would carry: nothing ever gets there.
        Stack { is_linked: false, ..Stack::new(config, 1500, seed, doorbell) }
    }

    /// What it has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The same, for those who count beside it: the device.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Tells `observer` what happens beside the stack: at the device.
    pub fn tell(&mut self, now: Time, event: Event<'_>, observer: &mut dyn Observer) {
        self.trail.set_depth(observer.depth());
        self.trail.tell(now, event, observer);
    }

    /// Whether every own address has been asked about, and those that routers and DHCP servers give have come or are
    /// not likely to: the stack answers from here on. Where no address was chosen, there is one.
    pub fn is_ready(&self) -> bool {
        self.autoconf.is_settled()
    }

    /// Own addresses that somebody else has, and who.
    pub fn duplicates(&self) -> &[(IpAddr, crate::config::Mac)] {
        &self.duplicates
    }

    /// Whether a link-layer deadline, a timer or unfinished work is left; for tests.
    pub fn sockets(&self) -> usize {
        self.transport.sockets()
    }

    /// Whether nothing is left that a program has asked for: no socket, no connection that still sends, and no packet
    /// that waits for a neighbour.
    pub fn is_quiet(&self) -> bool {
        self.sockets() == 0 && self.sockets.is_empty() && !self.link.has_waiting()
    }

    /// Bytes of memory that the buffers of its sockets use.
    pub fn memory_used(&self) -> usize {
        self.transport.memory().used()
    }

    /// Lets everything happen that is due: `frames` came in, programs asked `calls`, and it is `now`. Frames to
    /// be sent are appended to `out`; finished calls wait in [`Stack::next_completion`].
    pub fn step<'f>(
        &mut self,
        now: Time,
        frames: impl IntoIterator<Item = &'f [u8]>,
        calls: &mut Vec<Call>,
        out: &mut Frames,
        observer: &mut dyn Observer,
    ) -> Step {
        self.trail.set_depth(observer.depth());
        self.follow();
        self.transport.watch_datagrams(self.trail.shows(Depth::Frame));
        if !self.is_begun {
            self.is_begun = true;
            let sent = out.len();
            self.begin(now, out);
            self.show_frames(now, sent, out, observer);
            self.take_link_notices(now, out, observer);
        }
        let mut frames = frames.into_iter().peekable();
        if frames.peek().is_some() {
            // Who has closed a listener and says so to a peer must not find that the peer has connected to it.
            self.answer(now, observer);
        }
        for frame in frames {
            self.receive(now, frame, out, observer);
        }
        let sent = out.len();
        self.link.poll(now, out);
        self.show_timed_frames(now, TimerKind::Neighbour, (sent, out), observer);
        let sent = out.len();
        self.poll_autoconf(now, out);
        self.show_timed_frames(now, TimerKind::Autoconfiguration, (sent, out), observer);
        self.take_link_notices(now, out, observer);
        let waiting = self.packets.len();
        self.ip.poll(now, &mut self.packets);
        self.follow_timed_packets(now, TimerKind::Reassembly, waiting, observer);
        self.count_given_up();
        self.transport.poll(now, &mut self.packets);
        self.follow_timers(now, observer);
        self.sockets.poll(now);
        // What programs wrote, shut down or closed before they called comes before the call: a port that was given back
        // is free.
        self.answer(now, observer);
        for call in calls.drain(..) {
            let called = self.follows().then(|| self.begin_call(now, &call, observer));
            let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
            self.sockets.call(now, call, &mut self.transport, &mut below, &mut self.rng);
            if let Some(called) = called {
                self.end_call(now, called, observer);
            }
        }
        self.answer(now, observer);
        let waiting = self.packets.len();
        self.ip.poll_groups(now, &mut self.packets);
        self.follow_timed_packets(now, TimerKind::Group, waiting, observer);
        self.take_transport_notices(now);
        self.flush(now, out, observer);
        let has_more = self.service(now, out, observer);
        self.count_given_up();
        self.take_link_notices(now, out, observer);
        self.autoconf.settle(!self.is_linked || !self.config.addresses.is_empty());
        self.show_lives(now, observer);
        self.follow_returns(now, observer);
        let below = [self.link.deadline(), self.ip.deadline(), self.ip.group_deadline()];
        let above = [self.transport.deadline(), self.sockets.deadline(), self.autoconf.deadline()];
        let deadline = below.into_iter().chain(above).flatten().min();
        Step { deadline, has_more }
    }

    /// Takes the next finished call.
    pub fn next_completion(&mut self) -> Option<Completion> {
        self.sockets.next_completion()
    }

    /// Ends every connection with a RST and tells every program, because the stack stops.
    pub fn shut_down(&mut self, now: Time, out: &mut Frames, observer: &mut dyn Observer) {
        self.trail.set_depth(observer.depth());
        self.follow();
        self.transport.shut_down(now, &mut self.packets);
        self.flush(now, out, observer);
        // Every program is told anyway.
        self.loopback.clear();
        let sent = out.len();
        self.release_lease(now, out);
        self.show_frames(now, sent, out, observer);
        self.sockets.shut_down(now, &mut self.transport);
        self.show_lives(now, observer);
    }

    /// The addresses of the settings, and the one that every IPv6 station has (RFC 4291 §2.8).
    fn begin(&mut self, now: Time, out: &mut Frames) {
        let mut addresses: Vec<(Cidr, Origin)> =
            self.config.addresses.iter().map(|&cidr| (cidr, Origin::Chosen)).collect();
        if self.is_linked
            && (self.config.slaac || addresses.iter().any(|(cidr, _)| cidr.address().is_ipv6()))
            && let Some(cidr) = Cidr::new(self.config.mac.link_local().into(), 64)
        {
            addresses.push((cidr, Origin::LinkLocal));
        }
        for (cidr, origin) in addresses {
            // A person may have chosen the link-local address; then it is there already.
            let _ = self.join(now, cidr, origin, Lifetime::FOREVER, out);
        }
    }

    fn receive(&mut self, now: Time, frame: &[u8], out: &mut Frames, observer: &mut dyn Observer) {
        self.counters.frames_in += 1;
        self.counters.bytes_in += frame.len() as u64;
        let id = self.trail.number_at(Depth::Frame);
        self.trail.because_of(id);
        let sent = out.len();
        let fate = match self.link.receive(now, frame, out) {
            Ok(Received::Ip { packet, cast }) => self.receive_packet(now, packet, cast, out),
            Ok(Received::Done(rule)) | Err(rule) => Fate::nobody(rule),
        };
        if let Some(rule) = fate.rule {
            self.counters.count(rule);
        }
        let event = Event::Frame { direction: Direction::In, bytes: frame.into(), fate };
        self.trail.tell_as(id, (now, None), event, observer);
        let follows = self.follows();
        if follows {
            self.trail.tell_notes(observer);
        }
        self.show_frames(now, sent, out, observer);
        self.take_link_notices(now, out, observer);
        self.take_transport_notices(now);
        if follows {
            self.blame(0);
        }
        self.flush(now, out, observer);
        self.show_lives(now, observer);
        self.trail.because_of(None);
    }

    fn receive_packet(&mut self, now: Time, packet: &[u8], cast: Cast, out: &mut Frames) -> Fate {
        if let Some(fate) = self.receive_dhcp(now, packet, out) {
            return fate;
        }
        let verdict = self.ip.receive(now, packet, cast, &mut self.packets);
        self.deliver(now, verdict, Some(out))
    }

    /// What becomes of a packet that is for us. `frames`: where what the link answers goes; `None` for a packet that came
    /// by the loopback.
    fn deliver(
        &mut self,
        now: Time,
        verdict: std::result::Result<Verdict<'_>, Rule>,
        frames: Option<&mut Frames>,
    ) -> Fate {
        let whole;
        let verdict = match verdict {
            Ok(Verdict::Whole(datagram)) => {
                whole = datagram;
                self.ip.receive_whole(now, &whole, &mut self.packets)
            }
            verdict => verdict,
        };
        let mut raw = None;
        let verdict = match verdict {
            Ok(Verdict::Heard(heard)) => {
                raw = self.transport.receive_raw(&heard.packet);
                if let (Some(Fate { owner: Some(owner), rule: None, .. }), true) = (raw, self.follows()) {
                    self.follow_delivered(now, owner.socket(), heard.packet.bytes.len());
                }
                self.ip.receive_heard(now, heard, raw.is_some(), &mut self.packets)
            }
            verdict => verdict,
        };
        let fate = self.deliver_once(now, &verdict, frames);
        let Some(raw) = raw else { return fate };
        if fate.owner.is_none() && is_unwanted(fate.rule) {
            return raw;
        }
        if let Some(rule) = raw.rule {
            // The copy is lost, and the frame's own fate is another one.
            self.counters.count(rule);
        }
        fate
    }

    fn deliver_once(
        &mut self,
        now: Time,
        verdict: &std::result::Result<Verdict<'_>, Rule>,
        frames: Option<&mut Frames>,
    ) -> Fate {
        match verdict {
            Ok(Verdict::Transport(packet)) => {
                let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
                let fate = self.transport.receive(now, packet, &mut below);
                if self.follows() {
                    self.follow_in(now, packet, &fate);
                }
                fate
            }
            Ok(Verdict::Neighbour(packet)) => {
                let Some(out) = frames else { return Fate::nobody(Rule::LoopbackNeighbour) };
                let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else {
                    return Fate::nobody(Rule::NdpMalformed);
                };
                let message =
                    NeighbourMessage { source, destination, hop_limit: packet.hop_limit, body: packet.payload };
                match self.link.neighbour_message(now, message, out) {
                    Ok(rule) | Err(rule) => Fate::nobody(rule),
                }
            }
            Ok(Verdict::Error(error)) => {
                let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
                let fate = self.transport.receive_error(now, error, &mut below);
                if self.follows() {
                    self.follow_error(&fate, self.trail.cause());
                }
                fate
            }
            Ok(Verdict::Taken) => UNCLAIMED,
            // What was put together once is not put together again, and what was shown is not shown again.
            Ok(Verdict::Whole(_) | Verdict::Heard(_)) => Fate::nobody(Rule::Ip6Extension),
            Ok(Verdict::Done(rule)) | Err(rule) => Fate::nobody(*rule),
        }
    }

    /// Datagrams that were given up, with no frame to tell it by.
    fn count_given_up(&mut self) {
        while let Some(rule) = self.ip.next_given_up().or_else(|| self.transport.next_given_up()) {
            self.counters.count(rule);
        }
    }

    /// Looks after the sockets whose programs have rung. What they did is told first.
    fn answer(&mut self, now: Time, observer: &mut dyn Observer) {
        self.sockets.hear();
        if self.follows() {
            self.follow_deeds(now, observer);
        }
        let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
        self.sockets.answer(now, &mut self.transport, &mut below, &mut self.rng);
        if self.follows() {
            self.show_lives(now, observer);
        }
    }

    fn take_transport_notices(&mut self, now: Time) {
        while let Some(notice) = self.transport.next_notice() {
            if self.follows() {
                self.follow_notice(&notice);
            }
            let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
            self.sockets.notice(now, notice, &mut self.transport, &mut below, &mut self.rng);
        }
    }

    /// Looks after connections, and lets what they send each other arrive, until nothing is left to do or the bounds of a
    /// step are reached.
    fn service(&mut self, now: Time, out: &mut Frames, observer: &mut dyn Observer) -> bool {
        let (mut connections, mut bursts, mut bytes) = (0, 0, 0);
        while out.bytes_used() <= BYTES_PER_STEP {
            let is_full = self.loopback.bytes_used() > BYTES_PER_STEP;
            if connections < CONNECTIONS_PER_STEP
                && !is_full
                && let Some((slot, descriptor)) = self.transport.next_dirty()
            {
                connections += 1;
                self.service_one(now, (slot, descriptor), out, observer);
            } else if bursts < LOOPBACK_BURSTS_PER_STEP && bytes < LOOPBACK_BYTES_PER_STEP && !self.loopback.is_empty()
            {
                bursts += 1;
                bytes += self.arrive(now, out, observer);
            } else {
                break;
            }
        }
        self.transport.is_dirty() || !self.loopback.is_empty()
    }

    fn service_one(
        &mut self,
        now: Time,
        (slot, descriptor): (usize, Option<usize>),
        out: &mut Frames,
        observer: &mut dyn Observer,
    ) {
        let before = if self.follows() { self.begin_service(slot) } else { None };
        let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
        let delivered = self.sockets.service(now, slot, descriptor, &mut self.transport, &mut below);
        for _ in 0..self.transport.take_panics() {
            self.counters.count(Rule::TcpPanicked);
        }
        match &before {
            Some(before) => self.follow_service(now, before, delivered, observer),
            None => self.follow_timers(now, observer),
        }
        self.take_transport_notices(now);
        self.flush(now, out, observer);
        if let Some(before) = before {
            self.end_service(now, before.socket, observer);
        }
    }
}

/// Of a packet that only raw sockets want.
const UNCLAIMED: Fate = Fate { owner: None, rule: None, states: None, numbers: None, cause: None };

/// Whether the rule says that nobody but raw sockets wants the packet.
fn is_unwanted(rule: Option<Rule>) -> bool {
    matches!(rule, None | Some(Rule::IcmpEchoReply | Rule::IcmpType | Rule::IcmpErrorUnmatched))
}
