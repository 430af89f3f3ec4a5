//! Which way does a packet take? A traceroute by raw sockets.
//!
//! ```text
//! cargo run --example traceroute                                       # to a neighbour: one hop
//! cargo run --example traceroute -- tap0 192.168.69.100 192.0.2.1      # on a TAP, by a gateway, to a host
//! ```
//!
//! Every router takes one off a packet's time to live, and the one that comes to zero throws it away and says so to the
//! sender. So whoever sends packets with 1, 2, 3 … hears from every router in turn. A raw socket writes such packets
//! byte by byte, and another hears what ICMP says of them. See that the host at the end is known by its complaint: nobody
//! listens at the port.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tapsock::config::{Config, Mac};
use tapsock::net::{Domain, Protocol, RawSocket, Stack};

/// Where nobody listens: traceroute's own first port.
const PORT: u16 = 33_434;
const TIME_EXCEEDED: u8 = 11;
const UNREACHABLE: u8 = 3;

/// A UDP datagram: source port, destination port, length, checksum (0: none, RFC 768), and no data.
fn probe(hop: u16) -> [u8; 8] {
    let mut datagram = [0; 8];
    datagram[0..2].copy_from_slice(&40_000_u16.to_be_bytes());
    datagram[2..4].copy_from_slice(&(PORT + hop).to_be_bytes());
    datagram[4..6].copy_from_slice(&8_u16.to_be_bytes());
    datagram
}

/// What an ICMP error says, if it is about our probe: its type, and who sent it. The packet is as it was on the wire: an
/// IP header, the 8 bytes of ICMP, and then the beginning of the packet that the error is about.
fn complaint(packet: &[u8], hop: u16) -> Option<u8> {
    let header = |packet: &[u8]| packet.first().map(|first| usize::from(first & 15) * 4);
    let icmp = packet.get(header(packet)?..)?;
    let quoted = icmp.get(8..)?;
    let udp = quoted.get(header(quoted)?..)?;
    (udp.get(2..4)? == (PORT + hop).to_be_bytes()).then_some(icmp[0])
}

fn trace(stack: &Stack, target: Ipv4Addr) -> io::Result<()> {
    let sender = RawSocket::open(stack, Domain::Inet, Protocol::UDP)?;
    let errors = RawSocket::open(stack, Domain::Inet, Protocol::ICMP)?;
    errors.set_read_timeout(Some(Duration::from_secs(2)))?;
    for hop in 1..=30 {
        sender.set_ttl(hop.into())?;
        let sent = Instant::now();
        sender.send_to(&probe(hop), IpAddr::V4(target))?;
        let mut buffer = [0; 1500];
        loop {
            let Ok((count, from)) = errors.recv_from(&mut buffer) else {
                println!("{hop:2}  nobody complains");
                break;
            };
            let after = sent.elapsed().as_micros();
            match complaint(&buffer[..count], hop) {
                Some(TIME_EXCEEDED) => {
                    println!("{hop:2}  {from}  its time is up, after {after} µs");
                    break;
                }
                Some(UNREACHABLE) => {
                    println!("{hop:2}  {from}  arrived: nobody listens here, after {after} µs");
                    return Ok(());
                }
                _ => {} // about somebody else's packet
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [tap, gateway, target] = arguments.as_slice() {
        let config = Config { gateways: vec![gateway.parse()?], ..Config::default() };
        let stack = Stack::builder().config(config).tap(tap)?;
        stack.wait_ready()?;
        return Ok(trace(&stack, target.parse()?)?);
    }
    let host = |address: &str, mac| -> Result<_, Box<dyn Error>> {
        let config = Config { addresses: vec![address.parse()?], mac: Mac([2, 0, 0, 0, 0, mac]), ..Config::default() };
        Ok(Stack::builder().config(config))
    };
    let (here, there) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    here.wait_ready()?;
    there.wait_ready()?;
    trace(&here, Ipv4Addr::new(10, 0, 0, 2))?;
    here.shut_down();
    there.shut_down();
    Ok(())
}
