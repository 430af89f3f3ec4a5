//! One thread, one server, many clients.
//!
//! ```text
//! cargo run --example select_server
//! ```
//!
//! A server with a thread for each client is easy to write. This one has a single thread, and never waits for one client
//! alone: a poller tells it which sockets have something to say, and it looks at those (`select(2)`, `poll(2)`,
//! `epoll(7)`). See that the listener is in the poller like everybody else: it is ready when somebody calls.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::thread;

use tapsock::net::{Event, Interest, Poller, Stack, TcpListener, TcpStream, Trigger};

const CLIENTS: usize = 40;
const LISTENER: u64 = 0;

/// Echoes until as many clients have come and gone as it was told; gives the most that were there at once.
fn serve(listener: &TcpListener, expected: usize) -> io::Result<usize> {
    let poller = Poller::new();
    poller.register(listener, LISTENER, Interest::Readable, Trigger::Level)?;
    let mut clients: HashMap<u64, TcpStream> = HashMap::new();
    let (mut next, mut gone, mut most) = (LISTENER + 1, 0, 0);
    let mut events: Vec<Event> = Vec::new();
    while gone < expected {
        poller.wait(&mut events, None)?;
        for event in &events {
            if event.key == LISTENER {
                let (stream, _) = listener.accept()?;
                poller.register(&stream, next, Interest::Readable, Trigger::Level)?;
                clients.insert(next, stream);
                next += 1;
                most = most.max(clients.len());
            } else if let Some(stream) = clients.get_mut(&event.key) {
                let mut buffer = [0; 64];
                match stream.read(&mut buffer)? {
                    // Dropping the socket closes it, and takes it out of the poller.
                    0 => {
                        clients.remove(&event.key);
                        gone += 1;
                    }
                    count => stream.write_all(&buffer[..count])?,
                }
            }
        }
    }
    Ok(most)
}

fn main() -> Result<(), Box<dyn Error>> {
    let stack = Stack::builder().loopback_only()?;
    let listener = TcpListener::bind(&stack, "127.0.0.1:7".parse()?)?;
    let server = thread::spawn(move || serve(&listener, CLIENTS));

    // They all come before the first one goes.
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = TcpStream::connect(&stack, "127.0.0.1:7".parse()?)?;
        stream.write_all(format!("client {number}").as_bytes())?;
        clients.push(stream);
    }
    let mut right = 0;
    for (number, stream) in clients.iter_mut().enumerate() {
        let said = format!("client {number}");
        let mut heard = vec![0; said.len()];
        stream.read_exact(&mut heard)?;
        right += usize::from(heard == said.as_bytes());
    }
    println!("{right} of {CLIENTS} clients heard what they had said");
    drop(clients);

    let most = server.join().map_err(|_| "the server panicked")??;
    println!("one thread served {most} at once");
    stack.shut_down();
    Ok(())
}
