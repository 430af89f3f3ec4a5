//! Where a stack is: the flags that the daemon and the tools share.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::config::{Chosen, Cidr, Config, Invalid, Limits, Loopback, Mac};
use crate::tools::attach::Attachment;

/// A TAP, and a stack on it.
#[derive(Debug, Args)]
pub struct Network {
    /// The TAP to attach to: it exists and is up (scripts/tap-up.sh)
    #[arg(long, value_name = "NAME", default_value = "tap0")]
    pub tap: String,

    /// An address of the stack with its prefix length, dhcp or slaac; may be given several times
    ///
    /// The host needs another address of the same network on its side of the TAP. dhcp asks a DHCP server there for an
    /// IPv4 address and a gateway; slaac makes IPv6 addresses from what a router there advertises. What is given here
    /// replaces the defaults of both families.
    #[arg(long = "addr", value_name = "CIDR|dhcp|slaac", default_values_t = default_addresses())]
    pub addresses: Vec<Address>,

    /// Where packets for other networks go: one address of each family
    ///
    /// Usually the host's side of the TAP, 192.168.69.100; tap-up.sh --masquerade lets them out.
    #[arg(long = "gateway", value_name = "IP")]
    pub gateways: Vec<IpAddr>,

    /// The stack's Ethernet address
    #[arg(long, default_value_t = Config::default().mac)]
    pub mac: Mac,

    /// How long to ask whether somebody has an address before it is used; 0 uses it at once
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub probe: u64,

    /// How sockets of the stack reach each other, at 127.0.0.1, ::1 or its own addresses: fast or wire
    ///
    /// fast joins the two programs' pipes, and no packet exists. wire builds, checksums, traces, parses and verifies
    /// each packet: see it with -v, marked lo. Neither ever reaches the TAP.
    #[arg(long, value_name = "fast|wire", default_value_t)]
    pub loopback: Loopback,

    /// A bound other than its default; may be given several times ('tapsock limits' lists them)
    ///
    /// Values may end in K, M or G: --limit syn-entries=4K --limit reassembly-bytes=16M
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<Chosen>,
}

/// Where an address comes from, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// A person.
    Fixed(Cidr),
    /// A DHCP server.
    Dhcp,
    /// Router advertisements.
    Slaac,
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Address, Invalid> {
        match text {
            "dhcp" => Ok(Address::Dhcp),
            "slaac" => Ok(Address::Slaac),
            text if text.contains('/') => text.parse().map(Address::Fixed),
            text => Err(Invalid(format!(
                "'{text}' is not an address with a prefix; write it like 192.168.69.1/24 or fd69::1/64, or say dhcp or slaac"
            ))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Fixed(cidr) => cidr.fmt(f),
            Address::Dhcp => f.write_str("dhcp"),
            Address::Slaac => f.write_str("slaac"),
        }
    }
}

fn default_addresses() -> Vec<Address> {
    Config::default().addresses.into_iter().map(Address::Fixed).collect()
}

impl From<Network> for Attachment {
    fn from(arguments: Network) -> Attachment {
        let fixed = arguments.addresses.iter().filter_map(|&address| match address {
            Address::Fixed(cidr) => Some(cidr),
            Address::Dhcp | Address::Slaac => None,
        });
        let fixed = fixed.collect();
        let mut limits = Limits::default();
        for chosen in &arguments.limits {
            chosen.apply(&mut limits);
        }
        Attachment {
            tap: arguments.tap,
            config: Config {
                addresses: fixed,
                dhcp: arguments.addresses.contains(&Address::Dhcp),
                slaac: arguments.addresses.contains(&Address::Slaac),
                gateways: arguments.gateways,
                mac: arguments.mac,
                probe: Duration::from_millis(arguments.probe),
                loopback: arguments.loopback,
                limits,
                ..Config::default()
            },
        }
    }
}
