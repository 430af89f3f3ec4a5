//! One function, three roads: without any network, to this host, and to another host.
//!
//! ```text
//! cargo run --example one_api
//! ```
//!
//! The same calls in the same order: socket, bind, listen, connect, accept, send, recv. What changes is one argument, the
//! address, and with it the road: a name in no network at all; a short cut inside one stack; packets on a wire. See how
//! many frames each of them took.
#![allow(clippy::print_stdout)]

use std::error::Error;

use tapsock::config::{Config, Mac};
use tapsock::net::{Builder, Domain, SockAddr, Socket, Stack, Type, UnixAddress};
use tapsock::observe::Rule;
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

/// How many frames a host has sent for its programs until now. That it has an address it announces by itself.
fn frames(stack: &Stack) -> u64 {
    block_on(stack.counters(), None).map_or(0, |sent| sent.frames_out - sent.sent_by(Rule::ArpAnnounce))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    here.wait_ready()?;
    there.wait_ready()?;

    // The wire comes last: the two ends of a connection go on to say goodbye when their programs have gone.
    let roads: [(&str, &Stack, Domain, SockAddr); 3] = [
        ("no network", &here, Domain::Unix, SockAddr::Unix(UnixAddress::Abstract(b"greeter".to_vec().into()))),
        ("this host", &here, Domain::Inet, SockAddr::Inet("10.0.0.1:4951".parse()?)),
        ("another host", &there, Domain::Inet, SockAddr::Inet("10.0.0.1:4950".parse()?)),
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
