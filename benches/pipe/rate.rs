//! How many connections a second come and go: connect, accept, close of both ends, in one process.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tapsock::net::{self, Stack};

/// How many are asked for before the first is accepted.
pub const OUTSTANDING: usize = 64;

/// The kernel's on 127.0.0.1, `outstanding` at a time: its connect does not wait for accept.
///
/// # Errors
///
/// If one of them fails.
pub fn kernel(outstanding: usize, span: Duration) -> io::Result<f64> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (began, mut count) = (Instant::now(), 0);
    let mut ends = Vec::with_capacity(2 * outstanding);
    while began.elapsed() < span {
        for _ in 0..outstanding {
            ends.push(std::net::TcpStream::connect(address)?);
        }
        for _ in 0..outstanding {
            ends.push(listener.accept()?.0);
        }
        ends.clear();
        count += outstanding;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Ours, one at a time: the program and the engine are a thread each.
///
/// # Errors
///
/// If one of them fails.
pub fn one_at_a_time(span: Duration) -> io::Result<f64> {
    let stack = Stack::builder().loopback_only().map_err(io::Error::other)?;
    let listener = net::TcpListener::bind(&stack, SocketAddr::from(([127, 0, 0, 1], 80)))?;
    let address = listener.local_addr()?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < span {
        let client = net::TcpStream::connect(&stack, address)?;
        let (server, _) = listener.accept()?;
        drop((client, server));
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    stack.shut_down();
    Ok(rate)
}

/// Ours, [`OUTSTANDING`] at a time: all are asked for before the first is accepted.
///
/// # Errors
///
/// If one of them fails.
pub fn outstanding(span: Duration) -> io::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let stack = Stack::builder().loopback_only().map_err(io::Error::other)?;
    let rate = runtime.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let listener = net::tokio::TcpListener::bind(&stack, address).await?;
        let (began, mut count) = (Instant::now(), 0);
        let (mut clients, mut servers) = (tokio::task::JoinSet::new(), Vec::new());
        while began.elapsed() < span {
            for _ in 0..OUTSTANDING {
                let stack = stack.clone();
                clients.spawn(async move { net::tokio::TcpStream::connect(&stack, address).await });
            }
            for _ in 0..OUTSTANDING {
                servers.push(listener.accept().await?.0);
            }
            while let Some(client) = clients.join_next().await {
                client.map_err(io::Error::other)??;
            }
            servers.clear();
            count += OUTSTANDING;
        }
        io::Result::Ok(count as f64 / began.elapsed().as_secs_f64())
    })?;
    stack.shut_down();
    Ok(rate)
}
