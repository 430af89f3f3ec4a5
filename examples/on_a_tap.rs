//! A host of your own on a TAP: the kernel and all its programs can reach it.
//!
//! ```text
//! sudo ./scripts/tap-up.sh --user $USER
//! cargo run --example on_a_tap
//! nc 192.168.69.1 4950            # in another terminal; and try: ping 192.168.69.1
//! ```
//!
//! See that the port, the address and even the answer to the ping are this program's, and that the kernel has no such
//! address. It serves until Ctrl-C.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Write;

use tapsock::net::{Stack, TcpListener};

fn main() -> Result<(), Box<dyn Error>> {
    let tap = std::env::args().nth(1).unwrap_or_else(|| "tap0".to_owned());
    let stack = Stack::builder().tap(&tap)?;
    stack.wait_ready()?;
    let listener = TcpListener::bind(&stack, "0.0.0.0:4950".parse()?)?;
    println!("waiting at {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        println!("{} calls", stream.peer_addr()?);
        // Who hangs up before we have greeted is no reason to stop.
        let _ = writeln!(stream, "Hello, {}! You came in through {tap}.", stream.peer_addr()?);
    }
    Ok(())
}
