//! The TAP: a network interface of the host whose wire is a file descriptor.
//!
//! A TAP that is to be used must exist and be up before it is opened. Opened by root under a name that
//! does not exist, one would silently be made, down and without addresses, so [`Tap::open`] looks first.
//! It asks the kernel by system calls, not by files under /sys, which may show another network namespace.
//!
//! What a TAP does when its interface changes (measured on Linux 6.18):
//!
//! | the interface is | read | write | epoll |
//! |---|---|---|---|
//! | up | frames, then EAGAIN | taken | readable while frames wait |
//! | down | EAGAIN | EIO | nothing |
//! | up again | as before | as before | as before |
//! | deleted | EBADFD | EBADFD | EPOLLERR, and never EPOLLIN |

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::task::Waker;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tun_tap::{Iface, Mode};

use super::{Device, Offload};
use crate::observe::Time;

mod ioctl;

const NODE: &str = "/dev/net/tun";

/// An open TAP.
///
/// ```no_run
/// use tapsock::device::{Device, Tap};
/// let tap = Tap::open("tap0")?;
/// println!("{} carries packets of up to {} bytes", tap.name(), tap.mtu());
/// # Ok::<(), tapsock::device::OpenError>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    mtu: usize,
}

impl Tap {
    /// Opens the TAP of this name, which must exist and be up.
    ///
    /// # Errors
    ///
    /// A sentence for a person, with what to do.
    pub fn open(name: &str) -> Result<Tap, OpenError> {
        check_name(name)?;
        let failed = |error: OpenFailure| OpenError { name: name.to_owned(), failure: error };
        let other = |error: io::Error| failed(OpenFailure::Other(error.to_string()));
        if !Path::new(NODE).exists() {
            return Err(failed(OpenFailure::NoNode));
        }
        let interface = match ioctl::interface(name) {
            Ok(interface) => interface,
            Err(error) if is(&error, Errno::ENODEV) => return Err(failed(OpenFailure::Absent)),
            Err(error) => return Err(other(error)),
        };
        if !interface.up {
            return Err(failed(OpenFailure::Down));
        }
        let iface = Iface::without_packet_info(name, Mode::Tap).map_err(|error| failed(why(&error)))?;
        let file = File::from(ioctl::take_descriptor(iface));
        let flags = fcntl(&file, FcntlArg::F_GETFL).map_err(|errno| other(errno.into()))?;
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        fcntl(&file, FcntlArg::F_SETFL(flags)).map_err(|errno| other(errno.into()))?;
        Ok(Tap { file, name: name.to_owned(), mtu: interface.mtu })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Device for Tap {
    fn receive(&mut self, _now: Time, frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        loop {
            match self.file.read(frame) {
                Ok(length) => return Ok(Some((length, Offload::None))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn transmit(&mut self, _now: Time, frame: &[u8], offload: Offload) -> io::Result<bool> {
        match offload {
            Offload::None => {}
        }
        loop {
            match self.file.write(frame) {
                Ok(length) if length == frame.len() => return Ok(true),
                Ok(_) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn set_waker(&mut self, _waker: &Waker) {}
}

/// Whether this error of a [`Device`] means that its interface is gone for good. Other errors pass: a TAP
/// that is down refuses frames with EIO and takes them again when it is up.
///
/// ```
/// use std::io;
/// use tapsock::device::vanished;
/// assert!(vanished(&io::Error::from_raw_os_error(77))); // EBADFD
/// assert!(!vanished(&io::Error::from_raw_os_error(5))); // EIO
/// ```
pub fn vanished(error: &io::Error) -> bool {
    is(error, Errno::EBADFD) || is(error, Errno::ENODEV) || is(error, Errno::EBADF)
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// Interface names are file names of 1 to 15 bytes without white space or colons (`dev_valid_name` in the
/// kernel). A `%` would make the kernel choose another name.
fn check_name(name: &str) -> Result<(), OpenError> {
    let valid = (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b':' | b'%' | 0 | 0x0b));
    if valid { Ok(()) } else { Err(OpenError { name: name.to_owned(), failure: OpenFailure::Name }) }
}

/// What a failure to open the node or to attach to the interface means. Opening gives EACCES where the
/// node's mode forbids it, attaching gives EPERM where the TAP belongs to somebody else.
fn why(error: &io::Error) -> OpenFailure {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => OpenFailure::NoNode,
        Some(Errno::EACCES) => OpenFailure::NodeForbidden,
        Some(Errno::EPERM) => OpenFailure::NotOwner,
        Some(Errno::EBUSY) => OpenFailure::Busy,
        Some(Errno::EINVAL) => OpenFailure::NotATap,
        _ => OpenFailure::Other(error.to_string()),
    }
}

/// Why a TAP could not be opened. Shown, it is one sentence that says what to do.
///
/// ```
/// use tapsock::device::{Tap, tap::OpenFailure};
/// let error = Tap::open("a name with spaces").unwrap_err();
/// assert_eq!(error.failure, OpenFailure::Name);
/// assert!(error.to_string().contains("tap0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError {
    /// The name that was asked for.
    pub name: String,
    /// What was wrong.
    pub failure: OpenFailure,
}

/// The kinds of [`OpenError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFailure {
    /// No interface can have this name.
    Name,
    /// There is no /dev/net/tun, or no driver behind it.
    NoNode,
    /// /dev/net/tun may not be opened by this user.
    NodeForbidden,
    /// There is no interface of this name.
    Absent,
    /// The interface is down.
    Down,
    /// The TAP belongs to another user.
    NotOwner,
    /// Another program has it open.
    Busy,
    /// The interface is something else than a TAP with one queue.
    NotATap,
    /// What the kernel said otherwise.
    Other(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        let up = Script(name);
        match &self.failure {
            OpenFailure::Name => write!(
                f,
                "'{}' cannot be an interface's name; take 1 to 15 letters and digits, such as tap0",
                name.escape_default()
            ),
            OpenFailure::NoNode => write!(
                f,
                "there is no {NODE}; run 'sudo modprobe tun', or in a container start it with '--device {NODE} --cap-add NET_ADMIN'"
            ),
            OpenFailure::NodeForbidden => {
                write!(f, "this user may not open {NODE}; run 'sudo {up} --user $USER', or 'sudo chmod 0666 {NODE}'")
            }
            OpenFailure::Absent => write!(f, "there is no interface {name}; run 'sudo {up} --user $USER'"),
            OpenFailure::Down => {
                write!(f, "the interface {name} is down; run 'sudo {up} --user $USER', which brings it up")
            }
            OpenFailure::NotOwner => {
                write!(f, "the interface {name} belongs to another user; run 'sudo {up} --user $USER'")
            }
            OpenFailure::Busy => write!(
                f,
                "{name} is busy: another program has it open, perhaps another tapsock; stop it or choose another TAP with --tap"
            ),
            OpenFailure::NotATap => write!(
                f,
                "the interface {name} is not a TAP with a single queue; choose another name with --tap, such as tap0, and run 'sudo scripts/tap-up.sh'"
            ),
            OpenFailure::Other(error) => write!(f, "the interface {name} cannot be opened: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// The command that makes this TAP; the default name goes without saying.
struct Script<'a>(&'a str);

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scripts/tap-up.sh")?;
        if self.0 != "tap0" {
            write!(f, " --name {}", self.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
