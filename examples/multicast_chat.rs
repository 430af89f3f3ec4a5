//! A chat without a server: a group is an address that one joins.
//!
//! ```text
//! cargo run --example multicast_chat
//! ```
//!
//! 239.1.2.3 belongs to no host. Who joins the group hears what is sent to it, and who speaks need not know who that is. See
//! that Bob hears nothing before he joins and
//! after he has left, and that Ann hears herself until she asks not to.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tapsock::config::{Config, Mac};
use tapsock::net::{Builder, Stack, UdpSocket};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const PORT: u16 = 4960;

fn host(address: &str, mac: u8) -> Result<Builder, Box<dyn Error>> {
    let config = Config { addresses: vec![address.parse()?], mac: Mac([2, 0, 0, 0, 0, mac]), ..Config::default() };
    Ok(Stack::builder().config(config))
}

/// Somebody at a keyboard. All of them share one port, as all listeners of one radio station share a frequency.
struct Person {
    name: &'static str,
    socket: UdpSocket,
}

impl Person {
    fn new(name: &'static str, stack: &Stack) -> io::Result<Person> {
        let socket = UdpSocket::bind_reusable(stack, SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(Person { name, socket })
    }

    fn join(&self) -> io::Result<()> {
        self.socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)
    }

    fn leave(&self) -> io::Result<()> {
        self.socket.leave_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)
    }

    fn say(&self, text: &str) -> io::Result<()> {
        self.socket.send_to(format!("{}: {text}", self.name).as_bytes(), SocketAddr::from((GROUP, PORT)))?;
        Ok(())
    }

    fn listen(&self) {
        let mut buffer = [0; 1500];
        match self.socket.recv(&mut buffer) {
            Ok(length) => println!("{} hears  {}", self.name, String::from_utf8_lossy(&buffer[..length])),
            Err(_) => println!("{} hears  nothing", self.name),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    here.wait_ready()?;
    there.wait_ready()?;
    let (ann, bob) = (Person::new("Ann", &here)?, Person::new("Bob", &there)?);
    let everybody = [&ann, &bob];

    ann.join()?;
    ann.say("hello, whoever is there")?;
    everybody.iter().for_each(|person| person.listen());

    println!("-- Bob joins");
    bob.join()?;
    ann.say("who is new?")?;
    everybody.iter().for_each(|person| person.listen());

    println!("-- Ann does not want to hear herself any more");
    ann.socket.set_multicast_loop_v4(false)?;
    ann.say("I am quiet now")?;
    everybody.iter().for_each(|person| person.listen());

    println!("-- Bob leaves");
    bob.leave()?;
    ann.say("where is everybody?")?;
    everybody.iter().for_each(|person| person.listen());
    bob.say("one need not be a member to speak")?;
    everybody.iter().for_each(|person| person.listen());

    here.shut_down();
    there.shut_down();
    Ok(())
}
