//! One function, three domains: to another host, to this host, and without any network.
//!
//! ```text
//! cargo run --example one_api
//! ```
//!
//! The same calls in the same order: socket, bind, listen, connect, accept, send, recv. What changes is one argument, the
//! address, and with it the road: packets on a wire; a short cut inside one stack; a name in no network at all. See how
//! many frames each of them took.
#![allow(clippy::print_stdout)]

use std::error::Error;

use tapsock::config::{Config, Mac};
use tapsock::net::{Builder, Domain, SockAddr, Socket, Stack, Type, UnixAddress};
use tapsock::pipe::wait::block_on;

fn host(address: &str, mac: u8) -> Result<Builder, Box<dyn Error>> {
    let config = Config { addresses: vec![address.parse()?], mac: Mac([2, 0, 0, 0, 0, mac]), ..Config::default() };
    Ok(Stack::builder().config(config))
}

/// One program waits at `address`, another calls it and says hello.
fn talk(server: &Stack, client: &Stack, domain: Domain, address: &SockAddr) -> Result<String, Box<dyn Error>> {
    let listener = Socket::new(server, domain, Type::Stream, None)?;
    listener.bind(address)?;
    listener.listen(1)?;

    let caller = Socket::new(client, domain, Type::Stream, None)?;
    caller.connect(address)?;
    let (answerer, _who) = listener.accept()?;

    caller.send(b"hello")?;
    let mut buffer = [0; 16];
    let count = answerer.recv(&mut buffer)?;
    Ok(format!("{} heard \"{}\"", answerer.local_addr()?, String::from_utf8_lossy(&buffer[..count])))
}

/// How many frames a host has sent until now.
fn frames(stack: &Stack) -> u64 {
    block_on(stack.counters(), None).map_or(0, |counters| counters.frames_out)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    here.wait_ready()?;
    there.wait_ready()?;

    let roads: [(&str, &Stack, Domain, SockAddr); 3] = [
        ("another host", &there, Domain::Inet, SockAddr::Inet("10.0.0.1:4950".parse()?)),
        ("this host", &here, Domain::Inet, SockAddr::Inet("10.0.0.1:4951".parse()?)),
        ("no network", &here, Domain::Unix, SockAddr::Unix(UnixAddress::Abstract(b"greeter".to_vec().into()))),
    ];
    for (road, client, domain, address) in roads {
        let before = frames(&here) + frames(&there);
        let said = talk(&here, client, domain, &address)?;
        let sent = frames(&here) + frames(&there) - before;
        println!("{road:<13} {said:<28} {sent} frames");
    }
    here.shut_down();
    there.shut_down();
    Ok(())
}
