//! The page about a connection, as text that explains and as JSON.

use std::fmt::Write;
use std::net::SocketAddr;

use serde::Serialize;

use crate::net::TcpInfo;

/// The page for a person. `host` is how that person calls this server.
pub(super) fn text(info: &TcpInfo, host: Option<&str>) -> String {
    let mut page = String::with_capacity(4096);
    // Writing to a String cannot fail.
    let _ = write(&mut page, info, host);
    page
}

fn write(page: &mut String, info: &TcpInfo, host: Option<&str>) -> std::fmt::Result {
    let TcpInfo { socket, local, remote, state, summary, .. } = info;
    let (version, length) = if local.is_ipv4() { (4, 12) } else { (6, 40) };
    let state = state.to_string();
    let milliseconds = summary.age.as_secs_f64() * 1e3;
    write!(
        page,
        "\
You are reading this through socket {socket} of tapsock, a TCP/IP stack that runs as an
ordinary program beside your kernel. This page is about the connection that carries it.

Who talks
  your socket    {remote}
  this socket    {local}
  4-tuple        TCP {} {} {} {}
                 Two addresses and two ports: no other TCP connection here has the same
                 four, so a segment that carries them belongs to {socket}. IPv{version} brought it to
                 the address, protocol 6 says TCP, and this service listens on port {}.
  state          {state}: {} (RFC 9293 §3.3.2)
  age            {milliseconds:.3} ms

What the handshake agreed on
  MSS            at most {} bytes of payload in a segment to you, {} in one to me
  window scale   {}
  SACK           selective acknowledgements: {}

How much may be on its way
  your window    {} bytes: so much I may send before you acknowledge any of it
  my window      {} bytes: so much you may send
  waiting        {} bytes of mine that you have not acknowledged, {} of yours not yet read

Sequence numbers (every byte has one, and so have SYN and FIN)
  mine           begin at {}; the next is +{}, absolute {}
  yours          begin at {}; I expect +{} next, absolute {}

What went by until this page was written
  in             {} segments, {} bytes of payload: your request
  out            {} segments, {} bytes of payload; {} retransmitted

The checksum
  Your first segment carried {:#06x}. I added it up again in software: the one's-complement
  sum over the pseudo-header (source, destination, protocol, length: {length} bytes that are not
  in the TCP header) and the whole segment (RFC 9293 §3.1). It was right, as was that of
  every segment counted above; a wrong one is dropped before anything else is looked at.

Try
",
        remote.ip(),
        remote.port(),
        local.ip(),
        local.port(),
        local.port(),
        meaning(&state),
        info.send_mss,
        info.receive_mss,
        scale(info),
        if info.sack { "you understand them" } else { "not agreed" },
        info.send_window,
        info.receive_window,
        info.send_queue,
        info.receive_queue,
        info.local_isn,
        info.send_next,
        info.local_isn.wrapping_add(info.send_next),
        info.remote_isn,
        info.receive_next,
        info.remote_isn.wrapping_add(info.receive_next),
        summary.packets_in,
        summary.bytes_in,
        summary.packets_out,
        summary.bytes_out,
        Count(summary.retransmitted),
        info.first_checksum,
    )?;
    let url = url(host, *local);
    writeln!(page, "  curl -H 'Accept: application/json' '{url}/'")?;
    writeln!(page, "  curl '{url}/bytes?n=1000000' | wc -c")?;
    writeln!(page, "  head -c 1000000 /dev/urandom | curl -T - '{url}/discard'")
}

/// How the reader can come again. What the reader's own header says is taken only where it can be pasted safely.
fn url(host: Option<&str>, local: SocketAddr) -> String {
    let is_plain = |host: &&str| {
        (1..=80).contains(&host.len())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
    };
    match host.filter(is_plain) {
        Some(host) => format!("http://{host}"),
        None if local.port() == 80 && local.is_ipv4() => format!("http://{}", local.ip()),
        None => format!("http://{local}"),
    }
}

/// What a state means for the two of us; an answer can be written in two of them.
fn meaning(state: &str) -> &'static str {
    match state {
        "ESTABLISHED" => "both sides may send",
        "CLOSE-WAIT" => "you have sent your FIN and listen, I may still send",
        _ => "on its way to the end",
    }
}

fn scale(info: &TcpInfo) -> String {
    match (info.send_scale, info.receive_scale) {
        (Some(yours), Some(mine)) => {
            format!("your window field is to be shifted left by {yours} bits, mine by {mine}")
        }
        _ => "not agreed: a window has 65535 bytes at most".to_owned(),
    }
}

struct Count(u64);

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { f.write_str("none") } else { self.0.fmt(f) }
    }
}

/// The page for a program.
pub(super) fn json(info: &TcpInfo) -> String {
    let mut text = serde_json::to_string_pretty(&Page::from(info)).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Page {
    socket: String,
    protocol: &'static str,
    local: Endpoint,
    remote: Endpoint,
    state: String,
    age_us: u64,
    mss: BothWays<u16>,
    window_scale: BothWays<Option<u8>>,
    sack: bool,
    window: BothWays<u32>,
    queued: BothWays<usize>,
    sequence: BothWays<Sequence>,
    segments: BothWays<u64>,
    bytes: BothWays<u64>,
    retransmitted: u64,
    first_checksum: Checksum,
}

#[derive(Serialize)]
struct Endpoint {
    address: std::net::IpAddr,
    port: u16,
}

/// `send` is from this stack to the peer: the peer's window, what it has acknowledged, what went out.
#[derive(Serialize)]
struct BothWays<T> {
    send: T,
    receive: T,
}

#[derive(Serialize)]
struct Sequence {
    initial: u32,
    next_relative: u32,
    next: u32,
}

#[derive(Serialize)]
struct Checksum {
    carried: String,
    right: bool,
    verified_by: &'static str,
    over: &'static str,
    source: &'static str,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { address: address.ip(), port: address.port() }
    }
}

impl From<&TcpInfo> for Page {
    fn from(info: &TcpInfo) -> Page {
        let sequence = |initial: u32, next_relative: u32| Sequence {
            initial,
            next_relative,
            next: initial.wrapping_add(next_relative),
        };
        Page {
            socket: info.socket.to_string(),
            protocol: "tcp",
            local: info.local.into(),
            remote: info.remote.into(),
            state: info.state.to_string(),
            age_us: u64::try_from(info.summary.age.as_micros()).unwrap_or(u64::MAX),
            mss: BothWays { send: info.send_mss, receive: info.receive_mss },
            window_scale: BothWays { send: info.send_scale, receive: info.receive_scale },
            sack: info.sack,
            window: BothWays { send: info.send_window, receive: info.receive_window },
            queued: BothWays { send: info.send_queue, receive: info.receive_queue },
            sequence: BothWays {
                send: sequence(info.local_isn, info.send_next),
                receive: sequence(info.remote_isn, info.receive_next),
            },
            segments: BothWays { send: info.summary.packets_out, receive: info.summary.packets_in },
            bytes: BothWays { send: info.summary.bytes_out, receive: info.summary.bytes_in },
            retransmitted: info.summary.retransmitted,
            first_checksum: Checksum {
                carried: format!("{:#06x}", info.first_checksum),
                // A segment whose checksum is wrong makes no connection.
                right: true,
                verified_by: "software",
                over: "pseudo-header and segment",
                source: "RFC 9293 §3.1",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_host_is_not_repeated() {
        let local: SocketAddr = "192.168.69.1:80".parse().unwrap();
        assert_eq!(url(Some("stack.example:8080"), local), "http://stack.example:8080");
        assert_eq!(url(Some("[fd69::1]"), local), "http://[fd69::1]");
        for host in [None, Some(""), Some("'; rm -rf /; '"), Some("\u{1b}[2J")] {
            assert_eq!(url(host, local), "http://192.168.69.1");
        }
        assert_eq!(url(None, "[fd69::1]:80".parse().unwrap()), "http://[fd69::1]:80");
    }
}
