//! One datagram for everybody on the wire.
//!
//! ```text
//! cargo run --example broadcaster
//! ```
//!
//! The last address of a network, 10.0.0.255 in 10.0.0.0/24, is nobody's: it means all of them. See that a socket must
//! ask for the right to shout (SO_BROADCAST), and that all who have bound the port hear it, on another host and on our
//! own, if each agreed to share the port.
#![allow(clippy::print_stdout)]

use std::error::Error;

use tapsock::config::{Config, Mac};
use tapsock::net::{Builder, Stack, UdpSocket};

fn host(address: &str, mac: u8) -> Result<Builder, Box<dyn Error>> {
    let config = Config { addresses: vec![address.parse()?], mac: Mac([2, 0, 0, 0, 0, mac]), ..Config::default() };
    Ok(Stack::builder().config(config))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    here.wait_ready()?;
    there.wait_ready()?;

    let listeners = [
        ("the first there", UdpSocket::bind_reusable(&there, "0.0.0.0:4950".parse()?)?),
        ("the second there", UdpSocket::bind_reusable(&there, "0.0.0.0:4950".parse()?)?),
    ];
    let shouter = UdpSocket::bind(&here, "10.0.0.1:0".parse()?)?;
    // The stack looks at a datagram when the program has gone on: what is wrong with it, the next call is told.
    shouter.send_to(b"may I?", "10.0.0.255:4950".parse()?)?;
    match shouter.recv(&mut [0; 16]) {
        Err(error) => println!("without SO_BROADCAST: {}", error.kind()),
        Ok(_) => println!("without SO_BROADCAST: somebody answers"),
    }
    shouter.set_broadcast(true)?;
    shouter.send_to(b"hear, hear!", "10.0.0.255:4950".parse()?)?;

    let mut buffer = [0; 1500];
    for (name, listener) in &listeners {
        let (length, sender) = listener.recv_from(&mut buffer)?;
        println!("{name} hears \"{}\" from {}", String::from_utf8_lossy(&buffer[..length]), sender.ip());
    }
    here.shut_down();
    there.shut_down();
    Ok(())
}
