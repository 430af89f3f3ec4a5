//! Is anybody there? Echo requests, as `ping` sends them.
//!
//! ```text
//! cargo run --example ping
//! ```
//!
//! An echo is not for a program: the host itself answers it. So there is no port in it, but an identifier that tells the
//! replies of one `ping` from those of another; the socket has it where others have a port. See that a message goes and
//! comes with its 8 bytes of header, that checksum and identifier are the stack's work, and that nobody needs to listen.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tapsock::config::{Config, Mac};
use tapsock::net::{Builder, IcmpSocket, Stack};

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

fn host(address: &str, mac: u8) -> Result<Builder, Box<dyn Error>> {
    let config = Config { addresses: vec![address.parse()?], mac: Mac([2, 0, 0, 0, 0, mac]), ..Config::default() };
    Ok(Stack::builder().config(config))
}

/// Type, code, checksum, identifier, sequence number (RFC 792), and data.
fn request(sequence: u16) -> Vec<u8> {
    let mut message = vec![ECHO_REQUEST, 0, 0, 0, 0, 0];
    message.extend(sequence.to_be_bytes());
    message.extend(b"is anybody there?");
    message
}

fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    here.wait_ready()?;
    there.wait_ready()?;

    let socket = IcmpSocket::bind(&here, "0.0.0.0:0".parse()?)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let peer: IpAddr = "10.0.0.2".parse()?;
    for sequence in 1..=3 {
        let sent = Instant::now();
        socket.send_to(&request(sequence), peer)?;
        let mut buffer = [0; 1500];
        let (count, from) = socket.recv_from(&mut buffer)?;
        if let [ECHO_REPLY, _, _, _, _, _, high, low, data @ ..] = &buffer[..count] {
            let sequence = u16::from_be_bytes([*high, *low]);
            let text = String::from_utf8_lossy(data);
            println!("{count} bytes from {from}: seq {sequence}, \"{text}\", after {} µs", sent.elapsed().as_micros());
        }
    }
    here.shut_down();
    there.shut_down();
    Ok(())
}
