//! The columns.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use super::details::details;
use super::{Kind, Ss};
use crate::control::{Family, Listed, Network};
use crate::observe::TcpState;

/// Netid, State, Recv-Q, Send-Q, local address and port, peer address and port, and what the options add behind them.
struct Row {
    cells: [String; COLUMNS],
    rest: String,
    below: Option<String>,
}

const COLUMNS: usize = 8;
const NETID: usize = 0;
const STATE: usize = 1;
/// The addresses, which end where their ports begin.
const ADDRESSES: [usize; 2] = [4, 6];

pub(super) fn write(ss: &Ss, pid: u32, sockets: &[&Listed], out: &mut dyn Write) -> io::Result<()> {
    let header = ["Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port"];
    let rows: Vec<Row> = sockets.iter().map(|socket| row(ss, pid, socket)).collect();
    let mut widths = [0; COLUMNS];
    let heads = (!ss.no_header).then(|| header.map(str::to_owned));
    for cells in rows.iter().map(|row| &row.cells).chain(heads.as_ref()) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    // As ss: what is the same in all lines has no column.
    let mut hidden = [false; COLUMNS];
    hidden[NETID] = matches!(ss.kinds[..], [Kind::Tcp | Kind::Udp]);
    hidden[STATE] = ss.filter.states.is_some_and(|states| states.is_single());
    if let Some(heads) = heads {
        line(&heads, "Process", &widths, &hidden, out)?;
    }
    for row in &rows {
        line(&row.cells, &row.rest, &widths, &hidden, out)?;
        if let Some(below) = &row.below {
            writeln!(out, "\t {below}")?;
        }
    }
    Ok(())
}

fn line(
    cells: &[String; COLUMNS],
    rest: &str,
    widths: &[usize; COLUMNS],
    hidden: &[bool; COLUMNS],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut text = String::new();
    for (at, cell) in cells.iter().enumerate().filter(|&(at, _)| !hidden[at]) {
        let blanks = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
        if ADDRESSES.contains(&at) {
            text.push_str(&blanks);
            text.push_str(cell);
        } else {
            text.push_str(cell);
            text.push_str(&blanks);
            text.push(' ');
        }
    }
    text.push_str(rest);
    writeln!(out, "{}", text.trim_end())
}

fn row(ss: &Ss, pid: u32, socket: &Listed) -> Row {
    let (local, local_port) = end(socket, Some(&socket.local));
    let (peer, peer_port) = end(socket, socket.peer.as_deref());
    let mut rest = Vec::new();
    if ss.processes && socket.held {
        let owner = socket.owner.as_ref().map_or("tapsock", |owner| owner.as_str());
        rest.push(format!("users:((\"{owner}\",pid={pid},socket={}))", socket.id));
    }
    if ss.timers {
        rest.extend(super::details::timer(socket));
    }
    if ss.extended {
        rest.push(super::details::extended(socket));
    }
    Row {
        cells: [
            socket.network.name().to_owned(),
            state(socket.state).to_owned(),
            socket.recv_q.to_string(),
            socket.send_q.to_string(),
            local,
            local_port,
            peer,
            peer_port,
        ],
        rest: rest.join(" "),
        below: ss.info.then(|| details(socket)).flatten(),
    }
}

/// As ss calls them.
pub(super) fn state(state: TcpState) -> &'static str {
    match state {
        TcpState::Listen => "LISTEN",
        TcpState::SynSent => "SYN-SENT",
        TcpState::SynReceived => "SYN-RECV",
        TcpState::Established => "ESTAB",
        TcpState::FinWait1 => "FIN-WAIT-1",
        TcpState::FinWait2 => "FIN-WAIT-2",
        TcpState::CloseWait => "CLOSE-WAIT",
        TcpState::Closing => "CLOSING",
        TcpState::LastAck => "LAST-ACK",
        TcpState::TimeWait => "TIME-WAIT",
        TcpState::Closed => "UNCONN",
    }
}

/// An address up to its colon, and its port.
fn end(socket: &Listed, text: Option<&str>) -> (String, String) {
    let wildcard = match socket.family {
        Family::Inet => "0.0.0.0:0",
        Family::Inet6 => "[::]:0",
        Family::Unix => "*",
    };
    let text = text.unwrap_or(wildcard);
    let Ok(address) = text.parse::<SocketAddr>() else {
        // A Unix socket has a name, or none, and no port.
        return (if text.is_empty() { "* ".into() } else { format!("{text} ") }, "*".into());
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let port = match (address.port(), socket.network) {
        (0, _) => "*".into(),
        // raw(7): the port is a protocol, and ss names those it knows.
        (1, Network::Raw) => "icmp".into(),
        (58, Network::Raw) => "ipv6-icmp".into(),
        (port, _) => port.to_string(),
    };
    (format!("{ip}:"), port)
}
