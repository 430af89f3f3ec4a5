//! Datagrams to and from groups, and the options of a UDP socket about them.
//!
//! A socket gets what is sent to any group that the stack is in, if its address and port fit, whether it joined the
//! group itself or another socket did: Linux's IP_MULTICAST_ALL and IPV6_MULTICAST_ALL, which are on by default. Who
//! wants one group only binds to the group's address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Below, Bound, Transport};
use crate::error::{Error, Result};
use crate::ip::{Form, Outgoing, Packet};
use crate::observe::{Fate, Protocol, Rule, Time};

/// The options of one socket, with the defaults of `ip(7)`, `ipv6(7)` and RFC 1122 §3.3.6.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GroupOptions {
    pub(super) broadcast: bool,
    pub(super) v4: FamilyOptions,
    pub(super) v6: FamilyOptions,
}

/// Those that each family has for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct FamilyOptions {
    pub(super) loopback: bool,
    pub(super) hops: u8,
    /// From where groups are sent to, unless the socket is bound to an address (IP_MULTICAST_IF).
    pub(super) source: Option<IpAddr>,
}

impl Default for FamilyOptions {
    fn default() -> FamilyOptions {
        FamilyOptions { loopback: true, hops: 1, source: None }
    }
}

impl GroupOptions {
    pub(super) fn towards(&self, group: IpAddr) -> FamilyOptions {
        if group.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// One of the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOption {
    /// SO_BROADCAST: it may send to broadcast addresses.
    Broadcast(bool),
    /// IP_MULTICAST_LOOP: what it sends to groups is also for the sockets of this stack.
    LoopbackV4(bool),
    /// IPV6_MULTICAST_LOOP.
    LoopbackV6(bool),
    /// IP_MULTICAST_TTL: how many routers away groups are reached. 0: only on this stack.
    HopsV4(u8),
    /// IPV6_MULTICAST_HOPS.
    HopsV6(u8),
    /// IP_MULTICAST_IF: from which address of ours groups are sent to; `None`: from where the route begins.
    SourceV4(Option<Ipv4Addr>),
}

impl Transport {
    /// A datagram to a group goes to every socket that hears it. The fate names the first one, or one whose buffer is
    /// full.
    pub(super) fn deliver_to_all(
        &mut self,
        now: Time,
        packet: &Packet<'_>,
        covered: &[u8],
        local: SocketAddr,
        remote: SocketAddr,
        below: &mut Below<'_>,
    ) -> std::result::Result<Fate, Rule> {
        let mut members = std::mem::take(&mut self.members);
        members.extend(self.ports.hearers(Protocol::Udp, local).filter_map(|(owner, _)| match owner {
            Bound::Datagram(slot) if self.datagrams[slot].hears(remote) => Some(slot),
            _ => None,
        }));
        let mut told: Option<Fate> = None;
        for slot in members.drain(..) {
            let fate = self.deliver_to(now, slot, packet, covered, below);
            if fate.rule.is_some() || told.is_none() {
                told = Some(fate);
            }
        }
        self.members = members;
        told.ok_or(Rule::UdpNoSocketGroup)
    }

    /// What a socket has just sent to a group is for the members on this stack too (`ip(7)`, IP_MULTICAST_LOOP), since
    /// nobody on the link sends it back to us; with a hop count of 0, and from a loopback address, for nobody else.
    /// `is_looped`: the socket wants that.
    pub(super) fn loop_back(&mut self, group: IpAddr, source: IpAddr, is_looped: bool, below: &mut Below<'_>) {
        let Some(Outgoing { packet, fate, form }) = below.packets.last() else { return };
        let hops = packet.get(if group.is_ipv4() { 8 } else { 7 });
        let is_kept = group.is_multicast() && (hops == Some(&0) || source.is_loopback());
        let copy = &mut self.scratch;
        copy.clear();
        copy.extend_from_slice(packet);
        if is_kept {
            below.packets.pop();
        }
        if below.ip.is_member(group) && (is_looped || !group.is_multicast()) && below.ip.complete(copy, form).is_ok() {
            below.packets.push_as(copy.len(), fate, Form::Looped, |packet| packet.copy_from_slice(copy));
        }
    }

    /// IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is no multicast address; [`Error::FamilyNotSupported`] if it is of another family
    /// than the socket; [`Error::AddressInUse`] if the socket has joined it; [`Error::NoBufferSpace`] if the socket or
    /// the stack is in as many groups as it may be.
    pub fn join_group(&mut self, now: Time, slot: usize, group: IpAddr, below: &mut Below<'_>) -> Result<()> {
        let socket = &mut self.datagrams[slot];
        check_group(group, socket.local)?;
        if socket.groups.contains(&group) {
            return Err(Error::AddressInUse);
        }
        if socket.groups.len() >= self.limits.groups_per_socket {
            return Err(Error::NoBufferSpace);
        }
        below.ip.join_group(now, group)?;
        socket.groups.push(group);
        Ok(())
    }

    /// IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`], [`Error::FamilyNotSupported`]; [`Error::AddressNotAvailable`] if the socket has not
    /// joined it.
    pub fn leave_group(&mut self, now: Time, slot: usize, group: IpAddr, below: &mut Below<'_>) -> Result<()> {
        let socket = &mut self.datagrams[slot];
        check_group(group, socket.local)?;
        let place = socket.groups.iter().position(|&other| other == group).ok_or(Error::AddressNotAvailable)?;
        socket.groups.swap_remove(place);
        below.ip.leave_group(now, group);
        Ok(())
    }

    /// Sets an option of a UDP socket.
    pub fn set_group_option(&mut self, slot: usize, option: GroupOption) {
        let options = &mut self.datagrams[slot].options;
        match option {
            GroupOption::Broadcast(broadcast) => options.broadcast = broadcast,
            GroupOption::LoopbackV4(loopback) => options.v4.loopback = loopback,
            GroupOption::LoopbackV6(loopback) => options.v6.loopback = loopback,
            GroupOption::HopsV4(hops) => options.v4.hops = hops,
            GroupOption::HopsV6(hops) => options.v6.hops = hops,
            GroupOption::SourceV4(source) => options.v4.source = source.map(IpAddr::V4),
        }
    }
}

pub(super) fn check_group(group: IpAddr, local: SocketAddr) -> Result<()> {
    if !group.is_multicast() {
        return Err(Error::InvalidInput);
    }
    if group.is_ipv4() != local.is_ipv4() { Err(Error::FamilyNotSupported) } else { Ok(()) }
}
