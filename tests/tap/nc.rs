//! `tapsock nc` on a TAP, against the host's nc and the kernel's own sockets.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::host::{Said, V4, V6, command, example, finish, run, shell, tap_up};
use crate::namespace::alone;

const PATIENCE: Duration = Duration::from_secs(10);
/// The host's side of the TAP.
pub(crate) const HOST: [&str; 2] = ["192.168.69.100", "fd69::100"];

/// `tapsock nc` with these arguments, which asks nobody about its addresses.
fn ours(args: &[&str]) -> Command {
    let mut nc = command(env!("CARGO_BIN_EXE_tapsock"));
    nc.args(["nc", "--probe", "0"]).args(args);
    nc
}

/// Starts it as one that waits; gives it when it does.
fn waiting(args: &[&str], stdin: Stdio) -> Child {
    let mut child =
        ours(args).args(["-v", "-l"]).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let is_waiting = lines.by_ref().map_while(Result::ok).any(|line| line.contains("waiting at"));
    assert!(is_waiting, "it ended before it waited");
    // Somebody must go on to read.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// A program that is told to end after a while, and must have ended before.
pub(crate) fn ended(mut child: Child) -> Said {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end: {:?}", Said::from(child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap().into()
}

pub(crate) fn bytes(seed: u32) -> Vec<u8> {
    (0..100_000_u32).flat_map(|i| (i ^ seed).to_be_bytes()).collect()
}

#[test]
fn files_cross_between_our_nc_and_the_hosts_and_both_ends_see_the_end() {
    alone(|| {
        tap_up();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (question, answer) = (bytes(0), bytes(7));
        fs::write(path("question"), &question).unwrap();
        fs::write(path("answer"), &answer).unwrap();
        for host in HOST {
            let listen = format!("exec timeout 30 nc -N -l {host} 4950 <{} >{}", path("answer"), path("heard"));
            let host_nc = command("sh").args(["-c", &listen]).spawn().unwrap();
            let listens = || run("ss -Hlnt sport = :4950").well().contains("4950");
            let deadline = Instant::now() + PATIENCE;
            while !listens() {
                assert!(Instant::now() < deadline, "the host's nc does not listen");
                std::thread::sleep(Duration::from_millis(10));
            }
            let input = fs::File::open(path("question")).unwrap();
            let output = ours(&["-w", "10", host, "4950"]).stdin(input).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == answer, "{} bytes came of {}", output.stdout.len(), answer.len());
            ended(host_nc).well();
            assert!(fs::read(path("heard")).unwrap() == question);
        }
    });
}

#[test]
fn the_hosts_nc_calls_ours_and_hears_what_it_is_given() {
    alone(|| {
        tap_up();
        for (address, args) in [(V4, vec!["4950"]), (V6, vec!["4950"]), (V4, vec![V4, "4950"])] {
            let mut listener = waiting(&args, Stdio::piped());
            let mut input = listener.stdin.take().unwrap();
            input.write_all(b"from ours").unwrap();
            drop(input);
            let heard = shell(&format!("echo from the host | timeout 30 nc -N -w 10 {address} 4950")).well();
            assert_eq!(heard, "from ours");
            assert_eq!(ended(listener).well(), "from the host\n");
        }
    });
}

#[test]
fn datagrams_go_and_come_and_silence_ends_it() {
    alone(|| {
        tap_up();
        for host in HOST {
            let echo = UdpSocket::bind((host, 4950)).unwrap();
            echo.set_read_timeout(Some(PATIENCE)).unwrap();
            let answering = std::thread::spawn(move || {
                let mut buffer = [0; 64];
                let (length, peer) = echo.recv_from(&mut buffer).unwrap();
                echo.send_to(&buffer[..length].to_ascii_uppercase(), peer).unwrap();
            });
            // Longer than a second: a TAP that was just opened may swallow the first request for the neighbour.
            let mut child = ours(&["-u", "-w", "3", host, "4950"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(b"a letter").unwrap();
            assert_eq!(ended(child).well(), "A LETTER");
            answering.join().unwrap();
        }
        let mut listener = waiting(&["-u", "-w", "3", "4950"], Stdio::piped());
        let input = listener.stdin.take().unwrap();
        let said = shell(&format!("echo to ours | timeout 30 nc -u -w 1 {V4} 4950"));
        assert_eq!(said.code, Some(0), "{said:?}");
        drop(input);
        assert_eq!(ended(listener).well(), "to ours\n");
    });
}

#[test]
fn a_call_that_fails_says_why_and_the_exit_code_says_it_to_scripts() {
    alone(|| {
        tap_up();
        let refused = finish(&mut ours(&[HOST[0], "4951"]));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.starts_with("tapsock: 192.168.69.100:4951: "), "{refused:?}");
        assert!(refused.err.to_lowercase().contains("refused"), "{refused:?}");
        let _listener = TcpListener::bind((HOST[0], 4950)).unwrap();
        let open = finish(&mut ours(&["-z", HOST[0], "4950"]));
        assert_eq!((open.code, open.out.as_str(), open.err.as_str()), (Some(0), "", ""), "{open:?}");
        let nobody = finish(&mut ours(&["-w", "1", "192.168.69.77", "4950"]));
        assert_eq!(nobody.code, Some(1), "{nobody:?}");
        assert!(finish(&mut ours(&["--tap", "nowhere", HOST[0], "4950"])).refusal().contains("nowhere"));
        assert!(finish(&mut ours(&["--addr", "192.168.69.100/24", HOST[0], "4950"])).refusal().contains("--addr"));
    });
}

#[test]
fn ctrl_c_tells_the_peer_and_ends_at_once() {
    alone(|| {
        tap_up();
        let listener = waiting(&["4950"], Stdio::piped());
        let mut stream = TcpStream::connect((V4, 4950)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        shell(&format!("kill -INT {}", listener.id())).well();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(ended(listener).code, Some(130));
    });
}

#[test]
fn the_example_on_a_tap_greets_the_hosts_nc() {
    alone(|| {
        tap_up();
        let mut server = command(example("on_a_tap").to_str().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("waiting at 0.0.0.0:4950"));
        let heard = shell(&format!("timeout 30 nc {V4} 4950 </dev/null")).well();
        assert!(heard.starts_with("Hello, 192.168.69.100:"), "{heard}");
        assert!(lines.next().unwrap().starts_with("192.168.69.100:"));
        server.kill().unwrap();
        server.wait().unwrap();
    });
}
