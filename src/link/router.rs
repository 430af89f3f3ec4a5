//! Router advertisements (RFC 4861 §4.2, §6.1.2): read and checked here, judged by the stack.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::ndp::{NeighbourMessage, Options, SOURCE_LINK_ADDRESS};
use super::{Frames, Link, Notice};
use crate::config::Cidr;
use crate::observe::{Rule, Time};

const PREFIX_INFORMATION: u8 = 3;
const MTU: u8 = 5;

/// Type, code, checksum, hop limit, flags, router lifetime, reachable time, retransmission timer.
const FIXED: usize = 16;

/// What a router said. Lengths, source and hop limit are right; whether the values make sense is not decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// Who said it: a link-local address.
    pub router: Ipv6Addr,
    /// How long it serves as a default router; zero: it does not.
    pub lifetime: Duration,
    /// How long a neighbour's answer is good for.
    pub reachable: Option<Duration>,
    /// How long to wait for a neighbour's answer.
    pub retransmit: Option<Duration>,
    /// The largest packet of the link.
    pub mtu: Option<u32>,
    /// The prefixes, in their order, as many as are wanted.
    pub prefixes: Vec<Prefix>,
}

/// A prefix information option (RFC 4861 §4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The network; bits beyond its length are zero.
    pub network: Cidr,
    /// Its hosts are on the link (L).
    pub on_link: bool,
    /// Addresses may be made from it (A).
    pub autonomous: bool,
    /// From now on; `None`: for ever.
    pub valid: Option<Duration>,
    /// From now on; `None`: for ever.
    pub preferred: Option<Duration>,
}

impl Prefix {
    /// Reads an option of four units; `None` if the prefix is longer than an address.
    fn read(option: &[u8; 32]) -> Option<Prefix> {
        let word = |at: usize| u32::from_be_bytes([option[at], option[at + 1], option[at + 2], option[at + 3]]);
        let seconds = |at| Some(word(at)).filter(|&s| s != u32::MAX).map(|s| Duration::from_secs(s.into()));
        let length = option[2];
        let octets: [u8; 16] = *option[16..].first_chunk()?;
        let mask = u128::MAX.checked_shl(128_u32.checked_sub(length.into())?).unwrap_or(0);
        let network = Ipv6Addr::from_bits(u128::from_be_bytes(octets) & mask);
        Some(Prefix {
            network: Cidr::new(network.into(), length)?,
            on_link: option[3] & 0x80 != 0,
            autonomous: option[3] & 0x40 != 0,
            valid: seconds(4),
            preferred: seconds(8),
        })
    }
}

impl Link {
    /// RFC 4861 §6.1.2. Gives a notice, and learns where the router is (§6.3.4).
    pub(super) fn router_advertisement(
        &mut self,
        now: Time,
        message: NeighbourMessage<'_>,
        out: &mut Frames,
    ) -> Result<Rule, Rule> {
        let most = self.heard_prefixes.ok_or(Rule::NdpUnused)?;
        if !message.source.is_unicast_link_local() {
            return Err(Rule::NdpRouterSource);
        }
        let (fixed, options) = message.body.split_at_checked(FIXED).ok_or(Rule::NdpMalformed)?;
        let link = self.link_address(options, SOURCE_LINK_ADDRESS)?;
        let milliseconds = |at: usize| {
            let value = u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
            Some(Duration::from_millis(value.into())).filter(|span| !span.is_zero())
        };
        let mut advertisement = RouterAdvertisement {
            router: message.source,
            lifetime: Duration::from_secs(u16::from_be_bytes([fixed[6], fixed[7]]).into()),
            reachable: milliseconds(8),
            retransmit: milliseconds(12),
            mtu: None,
            prefixes: Vec::new(),
        };
        for option in Options(options) {
            let option = option?;
            match (option[0], option) {
                // What is malformed inside is ignored as an option; the message stands (RFC 4861 §4.6).
                (PREFIX_INFORMATION, option) if advertisement.prefixes.len() < most => {
                    advertisement.prefixes.extend(option.try_into().ok().and_then(Prefix::read));
                }
                (MTU, &[_, 1, _, _, a, b, c, d]) => advertisement.mtu = Some(u32::from_be_bytes([a, b, c, d])),
                _ => {}
            }
        }
        let router = IpAddr::V6(message.source);
        if let (Some(mac), Some(ours)) = (link, self.addresses.source(None, false)) {
            let (_, waiting) = self.neighbours.heard(now, router, mac, Some(ours), &mut self.notices);
            self.release(router, mac, waiting, out);
        }
        self.notices.push(Notice::Router(Box::new(advertisement)));
        Ok(Rule::NdpRouter)
    }
}
