//! Is anybody there? What `ping` does, in a few lines.
//!
//! ```text
//! cargo run --example ping
//! ```
//!
//! An echo socket sends ICMP echo requests and receives the replies to them. It has no port: what tells its replies from
//! those of others is the identifier in each message, which the stack writes, and the checksum too. The sequence number
//! and the data are the program's. See a host that answers, and one that does not exist.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use tapsock::config::Config;
use tapsock::net::{Builder, IcmpSocket, Stack};

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

fn host(address: &str, number: u8) -> Result<Builder, Box<dyn Error>> {
    let mut config = Config { addresses: vec![address.parse()?], ..Config::default() };
    config.mac.0[5] = number;
    Ok(Stack::builder().config(config))
}

fn ping(stack: &Stack, peer: IpAddr) -> Result<(), Box<dyn Error>> {
    let socket = IcmpSocket::bind(stack, "0.0.0.0:0".parse()?)?;
    socket.connect(peer)?;
    // Also what may pass is to be told: a host that does not answer now may do so later.
    socket.set_receive_errors(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    for sequence in 1..=3 {
        // Type, code, two bytes of checksum, two of identifier, two of sequence number, and data.
        let mut request = vec![ECHO_REQUEST, 0, 0, 0, 0, 0, 0, sequence];
        request.extend_from_slice(b"anybody there?");
        socket.send(&request)?;
        let mut reply = [0; 1500];
        match socket.recv_message(&mut reply) {
            Ok(message) => {
                assert_eq!((reply[0], reply[7]), (ECHO_REPLY, sequence));
                let hops = message.hop_limit.unwrap_or_default();
                println!("{} bytes from {}: icmp_seq={sequence} ttl={hops}", message.count, message.peer.ip());
            }
            Err(error) if error.kind() == ErrorKind::HostUnreachable => {
                println!("{peer}: host unreachable");
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (left, right) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    left.wait_ready()?;
    right.wait_ready()?;
    ping(&left, "10.0.0.2".parse()?)?;
    ping(&left, "10.0.0.3".parse()?)?;
    left.shut_down();
    right.shut_down();
    Ok(())
}
