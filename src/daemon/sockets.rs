//! What a daemon says when it is asked for its sockets (SIGUSR1).

use crate::net::{SocketRow, Way};
use crate::observe::TcpState;

/// So many sockets are written at most; a log is for people.
const MOST: usize = 1000;

/// One line for the whole, and one for each socket, in the columns of `ss(8)`.
pub(super) fn lines(rows: &[SocketRow]) -> Vec<String> {
    let shown: Vec<[String; 6]> = rows.iter().take(MOST).map(columns).collect();
    let mut widths = [0; 6];
    for row in &shown {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let [name, state, recv, send, local, peer] = widths;
    let mut lines = vec![match rows.len() {
        1 => "1 socket: name, state, Recv-Q, Send-Q, local address, peer, way, owner".into(),
        count => format!("{count} sockets: name, state, Recv-Q, Send-Q, local address, peer, way, owner"),
    }];
    for ([a, b, c, d, e, f], row) in shown.iter().zip(rows) {
        let way = Ending(row).to_string();
        let line = format!("  {a:name$}  {b:state$}  {c:>recv$}  {d:>send$}  {e:local$}  {f:peer$}  {way}");
        lines.push(line.trim_end().to_owned());
    }
    if rows.len() > MOST {
        lines.push(format!("  and {} more", rows.len() - MOST));
    }
    lines
}

fn columns(row: &SocketRow) -> [String; 6] {
    let state = match row.state {
        // As `ss(8)` has it.
        TcpState::Closed => "UNCONN".into(),
        state => state.to_string(),
    };
    let peer = row.peer.as_ref().map_or_else(|| "-".into(), ToString::to_string);
    [row.id.to_string(), state, row.recv_q.to_string(), row.send_q.to_string(), row.local.to_string(), peer]
}

/// How it reaches its peer, and who holds it.
struct Ending<'a>(&'a SocketRow);

impl std::fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Way::Joined { peer: Some(peer) } = self.0.way {
            write!(f, "joined to {peer}  ")?;
        }
        match &self.0.owner {
            Some(owner) => write!(f, "{owner}"),
            None if self.0.is_held => Ok(()),
            None => f.write_str("no program holds it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Domain, SockAddr, Socket, Stack, TcpListener, TcpStream, Type, UnixAddress};

    #[test]
    fn each_socket_has_a_line_with_its_ends_and_its_way() {
        let stack = Stack::builder().loopback_only().unwrap();
        let listener = TcpListener::bind(&stack.labelled("a test"), "127.0.0.1:80".parse().unwrap()).unwrap();
        let client = TcpStream::connect(&stack, "127.0.0.1:80".parse().unwrap()).unwrap();
        let unix = Socket::new(&stack, Domain::Unix, Type::Dgram, None).unwrap();
        unix.bind(&SockAddr::from(UnixAddress::path("/log").unwrap())).unwrap();
        let port = client.local_addr().unwrap().port();
        let lines = lines(&stack.wait_sockets().unwrap());
        let (listening, backlog) = (&lines[1], "1  128");
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines[0].starts_with("4 sockets: "));
        assert!(listening.contains("tcp#1   LISTEN ") && listening.contains(backlog), "{lines:#?}");
        assert!(lines[2].contains(&format!("127.0.0.1:{port}")) && lines[2].ends_with("joined to tcp#3"), "{lines:#?}");
        assert!(lines[3].ends_with("joined to tcp#2  a test"), "{lines:#?}");
        assert!(lines[4].contains("unix#4  UNCONN") && lines[4].contains("/log"), "{lines:#?}");
        drop(listener);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let stack = Stack::builder().loopback_only().unwrap();
        let held: Vec<_> = (0..3).map(|_| Socket::new(&stack, Domain::Inet, Type::Stream, None).unwrap()).collect();
        let row = stack.wait_sockets().unwrap().remove(0);
        let lines = lines(&vec![row; MOST + 7]);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (MOST + 2, "  and 7 more"));
        drop(held);
    }
}
