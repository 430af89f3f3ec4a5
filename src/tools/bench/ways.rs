//! Ways between two threads of one process, held as a program holds them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{self as kernel, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use crate::config::{Config, Loopback};
use crate::net::{Stack, TcpListener, TcpStream};

/// The largest read.
const READ: usize = 64 * 1024;
/// How often to ask before another thread may have the processor.
const PATIENCE: u32 = 1000;
/// How much a pipe holds: the most that an ordinary user may ask for.
const PIPE: i32 = 1 << 20;

/// What lies between the two threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Two TCP sockets of one stack of ours.
    Ours(Loopback),
    /// TCP of the kernel on 127.0.0.1.
    KernelTcp,
    /// A pair of Unix-domain stream sockets.
    Unix,
    /// A pipe in each direction.
    Pipe,
}

/// A descriptor or a socket of ours that reads, and one that writes; `&File` reads as well as `File`.
struct End<R, W> {
    reader: R,
    writer: W,
    /// Makes reads return at once.
    unblock: fn(&R) -> io::Result<()>,
}

/// One end, whatever it is of.
trait Carries: Send {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn unblock(&self) -> io::Result<()>;
}

impl<R: Read + Send, W: Write + Send> Carries for End<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }

    /// A socket that does not block is asked until it has taken everything.
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.writer.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn unblock(&self) -> io::Result<()> {
        (self.unblock)(&self.reader)
    }
}

/// Both ends of one way.
pub(super) struct Ends {
    here: Box<dyn Carries>,
    there: Box<dyn Carries>,
    _stack: Option<Running>,
}

/// A stack that ends with its ends.
struct Running(Stack);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl Ends {
    pub(super) fn open(way: Way) -> io::Result<Ends> {
        match way {
            Way::Ours(loopback) => ours(loopback),
            Way::KernelTcp => {
                let listener = kernel::TcpListener::bind("127.0.0.1:0")?;
                let here = kernel::TcpStream::connect(listener.local_addr()?)?;
                let (there, _) = listener.accept()?;
                let end = |writer: kernel::TcpStream| {
                    writer.set_nodelay(true)?;
                    let unblock = |reader: &kernel::TcpStream| reader.set_nonblocking(true);
                    Ok::<_, io::Error>(End { reader: writer.try_clone()?, writer, unblock })
                };
                Ok(Ends { here: Box::new(end(here)?), there: Box::new(end(there)?), _stack: None })
            }
            Way::Unix => {
                let (here, there) = UnixStream::pair()?;
                let end = |writer: UnixStream| {
                    let unblock = |reader: &UnixStream| reader.set_nonblocking(true);
                    Ok::<_, io::Error>(End { reader: writer.try_clone()?, writer, unblock })
                };
                Ok(Ends { here: Box::new(end(here)?), there: Box::new(end(there)?), _stack: None })
            }
            Way::Pipe => {
                let [(here_reads, there_writes), (there_reads, here_writes)] = [io::pipe()?, io::pipe()?];
                let end = |reader: io::PipeReader, writer: io::PipeWriter| {
                    // Where the system allows less, it stays at less.
                    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE));
                    let unblock = |reader: &io::PipeReader| {
                        fcntl(reader, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
                        Ok(())
                    };
                    End { reader, writer, unblock }
                };
                let (here, there) = (end(here_reads, here_writes), end(there_reads, there_writes));
                Ok(Ends { here: Box::new(here), there: Box::new(there), _stack: None })
            }
        }
    }

    /// Bytes a second from one thread to another, in writes of `block` bytes, for about `span`.
    pub(super) fn throughput(self, block: usize, span: Duration) -> io::Result<f64> {
        let Ends { mut here, mut there, _stack } = self;
        let writing = thread::spawn(move || -> io::Result<()> {
            let mut block = Aligned::new(block);
            let began = Instant::now();
            while began.elapsed() < span {
                // Some turns for one look at the clock.
                for _ in 0..64 {
                    here.write_all(block.bytes())?;
                }
            }
            Ok(())
        });
        let mut buffer = Aligned::new(READ);
        let mut bytes = there.read(buffer.bytes())?;
        let began = Instant::now();
        loop {
            match there.read(buffer.bytes())? {
                0 => break,
                count => bytes += count,
            }
        }
        let elapsed = began.elapsed();
        writing.join().map_err(|_| io::Error::other("the writing thread panicked"))??;
        Ok(bytes as f64 / elapsed.as_secs_f64())
    }

    /// Seconds from sending one byte to having it back: the mean over about `span`.
    pub(super) fn round_trip(self, is_busy: bool, span: Duration) -> io::Result<f64> {
        let Ends { mut here, mut there, _stack } = self;
        if is_busy {
            here.unblock()?;
            there.unblock()?;
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let answering = scope.spawn(|| -> io::Result<()> {
                let mut byte = [0];
                while read_byte(&mut *there, &mut byte, &is_over)? {
                    there.write_all(&byte)?;
                }
                Ok(())
            });
            let (began, mut rounds) = (Instant::now(), 0_u32);
            let result = (|| {
                while began.elapsed() < span {
                    for _ in 0..64 {
                        here.write_all(&[1])?;
                        read_byte(&mut *here, &mut [0], &is_over)?;
                    }
                    rounds += 64;
                }
                Ok(began.elapsed().as_secs_f64() / f64::from(rounds))
            })();
            is_over.store(true, Ordering::Relaxed);
            drop(here);
            answering.join().map_err(|_| io::Error::other("the answering thread panicked"))??;
            result
        })
    }
}

/// Whether there was a byte, and not the end. Where there are fewer processors than threads that ask again and again,
/// they make way for each other.
fn read_byte(end: &mut dyn Carries, byte: &mut [u8; 1], is_over: &AtomicBool) -> io::Result<bool> {
    let mut turns = 0_u32;
    loop {
        match end.read(byte) {
            Ok(count) => return Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if is_over.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                turns = turns.wrapping_add(1);
                if turns.is_multiple_of(PATIENCE) {
                    thread::yield_now();
                }
                std::hint::spin_loop();
            }
            Err(error) => return Err(error),
        }
    }
}

fn ours(loopback: Loopback) -> io::Result<Ends> {
    let config = Config { addresses: Vec::new(), loopback, ..Config::default() };
    let stack = Stack::builder().config(config).loopback_only().map_err(io::Error::other)?;
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let listener = TcpListener::bind(&stack, address)?;
    let here = TcpStream::connect(&stack, address)?;
    let (there, _) = listener.accept()?;
    let end = |writer: TcpStream| {
        writer.set_nodelay(true)?;
        let unblock = |reader: &TcpStream| reader.set_nonblocking(true);
        Ok::<_, io::Error>(End { reader: writer.try_clone()?, writer, unblock })
    };
    Ok(Ends { here: Box::new(end(here)?), there: Box::new(end(there)?), _stack: Some(Running(stack)) })
}

/// Bytes on a page boundary, where a copy costs everybody the same.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Aligned {
        let memory = vec![0x55; length + 4096];
        let start = memory.as_ptr().align_offset(4096);
        Aligned { memory, start, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}
