//! Very many connections from the kernel, and very many at once.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::host::{Host, V4};
use crate::namespace::alone;

const AT_ONCE: usize = 1000;
const EACH: usize = 10;

/// A SYN that is lost is sent again after 1, 3 and 7 seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection that carries a byte there and back, and is closed.
async fn connection(server: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(b"x").await?;
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    stream.shutdown().await?;
    // The end, and no RST in its place.
    let rest = stream.read(&mut byte).await?;
    if rest == 0 { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// A counter of the kernel's TCP in this network.
fn counter(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split_whitespace().position(|word| word == name).unwrap();
    values.split_whitespace().nth(place).unwrap().parse().unwrap()
}

#[test]
fn a_storm_of_10_000_connects_ends_without_a_reset_or_a_failure() {
    alone(|| {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, soft.max(4096).min(hard), hard).unwrap();
        let _host = Host::start(&["--services", "echo"]);
        let server: SocketAddr = format!("{V4}:7").parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ends: BTreeMap<String, usize> = runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..AT_ONCE {
                tasks.spawn(async move {
                    let mut ends = Vec::new();
                    for _ in 0..EACH {
                        ends.push(match timeout(PATIENCE, connection(server)).await {
                            Ok(Ok(())) => "well".to_owned(),
                            Ok(Err(error)) => error.to_string(),
                            Err(_) => "too late".to_owned(),
                        });
                    }
                    ends
                });
            }
            let mut ends = BTreeMap::new();
            while let Some(done) = tasks.join_next().await {
                for end in done.unwrap() {
                    *ends.entry(end).or_default() += 1;
                }
            }
            ends
        });
        assert_eq!(ends, BTreeMap::from([("well".to_owned(), AT_ONCE * EACH)]));
        let resets = ["AttemptFails", "EstabResets", "OutRsts"].map(counter);
        assert_eq!(resets, [0; 3], "failed attempts, connections reset, resets sent");
        println!("{} segments of the host were sent again", counter("RetransSegs"));
    });
}
