//! `-s`: how many sockets there are, and how much of each limit is used.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::table;
use crate::config::Size;
use crate::control::{Bound, Family, Listed, Network};
use crate::observe::TcpState;

/// The lines of the table, and what counts there.
const TRANSPORTS: [(&str, &[Network]); 6] = [
    ("RAW", &[Network::Raw]),
    ("ICMP", &[Network::Icmp]),
    ("UDP", &[Network::Udp]),
    ("TCP", &[Network::Tcp]),
    ("INET", &[Network::Raw, Network::Icmp, Network::Udp, Network::Tcp]),
    ("UNIX", &[Network::UnixStream, Network::UnixDatagram, Network::UnixSeqPacket]),
];

/// How many sockets of each kind are in each state, for JSON.
pub(super) fn counts(sockets: &[Listed]) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
    let mut counts: BTreeMap<_, BTreeMap<_, u64>> = BTreeMap::new();
    for socket in sockets {
        *counts.entry(socket.network.name()).or_default().entry(table::state(socket.state)).or_default() += 1;
    }
    counts
}

pub(super) fn write(sockets: &[Listed], limits: &[Bound], out: &mut dyn Write) -> io::Result<()> {
    let tcp = |state| sockets.iter().filter(|socket| socket.network == Network::Tcp && socket.state == state).count();
    let all = sockets.iter().filter(|socket| socket.network == Network::Tcp).count();
    let orphaned = sockets
        .iter()
        .filter(|socket| {
            let is_open = !matches!(socket.state, TcpState::TimeWait | TcpState::SynReceived);
            socket.network == Network::Tcp && !socket.held && is_open
        })
        .count();
    writeln!(out, "Total: {}", sockets.len())?;
    writeln!(
        out,
        "TCP:   {all} (estab {}, closed {}, orphaned {orphaned}, timewait {})",
        tcp(TcpState::Established),
        tcp(TcpState::Closed),
        tcp(TcpState::TimeWait)
    )?;
    writeln!(out, "\n{:<10}{:<10}{:<10}IPv6", "Transport", "Total", "IP")?;
    for (name, networks) in TRANSPORTS {
        let of = |family| {
            let fits = |socket: &&Listed| networks.contains(&socket.network) && socket.family == family;
            sockets.iter().filter(fits).count()
        };
        let (four, six, unix) = (of(Family::Inet), of(Family::Inet6), of(Family::Unix));
        match networks.contains(&Network::UnixStream) {
            true => writeln!(out, "{name:<10}{:<10}{:<10}-", unix, "-")?,
            false => writeln!(out, "{name:<10}{:<10}{four:<10}{six}", four + six)?,
        }
    }
    writeln!(out, "\n{:<30}{:>12}{:>12}", "Limit", "Used", "Of")?;
    for Bound { name, value, used, .. } in limits {
        let used = used.map_or_else(|| "each".into(), |used| used.to_string());
        writeln!(out, "{name:<30}{used:>12}{:>12}", Size(*value).to_string())?;
    }
    Ok(())
}
