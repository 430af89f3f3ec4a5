//! Ways between two threads, and how fast they are. Nothing here knows how it is shown.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::memory::Memory;
use tapsock::pipe::wait::{Spin, block_on_with};
use tapsock::pipe::{Doorbell, Joint, Stream};

/// What lies between the two threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Two joined streams of ours: `--loopback fast`.
    Fast(Spin),
    /// TCP of the kernel on 127.0.0.1.
    KernelTcp,
    /// A pair of Unix-domain stream sockets.
    Unix,
    /// A pipe of 1 MiB in each direction.
    Pipe,
}

/// One end, as a program holds it: it blocks.
pub trait End: Send {
    /// Reads what is there, at least a byte; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

struct Fast {
    stream: Stream,
    spin: Spin,
}

impl End for Fast {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = block_on_with(self.spin, poll_fn(|context| self.stream.poll_read(context, buffer)), None);
        Ok(read.unwrap_or(Ok(0))?)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = block_on_with(self.spin, poll_fn(|context| self.stream.poll_write(context, bytes)), None);
            bytes = &bytes[written.unwrap_or(Ok(0))?..];
        }
        Ok(())
    }
}

struct Kernel<R, W> {
    reader: R,
    writer: W,
}

impl<R: Read + Send, W: Write + Send> End for Kernel<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }
}

impl Way {
    /// A fresh pair of ends. `capacity` is that of our rings; the kernel has its defaults.
    pub fn open(self, capacity: usize) -> io::Result<[Box<dyn End>; 2]> {
        match self {
            Way::Fast(spin) => {
                let doorbell = Doorbell::default();
                let memory = Memory::new(usize::MAX);
                let (a, b) = Stream::joined(Joint::Tcp, capacity, &memory, [doorbell.bell(0), doorbell.bell(1)])?;
                Ok([Box::new(Fast { stream: a, spin }), Box::new(Fast { stream: b, spin })])
            }
            Way::KernelTcp => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let a = TcpStream::connect(listener.local_addr()?)?;
                let (b, _) = listener.accept()?;
                a.set_nodelay(true)?;
                b.set_nodelay(true)?;
                let end = |stream: TcpStream| io::Result::Ok(Kernel { reader: stream.try_clone()?, writer: stream });
                Ok([Box::new(end(a)?), Box::new(end(b)?)])
            }
            Way::Unix => {
                let (a, b) = UnixStream::pair()?;
                let end = |stream: UnixStream| io::Result::Ok(Kernel { reader: stream.try_clone()?, writer: stream });
                Ok([Box::new(end(a)?), Box::new(end(b)?)])
            }
            Way::Pipe => {
                let [(a_reads, b_writes), (b_reads, a_writes)] = [io::pipe()?, io::pipe()?];
                for writer in [&a_writes, &b_writes] {
                    nix::fcntl::fcntl(writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20))?;
                }
                Ok([
                    Box::new(Kernel { reader: a_reads, writer: a_writes }),
                    Box::new(Kernel { reader: b_reads, writer: b_writes }),
                ])
            }
        }
    }
}

/// Bytes on a page boundary, where copies cost everybody the same (FACTS §2).
pub struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// `length` bytes, `offset` behind the beginning of a page.
    pub fn new(length: usize, offset: usize) -> Aligned {
        let memory = vec![0x55; length + 4096 + offset];
        let start = memory.as_ptr().align_offset(4096) + offset;
        Aligned { memory, start, length }
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}

/// Bytes a second from one thread to another, in writes of `block` bytes and reads of up to 64 KiB, for about `span`.
///
/// # Errors
///
/// If an end fails.
pub fn throughput(way: Way, capacity: usize, block: usize, offset: usize, span: Duration) -> io::Result<f64> {
    let [mut writer, mut reader] = way.open(capacity)?;
    let writing = thread::spawn(move || -> io::Result<()> {
        let mut block = Aligned::new(block, offset);
        let began = Instant::now();
        while began.elapsed() < span {
            for _ in 0..64 {
                writer.write(block.bytes())?;
            }
        }
        Ok(())
    });
    let mut buffer = Aligned::new(64 * 1024, offset);
    let mut bytes = reader.read(buffer.bytes())?;
    let began = Instant::now();
    loop {
        match reader.read(buffer.bytes())? {
            0 => break,
            count => bytes += count,
        }
    }
    let elapsed = began.elapsed();
    writing.join().map_err(|_| io::ErrorKind::Other)??;
    Ok(bytes as f64 / elapsed.as_secs_f64())
}

/// The mean time from sending one byte to having it back, for about `span`.
///
/// # Errors
///
/// If an end fails.
pub fn round_trip(way: Way, capacity: usize, span: Duration) -> io::Result<Duration> {
    let [mut here, mut there] = way.open(capacity)?;
    let answering = thread::spawn(move || -> io::Result<()> {
        let mut byte = [0];
        while there.read(&mut byte)? > 0 {
            there.write(&byte)?;
        }
        Ok(())
    });
    let (began, mut rounds) = (Instant::now(), 0);
    while began.elapsed() < span {
        for _ in 0..64 {
            here.write(&[1])?;
            here.read(&mut [0])?;
        }
        rounds += 64;
    }
    let elapsed = began.elapsed();
    drop(here);
    answering.join().map_err(|_| io::ErrorKind::Other)??;
    Ok(elapsed / rounds)
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
