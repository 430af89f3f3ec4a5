//! `tapsock ss`: the sockets of a running daemon, as iproute2's `ss(8)` shows those of the kernel.
//!
//! - `filter`: which of them.
//! - `table`: their columns.
//! - `details`: what `-e`, `-o` and `-i` add.
//! - `summary`: `-s`.

mod details;
mod filter;
mod summary;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Write};

use serde_json::json;

pub use filter::{Filter, NoFilter, States};

use crate::control::{Client, Family, Listed, Network};
use crate::daemon::Failure;

/// What a person wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ss {
    /// Of which daemon; `None`: of the only one.
    pub name: Option<String>,
    /// Of what kinds; none: of all.
    pub kinds: Vec<Kind>,
    /// Of one family of addresses only.
    pub family: Option<IpVersion>,
    /// Listeners and what is connected to nobody, too (`-a`).
    pub all: bool,
    /// Those only (`-l`).
    pub listening: bool,
    /// Who has it (`-p`).
    pub processes: bool,
    /// What is known of a TCP connection (`-i`).
    pub info: bool,
    /// Its name in the trace, its age, what it is joined to (`-e`).
    pub extended: bool,
    /// What happens next if its peer is silent (`-o`).
    pub timers: bool,
    /// No line above the columns (`-H`).
    pub no_header: bool,
    /// Totals instead of sockets (`-s`).
    pub summary: bool,
    /// As JSON.
    pub json: bool,
    /// Which.
    pub filter: Filter,
}

/// Kinds of sockets, as options choose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `-t`.
    Tcp,
    /// `-u`.
    Udp,
    /// `-w`: raw sockets, and those of ICMP echo.
    Raw,
    /// `-x`.
    Unix,
}

/// `-4` or `-6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Ss {
    /// The states that are shown.
    fn states(&self) -> States {
        match self.filter.states {
            Some(states) => states,
            None if self.all => States::ALL,
            None if self.listening => States::listening(),
            None => States::connected(),
        }
    }

    fn shows(&self, socket: &Listed) -> bool {
        let kind = match socket.network {
            Network::Tcp => Kind::Tcp,
            Network::Udp => Kind::Udp,
            Network::Icmp | Network::Raw => Kind::Raw,
            Network::UnixStream | Network::UnixDatagram | Network::UnixSeqPacket => Kind::Unix,
        };
        let is_family = match self.family {
            None => true,
            Some(IpVersion::V4) => socket.family == Family::Inet,
            Some(IpVersion::V6) => socket.family == Family::Inet6,
        };
        let is_kind = self.kinds.is_empty() || self.kinds.contains(&kind);
        is_kind && is_family && self.states().contains(socket.state) && self.filter.fits(socket)
    }
}

/// Writes the sockets, or their totals.
///
/// # Errors
///
/// [`Failure`]: there is no daemon, or the conversation breaks.
pub fn run(ss: &Ss, out: &mut dyn Write) -> Result<(), Failure> {
    let mut client = Client::connect(ss.name.as_deref())?;
    let sockets = client.sockets(ss.info || ss.json)?;
    let written = if ss.summary {
        let limits = client.limits()?;
        match ss.json {
            true => writeln!(out, "{:#}", json!({ "sockets": summary::counts(&sockets), "limits": limits })),
            false => summary::write(&sockets, &limits, out),
        }
    } else {
        let shown: Vec<&Listed> = sockets.iter().filter(|socket| ss.shows(socket)).collect();
        match ss.json {
            true => write_json(&shown, out),
            false => table::write(ss, client.hello().pid, &shown, out),
        }
    };
    match written.and_then(|()| out.flush()) {
        // Whoever has read enough, such as head(1), is content.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Broken(format!("the list cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// An array with one socket on each line.
fn write_json(sockets: &[&Listed], out: &mut dyn Write) -> io::Result<()> {
    write!(out, "[")?;
    for (at, socket) in sockets.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}\n{}", serde_json::to_string(socket)?)?;
    }
    writeln!(out, "\n]")
}
