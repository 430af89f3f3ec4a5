//! Addresses, routers and prefixes that come and go: the one path by which settings, router advertisements and DHCP
//! give the stack an address.
//!
//! An address enters the table tentative. The link is asked whether somebody has it (RFC 4862 §5.4, RFC 5227 §2.1);
//! nobody, and it is preferred; somebody, and it is a duplicate: not used, and, if a DHCP server gave it, declined.
//! When its preferred lifetime is over it is deprecated: packets for it are still taken, what uses it goes on, new
//! connections begin from another. When its valid lifetime is over, it is gone: its connections end.
//!
//! - `table`: the addresses and their lifetimes.
//! - `slaac`: router advertisements (RFC 4861 §6.3, RFC 4862 §5.5).
//! - `dhcp`: a client (RFC 2131).

pub(super) mod dhcp;
pub(super) mod slaac;
pub(super) mod table;

use std::net::{IpAddr, Ipv6Addr};

pub use table::{Lifetime, Origin};

use self::dhcp::{Action, Dhcp};
use self::slaac::{Change, Slaac};
use self::table::{Due, Entry, Table};
use super::Stack;
use crate::config::{Cidr, Config};
use crate::error::{Error, Result};
use crate::link::{Frames, Notice};
use crate::observe::{self, Address, Event, Fate, Lease, Neighbour, Observer, Router, Rule, Time};
use crate::transport::Below;

const ALL_ROUTERS: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2));

/// What was asked for and has not been given yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awaited {
    /// No DHCP server has given an address.
    pub dhcp: bool,
    /// No router has advertised a prefix to make an address from.
    pub slaac: bool,
}

/// The parts that decide, beside the layers that obey.
#[derive(Debug)]
pub(super) struct Autoconf {
    table: Table,
    slaac: Option<Slaac>,
    dhcp: Option<Dhcp>,
    /// What the observer is to be told.
    news: Vec<Event<'static>>,
    /// Once true it stays.
    is_settled: bool,
}

impl Autoconf {
    pub(super) fn new(config: &Config) -> Autoconf {
        Autoconf {
            table: Table::default(),
            slaac: config.slaac.then(|| Slaac::new(config.mac, &config.limits)),
            dhcp: config.dhcp.then(|| Dhcp::new(config.mac)),
            news: Vec::new(),
            is_settled: false,
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let slaac = self.slaac.as_ref().and_then(Slaac::deadline);
        let dhcp = self.dhcp.as_ref().and_then(Dhcp::deadline);
        [self.table.deadline(), slaac, dhcp].into_iter().flatten().min()
    }

    /// The stack answers from here on, once each address is decided and, where none was chosen, one was given. What
    /// else was asked for is waited for as long as an answer is likely.
    pub(super) fn settle(&mut self, has_chosen: bool) {
        if self.is_settled {
            return;
        }
        let mut addresses = self.table.iter();
        let is_likely =
            self.slaac.as_ref().is_some_and(Slaac::is_waiting) || self.dhcp.as_ref().is_some_and(Dhcp::is_waiting);
        let is_decided = addresses.all(|entry| entry.state != Address::Tentative);
        let has_been_given = self.table.iter().any(|entry| entry.origin != Origin::LinkLocal && is_usable(entry));
        self.is_settled = is_decided && (has_chosen || (has_been_given && !is_likely));
    }

    #[cfg(test)]
    pub(super) fn state_of(&self, address: IpAddr) -> Option<Address> {
        self.table.get(address).map(|entry| entry.state)
    }

    fn has(&self, origin: Origin) -> bool {
        self.table.iter().any(|entry| entry.origin == origin && is_usable(entry))
    }
}

fn is_usable(entry: &Entry) -> bool {
    matches!(entry.state, Address::Preferred | Address::Deprecated | Address::Conflict { .. })
}

impl Stack {
    /// Gives the stack an address, at any time. It is asked about first, for as long as the settings say, and then
    /// used. `origin` says who wants it, `lifetime` how long it lasts.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`] if it is ours already.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tapsock::config::Config;
    /// use tapsock::observe::{NoObserver, Time};
    /// use tapsock::pipe::Doorbell;
    /// use tapsock::stack::{Frames, Lifetime, Origin, Stack};
    ///
    /// let config = Config { probe: Duration::ZERO, ..Config::default() };
    /// let mut stack = Stack::new(config, 1500, [7; 32], Doorbell::default());
    /// let mut out = Frames::new();
    /// let second = "192.168.69.2/24".parse()?;
    /// stack.add_address(Time::ZERO, second, Origin::Chosen, Lifetime::FOREVER, &mut out, &mut NoObserver)?;
    /// assert_eq!(out.len(), 1, "it is announced");
    /// stack.remove_address(Time::ZERO, "192.168.69.2".parse()?, &mut NoObserver)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_address(
        &mut self,
        now: Time,
        cidr: Cidr,
        origin: Origin,
        lifetime: Lifetime,
        out: &mut Frames,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let sent = out.len();
        self.join(now, cidr, origin, lifetime, out)?;
        self.show_frames(now, sent, out, observer);
        self.take_link_notices(now, out, observer);
        Ok(())
    }

    /// Takes an address from the stack. Connections from it end with the next step; sockets that are bound to it stay
    /// and cannot send.
    ///
    /// # Errors
    ///
    /// [`Error::AddressNotAvailable`] if it is not ours.
    pub fn remove_address(&mut self, now: Time, address: IpAddr, observer: &mut dyn Observer) -> Result<()> {
        self.autoconf.table.get(address).ok_or(Error::AddressNotAvailable)?;
        self.leave(now, address);
        self.show_news(now, observer);
        Ok(())
    }

    /// What was asked for and is still missing.
    pub fn awaited(&self) -> Awaited {
        Awaited {
            dhcp: self.config.dhcp && !self.autoconf.has(Origin::Leased),
            slaac: self.config.slaac && !self.autoconf.has(Origin::Advertised),
        }
    }

    pub(super) fn join(
        &mut self,
        now: Time,
        cidr: Cidr,
        origin: Origin,
        lifetime: Lifetime,
        out: &mut Frames,
    ) -> Result<()> {
        if !self.autoconf.table.add(cidr, origin, lifetime) {
            return Err(Error::AddressInUse);
        }
        self.ip.add_address(cidr);
        if self.is_linked {
            self.link.add_address(now, cidr.address(), self.config.probe, out);
        } else {
            self.address_changed(now, cidr.address(), Address::Preferred, out);
        }
        Ok(())
    }

    fn leave(&mut self, now: Time, address: IpAddr) {
        if self.autoconf.table.remove(address).is_some() {
            self.link.remove_address(address);
            self.ip.remove_address(address);
            self.transport.address_gone(address);
            self.sockets.address_gone(now, address, &mut self.transport);
            self.autoconf.news.push(Event::Address { address, state: Address::Removed });
        }
    }

    /// Takes what the link has to say, and shows the frames that follow from it.
    pub(super) fn take_link_notices(&mut self, now: Time, out: &mut Frames, observer: &mut dyn Observer) {
        let mut sent = out.len();
        while self.link.has_notices() {
            let notices: Vec<Notice> = self.link.notices().collect();
            for notice in notices {
                self.take_link_notice(now, notice, out);
            }
            self.trail.tell_notes(observer);
            self.show_frames(now, sent, out, observer);
            sent = out.len();
        }
        self.show_news(now, observer);
    }

    fn take_link_notice(&mut self, now: Time, notice: Notice, out: &mut Frames) {
        match notice {
            Notice::Address { address, state } => self.address_changed(now, address, state, out),
            Notice::Contested { address, .. } => {
                // What was only lent is let go (RFC 5227 §2.4 (b)); what a person chose is kept.
                if self.autoconf.table.get(address).is_some_and(|entry| entry.origin == Origin::Leased) {
                    self.decline(now, out);
                }
            }
            Notice::Router(said) => {
                let Some(slaac) = &mut self.autoconf.slaac else { return };
                for change in slaac.receive(now, &said, &self.autoconf.table) {
                    self.change(now, change, out);
                }
            }
            Notice::NotRouter(address) => {
                if let Some(change) = self.autoconf.slaac.as_mut().and_then(|slaac| slaac.not_router(address)) {
                    self.change(now, change, out);
                }
            }
            Notice::Neighbour { address, state } => {
                if state == Neighbour::Failed {
                    self.ip.demote_gateway(address);
                }
                self.causes.neighbour = self.trail.note(now, Event::Neighbour { address, state });
            }
            Notice::Undelivered { packet, .. } => {
                self.counters.count(Rule::NeighbourFailed);
                if let Some(error) = self.ip.undelivered(&packet) {
                    let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
                    let fate = self.transport.receive_error(now, &error, &mut below);
                    if self.follows() {
                        self.follow_error(&fate, self.causes.neighbour);
                    }
                }
            }
        }
    }

    fn address_changed(&mut self, now: Time, address: IpAddr, state: Address, out: &mut Frames) {
        self.ip.set_address_state(address, state);
        self.autoconf.news.push(Event::Address { address, state });
        let Some(&Entry { origin, state: old, .. }) = self.autoconf.table.get(address) else { return };
        if old != Address::Deprecated || !matches!(state, Address::Conflict { .. }) {
            self.autoconf.table.set_state(address, state);
        }
        let is_link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        match state {
            Address::Preferred if origin == Origin::Leased => {
                if let Some(action) = self.autoconf.dhcp.as_mut().and_then(Dhcp::checked) {
                    self.act(now, action, out);
                }
            }
            Address::Preferred if is_link_local => {
                if let Some(slaac) = &mut self.autoconf.slaac {
                    slaac.begin(now);
                }
            }
            Address::Duplicate { .. } if origin == Origin::Leased => self.decline(now, out),
            Address::Duplicate { owner } => {
                if origin != Origin::Advertised {
                    self.duplicates.push((address, owner));
                }
                if let Some(slaac) = self.autoconf.slaac.as_mut().filter(|_| is_link_local) {
                    slaac.give_up();
                }
            }
            _ => {}
        }
    }

    /// Lets everything happen that is due.
    pub(super) fn poll_autoconf(&mut self, now: Time, out: &mut Frames) {
        while let Some(due) = self.autoconf.table.due(now) {
            match due {
                Due::Deprecated(address) => self.set_state(address, Address::Deprecated),
                Due::Expired(address) => self.leave(now, address),
            }
        }
        while let Some(change) = self.autoconf.slaac.as_mut().and_then(|slaac| slaac.due(now)) {
            self.change(now, change, out);
        }
        while let Some(action) = self.autoconf.dhcp.as_mut().and_then(|dhcp| dhcp.due(now, &mut self.rng)) {
            self.act(now, action, out);
        }
    }

    fn set_state(&mut self, address: IpAddr, state: Address) {
        self.autoconf.table.set_state(address, state);
        self.ip.set_address_state(address, state);
        self.autoconf.news.push(Event::Address { address, state });
    }

    /// Does what a router's word, or the end of its word, demands.
    fn change(&mut self, now: Time, change: Change, out: &mut Frames) {
        match change {
            Change::Solicit => {
                if let Ok(hop) = self.ip.route(ALL_ROUTERS)
                    && let IpAddr::V6(source) = hop.source
                {
                    self.link.solicit_routers(source, out);
                }
            }
            Change::Router { address, lifetime } => {
                self.ip.add_gateway(address.into());
                let state = Router::Learned { lifetime: Some(lifetime) };
                self.autoconf.news.push(Event::Router { address: address.into(), state });
            }
            Change::NoRouter(address) => self.lose_router(address.into()),
            Change::OnLink(prefix) => self.ip.set_on_link(prefix, true),
            Change::OffLink(prefix) => self.ip.set_on_link(prefix, false),
            Change::NewAddress { cidr, lifetime } => {
                // It cannot be ours yet: the table was asked.
                let _ = self.join(now, cidr, Origin::Advertised, lifetime, out);
            }
            Change::Lifetime { address, lifetime } => {
                if self.autoconf.table.extend(now, address, lifetime) {
                    self.set_state(address, Address::Preferred);
                }
            }
            Change::Mtu(mtu) => {
                self.ip.set_mtu6(mtu);
            }
            Change::Times { reachable, retransmit } => self.link.set_neighbour_times(reachable, retransmit),
            Change::Ignored => self.counters.count(Rule::NdpLearnLimit),
        }
    }

    fn lose_router(&mut self, address: IpAddr) {
        // A person's gateway stays, whoever else knows it.
        if !self.config.gateways.contains(&address) && self.ip.remove_gateway(address) {
            self.autoconf.news.push(Event::Router { address, state: Router::Lost });
        }
    }

    /// The DHCP message in this packet, if one is awaited: it may be sent to an address that is not ours yet.
    pub(super) fn receive_dhcp(&mut self, now: Time, packet: &[u8], out: &mut Frames) -> Option<Fate> {
        let dhcp = self.autoconf.dhcp.as_mut().filter(|dhcp| dhcp.is_listening())?;
        let message = dhcp::carried(packet)?;
        let rule = match dhcp.receive(now, message, &mut self.rng) {
            Ok((rule, action)) => {
                if let Some(action) = action {
                    self.act(now, action, out);
                }
                rule
            }
            Err(rule) => rule,
        };
        Some(Fate::nobody(rule))
    }

    fn decline(&mut self, now: Time, out: &mut Frames) {
        let actions = self.autoconf.dhcp.as_mut().and_then(|dhcp| dhcp.taken(now, &mut self.rng));
        for action in actions.into_iter().flatten() {
            self.act(now, action, out);
        }
    }

    /// Gives a leased address back, because the stack stops.
    pub(super) fn release_lease(&mut self, now: Time, out: &mut Frames) {
        if let Some(action) = self.autoconf.dhcp.as_mut().and_then(|dhcp| dhcp.release(now, &mut self.rng)) {
            self.act(now, action, out);
        }
    }

    /// Does what the DHCP client wants.
    fn act(&mut self, now: Time, action: Action, out: &mut Frames) {
        match action {
            Action::Send { packet, to, rule } => {
                // A server that has become unreachable may still hear a broadcast.
                let next_hop =
                    self.ip.route(to.into()).map_or(std::net::Ipv4Addr::BROADCAST.into(), |hop| hop.next_hop);
                let fate = Fate::nobody(rule);
                let sent =
                    self.link.send(now, next_hop, packet.len(), fate, out, |bytes| bytes.copy_from_slice(&packet));
                if let Err(rule) = sent {
                    self.counters.count(rule);
                }
            }
            Action::Check(lease) => {
                self.lease_news(&lease, Lease::Obtained { duration: lease.duration });
                if self.join(now, lease.cidr, Origin::Leased, Lifetime::FOREVER, out).is_err() {
                    // A person chose the very address: the server must not give it to anybody.
                    self.decline_unused(now, out);
                }
            }
            Action::Use(lease) => self.use_router(&lease),
            Action::Extend { old, new } => {
                self.lease_news(&new, Lease::Renewed { duration: new.duration });
                if old.router != new.router {
                    if let Some(router) = old.router {
                        self.lose_router(router.into());
                    }
                    self.use_router(&new);
                }
            }
            Action::Leave { lease, why } => {
                self.lease_news(&lease, why);
                self.leave(now, lease.address.into());
                if let Some(router) = lease.router {
                    self.lose_router(router.into());
                }
            }
        }
    }

    /// Declines an address without letting go of the one of the same name that we have otherwise.
    fn decline_unused(&mut self, now: Time, out: &mut Frames) {
        let actions = self.autoconf.dhcp.as_mut().and_then(|dhcp| dhcp.taken(now, &mut self.rng));
        if let Some([decline, _]) = actions {
            self.act(now, decline, out);
        }
    }

    fn use_router(&mut self, lease: &dhcp::Lease) {
        if let Some(router) = lease.router {
            self.ip.add_gateway(router.into());
            let state = Router::Learned { lifetime: None };
            self.autoconf.news.push(Event::Router { address: router.into(), state });
        }
    }

    fn lease_news(&mut self, lease: &dhcp::Lease, state: observe::Lease) {
        let (address, server) = (lease.address.into(), lease.server.into());
        self.autoconf.news.push(Event::Lease { address, server, state });
    }

    fn show_news(&mut self, now: Time, observer: &mut dyn Observer) {
        for event in self.autoconf.news.drain(..) {
            self.trail.tell(now, event, observer);
        }
    }
}
