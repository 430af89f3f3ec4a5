//! Two hosts on one wire, and an echo between them.
//!
//! ```text
//! cargo run --example echo
//! ```
//!
//! A *server* waits at an address that it has told everybody: it binds, listens and accepts. A *client* comes from any
//! address and connects. After that the two ends are equal: both read and write. See that the server needs two sockets,
//! one that listens and one for each caller, and that the port of the client is nobody's choice.
//!
//! Each host is a whole TCP/IP stack. To watch their calls and the packets between them:
//! `RUST_LOG=tapsock=debug cargo run --example echo`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::thread;

use tapsock::cli::logging::{self, Verbosity};
use tapsock::config::{Config, Mac};
use tapsock::net::{Builder, Stack, TcpListener, TcpStream};
use tapsock::trace;

/// A host with this address, which tells the log what becomes of every packet.
fn host(address: &str, mac: u8) -> Result<Builder, Box<dyn Error>> {
    let config = Config { addresses: vec![address.parse()?], mac: Mac([2, 0, 0, 0, 0, mac]), ..Config::default() };
    Ok(Stack::builder().config(config).observer(Box::new(trace::Text::new())))
}

/// Serves one client: whatever comes in goes out again, until the client has nothing more to say.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, peer) = listener.accept()?;
    println!("server: {peer} calls");
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            println!("server: {peer} has said everything");
            return Ok(()); // dropping the stream closes it
        }
        stream.write_all(&buffer[..count])?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    logging::install(Verbosity::Warnings, None); // what RUST_LOG chooses
    let (left, right) = host("10.0.0.1/24", 1)?.pair(host("10.0.0.2/24", 2)?)?;
    // Each host asks first whether somebody else has its address.
    left.wait_ready()?;
    right.wait_ready()?;

    let listener = TcpListener::bind(&left, "10.0.0.1:7".parse()?)?;
    println!("server: waiting at {}", listener.local_addr()?);
    let server = thread::spawn(move || serve(&listener));

    let mut stream = TcpStream::connect(&right, "10.0.0.1:7".parse()?)?;
    println!("client: I am {}", stream.local_addr()?);
    stream.write_all(b"Hello, is there an echo?")?;
    // We hang up our half of the line. The server reads the end of the stream, and may still answer.
    stream.shutdown(Shutdown::Write)?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    println!("client: heard \"{heard}\"");

    server.join().map_err(|_| "the server panicked")??;
    left.shut_down();
    right.shut_down();
    Ok(())
}
