//! Packets made by hand, and packets as they are on the wire: what `traceroute` does, by raw sockets.
//!
//! ```text
//! cargo run --example traceroute
//! ```
//!
//! A packet that may pass one router less than there are dies at the last of them, and that router says so. A packet that
//! arrives at a port where nobody listens is answered by the host itself. Between the two hosts of this example there is
//! a cable and no router, so the way is one hop long; `tapsock traceroute` shows longer ones.
//!
//! One raw socket sends UDP datagrams whose every byte is written here; it lets the stack make the IP header. Another one
//! hears ICMP, from the IP header on: see whose packet the error quotes.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::Ipv4Addr;

use tapsock::config::Config;
use tapsock::net::{Builder, Domain, Protocol, RawSocket, Stack};

/// Where nobody listens, as on most hosts.
const PORT: u16 = 33_434;
const DESTINATION_UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;

fn host(address: &str, number: u8) -> Result<Builder, Box<dyn Error>> {
    let mut config = Config { addresses: vec![address.parse()?], ..Config::default() };
    config.mac.0[5] = number;
    Ok(Stack::builder().config(config))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (left, right) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    left.wait_ready()?;
    right.wait_ready()?;
    let peer = "10.0.0.2".parse()?;

    let icmp = RawSocket::open(&left, Domain::Inet, Protocol::ICMP)?;
    let udp = RawSocket::open(&left, Domain::Inet, Protocol::UDP)?;
    for hops in 1..=30 {
        udp.set_ttl(hops)?;
        let [high, low] = PORT.to_be_bytes();
        // From port 4444, 8 bytes long, and no checksum, which UDP over IPv4 may leave out.
        udp.send_to(&[0x11, 0x5c, high, low, 0, 8, 0, 0], peer)?;

        let mut packet = [0; 1500];
        let (length, from) = icmp.recv_from(&mut packet)?;
        let header = usize::from(packet[0] & 0xf) * 4;
        let message = &packet[header..length];
        // Behind 8 bytes of ICMP stands the packet that the error is about, as it arrived there.
        let quoted = &message[8..];
        let destination = Ipv4Addr::new(quoted[16], quoted[17], quoted[18], quoted[19]);
        println!("{hops:2}  {from}: type {}, code {}, about a packet to {destination}", message[0], message[1]);
        match message[0] {
            TIME_EXCEEDED => {}
            DESTINATION_UNREACHABLE => break,
            _ => return Err("that was not about us".into()),
        }
    }
    left.shut_down();
    right.shut_down();
    Ok(())
}
