//! A letter box: datagrams come, or do not, and nobody has to call first.
//!
//! ```text
//! cargo run --example udp_talker_listener
//! ```
//!
//! TCP is a telephone: somebody must pick up, and then there is one long talk. UDP is the post: each datagram is a letter
//! with the sender's address on it. See that a letter stays whole, that an empty one is one too, that one socket hears
//! from several senders, and what comes back from a house where nobody lives: the post returns it (an ICMP error), if
//! the sender has said, by `connect`, to whom it writes.
#![allow(clippy::print_stdout)]

use std::error::Error;

use tapsock::net::{Stack, UdpSocket};

fn main() -> Result<(), Box<dyn Error>> {
    // A host without a cable: only its own programs reach each other.
    let stack = Stack::builder().loopback_only()?;
    let listener = UdpSocket::bind(&stack, "127.0.0.1:4950".parse()?)?;
    let ann = UdpSocket::bind(&stack, "127.0.0.1:0".parse()?)?;
    let bob = UdpSocket::bind(&stack, "127.0.0.1:0".parse()?)?;

    ann.send_to(b"the first letter", listener.local_addr()?)?;
    ann.send_to(b"", listener.local_addr()?)?;
    bob.send_to(b"a letter of Bob's", listener.local_addr()?)?;

    let mut buffer = [0; 1500];
    for _ in 0..3 {
        let (length, sender) = listener.recv_from(&mut buffer)?;
        let name = if sender == ann.local_addr()? { "Ann" } else { "Bob" };
        println!("{length:2} bytes from {name}: \"{}\"", String::from_utf8_lossy(&buffer[..length]));
        listener.send_to(b"thank you", sender)?;
    }
    // Two thanks wait for Ann, one for each letter. A buffer that is too small loses the rest of a letter.
    let length = ann.recv(&mut buffer[..5])?;
    println!("Ann reads only the first {length} bytes: \"{}\"", String::from_utf8_lossy(&buffer[..length]));
    let length = ann.recv(&mut buffer)?;
    println!("Ann reads the next letter whole: \"{}\"", String::from_utf8_lossy(&buffer[..length]));

    ann.connect("127.0.0.1:4951".parse()?)?;
    ann.send(b"is anybody there?")?;
    match ann.recv(&mut buffer) {
        Err(error) => println!("nobody lives at port 4951: {}", error.kind()),
        Ok(length) => println!("{length} bytes from nobody"),
    }
    stack.shut_down();
    Ok(())
}
