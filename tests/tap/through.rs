//! `tapsock ping`, `traceroute` and `nc` through a running daemon: its stack does it, and the kernel is the other end.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::{Host, Said, V4, V6, command, daemon, finish, run, shell, tap_up};
use crate::namespace::alone;
use crate::nc::{HOST, bytes, ended};
use crate::probes::far_away;

const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test, with these arguments.
fn program(line: &str) -> Command {
    let mut program = command(env!("CARGO_BIN_EXE_tapsock"));
    program.args(line.split_whitespace());
    program
}

#[track_caller]
fn tapsock(line: &str) -> Said {
    finish(&mut program(line))
}

fn begin(line: &str) -> Child {
    program(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts one that says on stderr when it has come so far.
#[track_caller]
fn begin_until(line: &str, word: &str) -> Child {
    let mut child = begin(line);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains(word)), "it ended before: {line}");
    // Somebody must go on to read.
    thread::spawn(move || lines.for_each(drop));
    child
}

/// The sockets of the daemon, each a line.
fn sockets() -> Vec<String> {
    tapsock("ss -aH").well().lines().map(str::to_owned).collect()
}

/// Waits until it has no others than these.
#[track_caller]
fn until_only(before: &[String]) {
    let begun = Instant::now();
    loop {
        let now = sockets();
        if now.len() <= before.len() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "left behind: {now:#?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_daemons_stack_pings_the_host() {
    alone(|| {
        let _host = Host::start(&["--name", "blue"]);
        for host in HOST {
            for size in [0, 56, 60_000] {
                let said = tapsock(&format!("ping -c 3 -i 0.1 -s {size} {host}")).well();
                assert!(said.starts_with(&format!("PING {host} ({host}) {size}")), "{said}");
                assert!(said.contains(&format!("{} bytes from {host}: icmp_seq=3 ttl=64 time=", size + 8)), "{said}");
                assert!(said.contains("3 packets transmitted, 3 received, 0% packet loss"), "{said}");
                assert!(said.contains("rtt min/avg/max/mdev = "), "{said}");
                assert!(!said.contains("wrong") && !said.contains("truncated") && !said.contains("DUP"), "{said}");
            }
        }
        // Itself answers too, and a name is looked up here.
        tapsock(&format!("ping -c 1 --name blue {V6}")).well();
        tapsock("ping -c 1 localhost").well();
        let said = tapsock("ping -c 1 192.168.69.77");
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("From 192.168.69.1 icmp_seq=1 Destination Host Unreachable"), "{said:?}");
        assert!(said.out.contains("1 packets transmitted, 0 received, +1 errors, 100% packet loss"), "{said:?}");

        let binary = env!("CARGO_BIN_EXE_tapsock");
        let said = run(&format!("timeout --preserve-status -s INT 1 {binary} ping -i 0.1 {}", HOST[0])).well();
        assert!(said.contains("icmp_seq=1 ") && said.contains(" 0% packet loss"), "{said}");

        for command in ["ping -c 1", "traceroute", "nc -w 1 -z"] {
            let port = if command.starts_with("nc") { " 80" } else { "" };
            for (host, word) in [("--name green 192.168.69.100", "no daemon 'green'"), ("name.invalid", "name.invalid")]
            {
                let said = tapsock(&format!("{command} {host}{port}")).refusal();
                assert!(said.contains(word), "{command} {host}: {said}");
            }
        }
        for (line, word) in [
            ("ping -c 1 10.0.0.1", "--gateway"),
            ("ping -c 1 192.168.69.255", "broadcast"),
            ("traceroute 10.0.0.1", "--gateway"),
            ("ping -c 1 -6 192.168.69.100", "family"),
            // The daemon has the TAP: one has to choose.
            ("ping -c 1 --addr 192.168.69.9/24 192.168.69.100", "tap0"),
        ] {
            let said = tapsock(line).refusal();
            assert!(said.contains(word), "{line}: {said}");
        }
    });
}

#[test]
fn without_a_daemon_and_without_options_it_is_a_stack_of_its_own() {
    alone(|| {
        tap_up();
        let said = tapsock("ping -c 1 192.168.69.100").well();
        assert!(said.contains("1 received"), "{said}");
        let listener = TcpListener::bind((HOST[0], 4950)).unwrap();
        let mut child = begin("nc 192.168.69.100 4950");
        let (mut peer, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), V4);
        child.stdin.take().unwrap().write_all(b"hello").unwrap();
        let mut heard = String::new();
        peer.read_to_string(&mut heard).unwrap();
        drop(peer);
        assert_eq!((heard.as_str(), ended(child).well().as_str()), ("hello", ""));
    });
}

#[test]
fn a_megabyte_crosses_each_way_and_each_direction_ends_by_itself() {
    alone(|| {
        let _host = Host::start(&[]);
        let before = sockets();
        let (question, answer): (Vec<u8>, Vec<u8>) = (bytes(0).repeat(3), bytes(7).repeat(3));
        assert!(question.len() > 1_000_000);
        for (host, own) in HOST.into_iter().zip([V4, V6]) {
            let listener = TcpListener::bind((host, 4950)).unwrap();
            let mut child = begin(&format!("nc {host} 4950"));
            let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let (asked, wanted) = (question.clone(), answer.clone());
            let typing = thread::spawn(move || input.write_all(&asked).unwrap());
            let (mut peer, from) = listener.accept().unwrap();
            assert_eq!(from.ip().to_string(), own);
            let mut heard = Vec::new();
            // Its end comes before anything is answered.
            peer.read_to_end(&mut heard).unwrap();
            assert!(heard == question);
            let answering = thread::spawn(move || peer.write_all(&wanted).unwrap());
            let mut printed = Vec::new();
            output.read_to_end(&mut printed).unwrap();
            assert!(printed == answer);
            typing.join().unwrap();
            answering.join().unwrap();
            ended(child).well();

            // Now the host calls, and ends first: what is typed is still sent.
            let mut child = begin_until("nc -v -l 4951", "waiting at");
            let mut peer = TcpStream::connect((own, 4951)).unwrap();
            peer.write_all(b"that is all").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            let mut printed = vec![0; 11];
            let mut output = child.stdout.take().unwrap();
            output.read_exact(&mut printed).unwrap();
            assert_eq!(printed, b"that is all");
            let mut input = child.stdin.take().unwrap();
            let asked = question.clone();
            let typing = thread::spawn(move || input.write_all(&asked).unwrap());
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).unwrap();
            assert!(heard == question);
            typing.join().unwrap();
            ended(child).well();
        }
        // What is left waits for stray segments only.
        let left: Vec<_> = sockets().into_iter().filter(|line| !line.contains("TIME-WAIT")).collect();
        assert_eq!(left.len(), before.len(), "{left:#?}");
    });
}

#[test]
fn datagrams_go_and_come_and_silence_ends_it() {
    alone(|| {
        let _host = Host::start(&[]);
        let before = sockets();
        for (host, own) in HOST.into_iter().zip([V4, V6]) {
            let echo = UdpSocket::bind((host, 4950)).unwrap();
            echo.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut child = begin(&format!("nc -u -w 2 {host} 4950"));
            child.stdin.take().unwrap().write_all(b"a letter").unwrap();
            let mut buffer = [0; 64];
            let (length, peer) = echo.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], peer.ip().to_string().as_str()), (&b"a letter"[..], own));
            echo.send_to(b"A LETTER", peer).unwrap();
            assert_eq!(ended(child).well(), "A LETTER");

            let child = begin_until("nc -v -u -w 2 -l 4951", "waiting at");
            echo.send_to(b"to ours", (own, 4951)).unwrap();
            assert_eq!(ended(child).well(), "to ours");
        }
        let refused = tapsock("nc -u -w 2 192.168.69.100 4952");
        assert_eq!(refused.code, Some(0), "nothing was sent: {refused:?}");
        until_only(&before);
    });
}

#[test]
fn a_call_that_fails_says_why_as_with_a_stack_of_its_own() {
    alone(|| {
        let _host = Host::start(&[]);
        let refused = tapsock("nc 192.168.69.100 4951");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.starts_with("tapsock: 192.168.69.100:4951: "), "{refused:?}");
        assert!(refused.err.to_lowercase().contains("refused"), "{refused:?}");
        let _listener = TcpListener::bind((HOST[0], 4950)).unwrap();
        let open = tapsock("nc -z 192.168.69.100 4950");
        assert_eq!((open.code, open.out.as_str(), open.err.as_str()), (Some(0), "", ""), "{open:?}");
        let nobody = tapsock("nc -w 1 192.168.69.77 4950");
        assert_eq!(nobody.code, Some(1), "{nobody:?}");
        let taken = tapsock("nc -l 80");
        assert_eq!(taken.code, Some(1), "{taken:?}");
        assert!(taken.err.to_lowercase().contains("in use"), "{taken:?}");
    });
}

#[test]
fn traceroute_finds_the_routers_on_the_daemons_way() {
    alone(|| {
        far_away();
        let _host = Host::attach(&["--gateway", HOST[0], "--gateway", HOST[1]]);
        let before = sockets();
        for (far, hops) in
            [("10.2.0.2", ["192.168.69.100", "10.1.0.2", "10.2.0.2"]), ("fd02::2", ["fd69::100", "fd01::2", "fd02::2"])]
        {
            for probes in ["", "-I"] {
                let said = tapsock(&format!("traceroute {probes} {far}")).well();
                let found: Vec<_> = said.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
                assert_eq!(found, hops, "{said}");
                assert!(said.starts_with(&format!("traceroute to {far} ({far}), 30 hops max, ")), "{said}");
            }
        }
        // Two at once are told apart.
        let both = ["10.2.0.2", "10.2.0.2"].map(|far| begin(&format!("traceroute -q 10 {far}")));
        for child in both {
            let said = ended(child).well();
            assert!(said.lines().count() == 4 && !said.contains('*'), "{said}");
        }
        let said = tapsock("traceroute -q 1 10.77.0.1");
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains(" ms !N"), "{said:?}");
        let said = tapsock("ping -c 2 -i 0.1 -t 2 fd02::2");
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("From fd01::2 icmp_seq=2 Time "), "{said:?}");
        until_only(&before);
    });
}

#[test]
fn a_client_that_is_killed_leaves_no_socket_behind_and_its_peer_is_told() {
    alone(|| {
        let _host = Host::start(&[]);
        let before = sockets();
        let mut ping = begin("ping -i 0.1 192.168.69.100");
        // Held open: without anybody to read it would end by itself.
        let mut lines = BufReader::new(ping.stdout.take().unwrap());
        lines.read_line(&mut String::new()).unwrap();
        let listener = TcpListener::bind((HOST[0], 4950)).unwrap();
        let mut call = begin("nc 192.168.69.100 4950");
        let (mut called, _) = listener.accept().unwrap();
        let mut waiting = begin_until("nc -v -l 4951", "waiting at");
        let mut accepted = begin_until("nc -v -l 4952", "waiting at");
        let mut caller = TcpStream::connect((V4, 4952)).unwrap();
        let during = sockets();
        assert_eq!(during.len(), before.len() + 5, "{during:#?}");
        for child in [&mut ping, &mut call, &mut waiting, &mut accepted] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        until_only(&before);
        for peer in [&mut called, &mut caller] {
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(peer.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        // Ctrl-C is no other end, and its exit code says it to scripts.
        let call = begin("nc 192.168.69.100 4950");
        let (mut called, _) = listener.accept().unwrap();
        shell(&format!("kill -INT {}", call.id())).well();
        let said = ended(call);
        assert_eq!(said.code, Some(130), "{said:?}");
        called.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(called.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        until_only(&before);
    });
}

fn resident() -> u64 {
    let said = tapsock("stats --json").well();
    let stats: Value = serde_json::from_str(&said).unwrap();
    stats["resident"].as_u64().unwrap()
}

#[test]
fn a_client_that_takes_nothing_stops_the_peer_and_the_daemon_does_not_grow() {
    alone(|| {
        let _host = Host::start(&[]);
        let listener = TcpListener::bind((HOST[0], 4950)).unwrap();
        let mut child = begin("nc 192.168.69.100 4950");
        let (mut peer, _) = listener.accept().unwrap();
        let before = resident();
        peer.set_nonblocking(true).unwrap();
        let block: Vec<u8> = (0..65_536_u32).map(|at| (at % 251) as u8).collect();
        let (mut sent, mut last) = (0, Instant::now());
        while last.elapsed() < Duration::from_secs(1) {
            match peer.write(&block[sent % block.len()..]) {
                Ok(count) => (sent, last) = (sent + count, Instant::now()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    thread::sleep(Duration::from_millis(1));
                }
            }
            assert!(sent < 64 << 20, "somebody takes everything");
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 4 << 20, "{grown} bytes");
        // Whoever takes it now gets all of it.
        peer.set_nonblocking(false).unwrap();
        drop(peer);
        let mut printed = Vec::new();
        let mut output = child.stdout.take().unwrap();
        drop(child.stdin.take());
        output.read_to_end(&mut printed).unwrap();
        assert_eq!(printed.len(), sent);
        assert!(printed.chunks(block.len()).all(|part| *part == block[..part.len()]));
        ended(child).well();
    });
}

#[test]
fn who_asks_before_the_daemon_has_its_addresses_waits_for_them() {
    alone(|| {
        tap_up();
        let mut daemon = daemon(&["--probe", "2000"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while UnixStream::connect("/run/tapsock/tap0.sock").is_err() {
            assert!(begun.elapsed() < PATIENCE, "there is no control socket");
            thread::sleep(Duration::from_millis(10));
        }
        let said = tapsock("ping -c 1 192.168.69.100").well();
        assert!(said.contains("1 received"), "{said}");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    });
}

#[test]
fn a_call_to_the_daemons_own_services_and_one_that_outlives_it() {
    alone(|| {
        let host = Host::start(&["--services", "echo"]);
        for own in [V4, V6, "127.0.0.1"] {
            let mut child = begin(&format!("nc {own} 7"));
            child.stdin.take().unwrap().write_all(b"comes back").unwrap();
            assert_eq!(ended(child).well(), "comes back");
        }
        let listener = TcpListener::bind((HOST[0], 4950)).unwrap();
        let call = begin("nc 192.168.69.100 4950");
        let (mut called, _) = listener.accept().unwrap();
        host.stop("INT");
        let said = ended(call);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.starts_with("tapsock: ") && said.err.lines().count() == 1, "{said:?}");
        called.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(called.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_an_errand_does_is_in_the_trace() {
    alone(|| {
        let _host = Host::start(&[]);
        let mut trace = program("trace --json --proto icmp --host 192.168.69.100 -c 2")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says when it watches.
        BufReader::new(trace.stderr.take().unwrap()).read_line(&mut String::new()).unwrap();
        tapsock("ping -c 1 192.168.69.100").well();
        let mut frames = Vec::new();
        for line in BufReader::new(trace.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let record: Value = serde_json::from_str(&line).unwrap();
            frames.push(record["event"].as_str().unwrap().to_owned());
        }
        ended(trace).well();
        assert_eq!(frames.len(), 2, "{frames:?}");
    });
}
