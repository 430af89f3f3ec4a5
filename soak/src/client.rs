//! Honest clients, and rude ones. Every byte that comes back is checked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Tally;

const V4: &str = "192.168.69.1";
const V6: &str = "fd69::1";

/// How long a peer may be silent before that is a failure: SYN floods and lost packets cost seconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn at(random: &mut fastrand::Rng, port: u16) -> SocketAddr {
    let address = if random.bool() { V4 } else { V6 };
    SocketAddr::new(address.parse().unwrap_or([127, 0, 0, 1].into()), port)
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn wrong(what: String) -> io::Error {
    io::Error::other(what)
}

/// What one client does in its life.
type Deed = fn(&mut fastrand::Rng) -> io::Result<u64>;

const DEEDS: [(&str, Deed); 13] = [
    ("download, every byte checked", download),
    ("download, read slowly", download_slowly),
    ("upload, CRC-32 compared", upload),
    ("upload, CRC-32 compared", upload),
    ("echo, every byte checked", echo),
    ("echo, every byte checked", echo),
    ("half-close at once", half_close),
    ("abort with a RST", abort),
    ("abort in the middle of a download", abort_download),
    ("never read, then close", never_read),
    ("a burst of connects", burst),
    ("a closed port refuses", refused),
    ("UDP echo up to 60 KB", datagrams),
];

/// One client, chosen at random.
pub fn one(random: &mut fastrand::Rng, tally: &Tally) {
    if random.u32(..200) == 0 {
        ping(random, tally);
        return;
    }
    let (what, deed) = DEEDS[random.usize(..DEEDS.len())];
    // For one who looks for a cause: SOAK_ONLY=echo.
    if std::env::var("SOAK_ONLY").is_ok_and(|only| !what.starts_with(&only)) {
        return;
    }
    match deed(random) {
        Ok(bytes) => tally.count(what, bytes),
        Err(error) => tally.fail(what, &error.to_string()),
    }
}

/// A size from one byte to some megabytes, small ones more often.
fn size(random: &mut fastrand::Rng) -> usize {
    let bits = random.u32(0..22);
    random.usize(1..=1 << bits)
}

fn request(random: &mut fastrand::Rng, length: usize) -> io::Result<TcpStream> {
    let mut stream = connect(at(random, 80))?;
    write!(stream, "GET /bytes?n={length} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

/// Reads the rest of an answer; returns its body.
fn body(answer: &[u8]) -> io::Result<&[u8]> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let head = head.ok_or_else(|| wrong(format!("{} bytes without the end of a header", answer.len())))?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(wrong(format!("the answer is {}", String::from_utf8_lossy(&answer[..head.min(60)]))));
    }
    Ok(&answer[head + 4..])
}

fn check_pattern(answer: &[u8], length: usize) -> io::Result<()> {
    let body = body(answer)?;
    if body.len() != length {
        return Err(wrong(format!("{} of {length} bytes came", body.len())));
    }
    match body.iter().enumerate().find(|&(i, &byte)| usize::from(byte) != i % 251) {
        Some((i, byte)) => Err(wrong(format!("byte {i} of {length} is {byte}"))),
        None => Ok(()),
    }
}

fn download(random: &mut fastrand::Rng) -> io::Result<u64> {
    let length = size(random);
    let mut answer = Vec::new();
    request(random, length)?.read_to_end(&mut answer)?;
    check_pattern(&answer, length)?;
    Ok(length as u64)
}

fn download_slowly(random: &mut fastrand::Rng) -> io::Result<u64> {
    let length = random.usize(100_000..1_000_000);
    let mut stream = request(random, length)?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 20_000];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
        thread::sleep(Duration::from_millis(random.u64(..15)));
    }
    check_pattern(&answer, length)?;
    Ok(length as u64)
}

fn noise(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

fn upload(random: &mut fastrand::Rng) -> io::Result<u64> {
    let length = size(random);
    let bytes = noise(random, length);
    let mut stream = connect(at(random, 80))?;
    write!(
        stream,
        "PUT /discard HTTP/1.1\r\nHost: soak\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    )?;
    stream.write_all(&bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let said = String::from_utf8_lossy(body(&answer)?).into_owned();
    let due = format!("received {} bytes, crc32 {:08x}", bytes.len(), crc32fast::hash(&bytes));
    if said.trim_end() == due { Ok(bytes.len() as u64) } else { Err(wrong(format!("'{said}' instead of '{due}'"))) }
}

fn echo(random: &mut fastrand::Rng) -> io::Result<u64> {
    let length = size(random);
    let bytes = noise(random, length);
    let mut stream = connect(at(random, 7))?;
    let mut writer = stream.try_clone()?;
    let mut answer = Vec::new();
    let written = thread::scope(|scope| {
        let written = scope.spawn(|| {
            writer.write_all(&bytes)?;
            writer.shutdown(Shutdown::Write)
        });
        let read = stream.read_to_end(&mut answer);
        read.and(written.join().unwrap_or_else(|_| Err(wrong("the writer panicked".into()))))
    });
    if written.is_err() {
        show(&stream);
    }
    written?;
    if answer == bytes {
        Ok(length as u64)
    } else {
        Err(wrong(format!("{} of {length} bytes, or other ones", answer.len())))
    }
}

/// What the kernel knows of a connection that went wrong.
fn show(stream: &TcpStream) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = Command::new("ss").args(["-tniomH", "sport", "=", &format!(":{}", local.port())]).status();
}

fn half_close(random: &mut fastrand::Rng) -> io::Result<u64> {
    let mut stream = connect(at(random, 7))?;
    stream.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    if rest.is_empty() { Ok(0) } else { Err(wrong(format!("{} bytes that nobody sent", rest.len()))) }
}

fn abort(random: &mut fastrand::Rng) -> io::Result<u64> {
    let mut stream = connect(at(random, 7))?;
    let length = random.usize(..50_000);
    stream.write_all(&noise(random, length))?;
    Socket::from(stream).set_linger(Some(Duration::ZERO))?;
    Ok(length as u64)
}

fn abort_download(random: &mut fastrand::Rng) -> io::Result<u64> {
    let mut stream = request(random, 10_000_000)?;
    let mut some = vec![0; random.usize(1..200_000)];
    stream.read_exact(&mut some)?;
    // With data unread, close is a RST by itself.
    if random.bool() {
        Socket::from(stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(some.len() as u64)
}

fn never_read(random: &mut fastrand::Rng) -> io::Result<u64> {
    let stream = connect(at(random, 19))?;
    thread::sleep(Duration::from_millis(random.u64(100..3000)));
    drop(stream);
    Ok(0)
}

fn burst(random: &mut fastrand::Rng) -> io::Result<u64> {
    let port = if random.bool() { 7 } else { 9 };
    let to = at(random, port);
    let streams: io::Result<Vec<TcpStream>> = (0..random.usize(1..50)).map(|_| connect(to)).collect();
    Ok(streams?.len() as u64)
}

fn refused(random: &mut fastrand::Rng) -> io::Result<u64> {
    let port = random.u16(1000..60_000);
    // RSTs for nobody are limited: silence is an answer too.
    let to = at(random, port);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    match socket.connect_timeout(&to.into(), Duration::from_secs(2)) {
        Ok(()) => Err(wrong(format!("port {port} is open"))),
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Datagrams may be lost; what comes must be what was sent.
fn datagrams(random: &mut fastrand::Rng) -> io::Result<u64> {
    let to = at(random, 7);
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut buffer = vec![0; 65_536];
    // An answer may come after the client has given it up, and twice: IPv6 has no checksum over its header, so a datagram
    // with a damaged flow label is as good as the first.
    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for _ in 0..10 {
        let length = size(random).min(60_000);
        let datagram = noise(random, length);
        match socket.send(&datagram) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            other => other?,
        };
        sent.push(datagram);
        let Ok(count) = socket.recv(&mut buffer) else { continue };
        if !sent.iter().any(|datagram| datagram == &buffer[..count]) {
            return Err(wrong(format!("{count} bytes that were not sent")));
        }
        bytes += count as u64;
    }
    Ok(bytes)
}

/// `ping -s 65000`: the kernel's own fragments.
fn ping(random: &mut fastrand::Rng, tally: &Tally) {
    let to = at(random, 0).ip().to_string();
    let status = Command::new("ping")
        .args(["-q", "-c", "2", "-i", "0.2", "-W", "2", "-s", "65000", &to])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => tally.count("ping -s 65000, answered", 0),
        Ok(_) => tally.count("ping -s 65000, lost", 0),
        Err(error) => tally.fail("ping", &error.to_string()),
    }
}
