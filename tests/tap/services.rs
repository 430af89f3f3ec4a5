//! The small services, by nc and by the kernel's own sockets; and the ports where nobody is.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::host::{Host, V4, V6, command, run, shell};
use crate::namespace::alone;

const ALL: &[&str] = &["--services", "all"];
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(500);

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// A UDP socket of the kernel's, connected.
fn udp(from: u16, to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "0.0.0.0" } else { "::" };
    let socket = UdpSocket::bind(at(any, from)).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn tcp(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn tcp_echo_gives_back_what_nc_sends_and_then_ends() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in [V4, V6] {
            let mut nc = command("nc")
                .args(["-N", "-w", "5", address, "7"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let sent: Vec<u8> = (0..200_000u32).flat_map(u32::to_be_bytes).collect();
            let mut input = nc.stdin.take().unwrap();
            let copy = sent.clone();
            let writer = std::thread::spawn(move || input.write_all(&copy).unwrap());
            let output = nc.wait_with_output().unwrap();
            writer.join().unwrap();
            assert!(output.status.success());
            assert!(output.stdout == sent, "{} bytes came back of {}", output.stdout.len(), sent.len());
        }
    });
}

#[test]
fn udp_echo_gives_back_each_datagram() {
    alone(|| {
        let _host = Host::start(ALL);
        let said = shell(&format!("echo hello | nc -u -w 1 {V4} 7")).well();
        assert_eq!(said, "hello\n");
        for (address, fits, largest) in [(V4, 1472, 65_507), (V6, 1452, 65_527)] {
            let socket = udp(0, at(address, 7));
            // WIRE 16: and in fragments, both ways.
            for length in [0, 1, 2, 501, fits, fits + 1, 8000, largest] {
                let sent: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
                socket.send(&sent).unwrap();
                let mut got = vec![0; 65_536];
                let n = socket.recv(&mut got).unwrap();
                assert_eq!(&got[..n], sent, "{address}");
            }
        }
    });
}

#[test]
fn discard_takes_everything_and_says_nothing() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in [V4, V6] {
            let mut stream = tcp(at(address, 9));
            stream.write_all(&vec![7; 1_000_000]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "{address}");

            let socket = udp(0, at(address, 9));
            socket.set_read_timeout(Some(SILENCE)).unwrap();
            socket.send(b"anybody?").unwrap();
            assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock, "{address}");
        }
    });
}

#[test]
fn daytime_says_one_line_and_closes() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in [V4, V6] {
            let mut said = String::new();
            tcp(at(address, 13)).read_to_string(&mut said).unwrap();
            assert_eq!(said.trim_end().lines().count(), 1, "{said}");
            let year = run("date -u +%Y").well();
            assert!(said.contains(year.trim()), "{said}");
        }
    });
}

#[test]
fn chargen_sends_the_lines_of_rfc_864() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in [V4, V6] {
            let mut got = vec![0; 74 * 10_000];
            tcp(at(address, 19)).read_exact(&mut got).unwrap();
            for (i, line) in got.chunks(74).enumerate() {
                assert!(line.ends_with(b"\r\n"), "line {i}: {line:?}");
                let in_order = line[..72].windows(2).all(|pair| pair[1] == pair[0] + 1 || pair == b"~ ");
                assert!(in_order, "line {i}: {}", String::from_utf8_lossy(line));
            }
            assert_ne!(got[..72], got[74..146], "each line begins one character later");
        }
    });
}

#[test]
fn a_closed_tcp_port_refuses_at_once() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in ["192.168.69.1", "[fd69::1]"] {
            let begin = Instant::now();
            let said = run(&format!("curl -gsS --noproxy * --max-time 10 http://{address}:81/"));
            assert_eq!(said.code, Some(7), "{said:?}");
            assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        }
        let refused = TcpStream::connect_timeout(&at(V4, 81), PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_closed_udp_port_refuses_a_connected_socket() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in [V4, V6] {
            let socket = udp(0, at(address, 4444));
            socket.send(b"anybody?").unwrap();
            assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{address}");
        }
    });
}

#[test]
fn a_service_that_was_not_asked_for_is_a_closed_port() {
    alone(|| {
        let _host = Host::start(&["--services", "echo,daytime"]);
        tcp(at(V4, 7));
        tcp(at(V4, 13));
        for port in [9, 19, 80] {
            let refused = TcpStream::connect_timeout(&at(V4, port), PATIENCE).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "port {port}");
        }
    });
}

#[test]
fn a_datagram_from_the_port_of_a_service_is_never_answered() {
    alone(|| {
        let _host = Host::start(ALL);
        for address in [V4, V6] {
            for (from, to) in [(7, 7), (9, 7), (13, 7), (19, 7)] {
                let socket = udp(from, at(address, to));
                socket.set_read_timeout(Some(SILENCE)).unwrap();
                socket.send(b"round and round").unwrap();
                let silence = socket.recv(&mut [0; 64]).unwrap_err();
                assert_eq!(silence.kind(), ErrorKind::WouldBlock, "{address}: from {from} to {to}");
            }
        }
    });
}
