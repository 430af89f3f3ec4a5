//! The services over two stacks joined in memory: one offers them, the other asks.
#![allow(clippy::unwrap_used, clippy::expect_used)] // the functions beside the tests are of the tests too

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tapsock::config::{Config, Mac};
use tapsock::net::tokio::UdpSocket as AsyncUdpSocket;
use tapsock::net::{Stack, TcpStream};
use tapsock::services::http::Metrics;
use tapsock::services::{self, Service};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The two addresses of the stack that offers.
const SERVER: [&str; 2] = ["192.168.69.1", "fd69::1"];

/// How long a datagram that must not come is waited for.
const SILENCE: Duration = Duration::from_millis(100);

/// Everything waits at most so long for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    /// Of the thread that the services run on.
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    server: Stack,
    client: Stack,
}

impl World {
    fn new() -> World {
        let config = |v4: &str, v6: &str, mac: u8| Config {
            addresses: vec![v4.parse().unwrap(), v6.parse().unwrap()],
            mac: Mac([2, 0, 0, 0, 0, mac]),
            probe: Duration::ZERO,
            ..Config::default()
        };
        let server = Stack::builder().config(config("192.168.69.1/24", "fd69::1/64", 1));
        let client = Stack::builder().config(config("192.168.69.2/24", "fd69::2/64", 2));
        let (server, client) = server.pair(client).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(server.wait_ready().unwrap(), []);
        assert_eq!(client.wait_ready().unwrap(), []);
        let metrics = Metrics::new(|| async { "# EOF\n".to_owned() });
        runtime.block_on(services::run_with(server.clone(), Service::ALL, Some(metrics))).unwrap();
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
        let thread = thread::spawn(move || {
            let _ = runtime.block_on(stopped);
        });
        World { runtime: handle, stop: Some(stop), thread: Some(thread), server, client }
    }

    fn connect(&self, address: &str, service: Service) -> TcpStream {
        let stream = TcpStream::connect(&self.client, at(address, service.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends one request as it is and gives what comes until the server closes.
    fn request(&self, request: &str) -> Response {
        let mut stream = self.connect(SERVER[0], Service::Http);
        stream.write_all(request.as_bytes()).unwrap();
        Response::read(&mut stream)
    }

    fn udp(&self, local: SocketAddr) -> AsyncUdpSocket {
        self.runtime.block_on(AsyncUdpSocket::bind(&self.client, local)).unwrap()
    }

    fn answer(&self, socket: &AsyncUdpSocket, wait: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        self.runtime.block_on(async {
            let mut buffer = [0; 2048];
            let (count, peer) = tokio::time::timeout(wait, socket.recv_from(&mut buffer)).await.ok()?.unwrap();
            Some((buffer[..count].to_vec(), peer))
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.client.shut_down();
        self.server.shut_down();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

struct Response {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Response {
    fn read(stream: &mut TcpStream) -> Response {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the header") + 4;
        let headers = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, headers: headers.to_ascii_lowercase(), body: bytes[end..].to_vec() }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Bytes that no service makes by accident.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

#[test]
fn tcp_echo_sends_back_what_comes_and_closes_after_the_peer() {
    let world = World::new();
    for address in SERVER {
        let stream = world.connect(address, Service::Echo);
        let sent = noise(1_000_000);
        let mut received = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                (&stream).write_all(&sent).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            (&stream).read_to_end(&mut received).unwrap();
        });
        assert!(received == sent, "{address}: {} bytes came back", received.len());
    }
}

#[test]
fn tcp_discard_takes_everything_and_says_nothing() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Discard);
    stream.write_all(&noise(1_000_000)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert!(received.is_empty());
}

#[test]
fn daytime_says_one_line_and_closes_even_on_a_peer_that_talks() {
    let world = World::new();
    for address in SERVER {
        let mut stream = world.connect(address, Service::Daytime);
        stream.write_all(b"what time is it?\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("-UTC\r\n") && text.matches(", ").count() == 2, "{text}");
    }
}

#[test]
fn chargen_sends_the_pattern_without_end_to_a_peer_that_talks() {
    static PRINTABLE: LazyLock<Vec<u8>> = LazyLock::new(|| (b' '..=b'~').collect());
    let world = World::new();
    let mut stream = world.connect(SERVER[1], Service::Chargen);
    // More than any buffer on the way holds: the service must read it.
    stream.write_all(&noise(1_000_000)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = vec![0; 74 * 10_000];
    stream.read_exact(&mut received).unwrap();
    for (i, line) in received.chunks(74).enumerate() {
        let expected: Vec<u8> = PRINTABLE.iter().cycle().skip(i % 95).take(72).copied().collect();
        assert_eq!(line[..72], expected, "line {i}");
        assert_eq!(&line[72..], b"\r\n", "line {i}");
    }
}

#[test]
fn udp_echo_answers_from_the_address_that_was_asked() {
    let world = World::new();
    for (server, client) in [(SERVER[0], "0.0.0.0"), (SERVER[1], "::")] {
        let socket = world.udp(at(client, 0));
        for length in [0, 1, 1000] {
            let sent = noise(length);
            world.runtime.block_on(socket.send_to(&sent, at(server, 7))).unwrap();
            let (received, peer) = world.answer(&socket, PATIENCE).expect("an answer");
            assert_eq!((received, peer), (sent, at(server, 7)));
        }
    }
}

#[test]
fn udp_echo_never_answers_another_service() {
    let world = World::new();
    for port in [7, 9, 13, 17, 19, 37, 53] {
        let socket = world.udp(at("0.0.0.0", port));
        world.runtime.block_on(socket.send_to(b"loop?", at(SERVER[0], 7))).unwrap();
        assert_eq!(world.answer(&socket, SILENCE), None, "port {port}");
    }
    // It still lives.
    let socket = world.udp(at("0.0.0.0", 40_000));
    world.runtime.block_on(socket.send_to(b"hello", at(SERVER[0], 7))).unwrap();
    assert_eq!(world.answer(&socket, PATIENCE), Some((b"hello".to_vec(), at(SERVER[0], 7))));
}

#[test]
fn udp_discard_never_answers() {
    let world = World::new();
    let socket = world.udp(at("0.0.0.0", 40_000));
    for _ in 0..1000 {
        world.runtime.block_on(socket.send_to(&noise(1000), at(SERVER[0], 9))).unwrap();
    }
    assert_eq!(world.answer(&socket, SILENCE), None);
}

#[test]
fn the_page_explains_the_connection_that_carries_it() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Http);
    let (local, info) = (stream.local_addr().unwrap(), stream.info().unwrap());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: stack.example\r\nConnection: close\r\n\r\n").unwrap();
    let response = Response::read(&mut stream);
    assert_eq!(response.status, 200, "{}", response.headers);
    assert!(response.headers.contains("content-type: text/plain"), "{}", response.headers);
    let page = response.text();
    for part in [
        format!("your socket    {local}\n"),
        "this socket    192.168.69.1:80\n".into(),
        format!("TCP 192.168.69.2 {} 192.168.69.1 80", local.port()),
        "ESTABLISHED".into(),
        format!("begin at {};", info.local_isn),
        format!("begin at {};", info.remote_isn),
        "I expect +59 next".into(),
        "58 bytes of payload: your request".into(),
        "0x".into(),
        "http://stack.example/bytes".into(),
    ] {
        assert!(page.contains(&part), "{part} is missing in\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 90), "too wide for a terminal");
}

#[test]
fn the_page_is_json_for_those_who_ask() {
    let world = World::new();
    let mut stream = world.connect(SERVER[1], Service::Http);
    let (local, info) = (stream.local_addr().unwrap(), stream.info().unwrap());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: [fd69::1]\r\nAccept: application/json\r\nConnection: close\r\n\r\n")
        .unwrap();
    let response = Response::read(&mut stream);
    assert!(response.headers.contains("content-type: application/json"), "{}", response.headers);
    let page: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(page["remote"]["address"], "fd69::2");
    assert_eq!(page["remote"]["port"], local.port());
    assert_eq!(page["local"]["port"], 80);
    assert_eq!(page["state"], "ESTABLISHED");
    assert_eq!(page["mss"]["send"], 1440);
    assert_eq!(page["sequence"]["send"]["initial"], info.remote_isn);
    assert_eq!(page["sequence"]["receive"]["initial"], info.local_isn);
    let next = info.local_isn.wrapping_add(1 + page["bytes"]["receive"].as_u64().unwrap() as u32);
    assert_eq!(page["sequence"]["receive"]["next"], next);
    assert_eq!(page["first_checksum"]["verified_by"], "software");
}

#[test]
fn a_connection_is_kept_for_the_next_request_and_counts_both() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Http);
    let request = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 404");
    let last = "GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
    stream.write_all(last.as_bytes()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    let page: Value = serde_json::from_str(&rest[rest.rfind("\r\n\r\n").unwrap()..]).unwrap();
    assert_eq!(page["bytes"]["receive"].as_u64().unwrap(), (request.len() + last.len()) as u64);
}

#[test]
fn bytes_are_exactly_those_that_were_asked_for() {
    let world = World::new();
    for number in [0, 1, 251, 65_536, 5_000_001] {
        let response =
            world.request(&format!("GET /bytes?n={number} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert_eq!(response.status, 200);
        assert!(response.headers.contains(&format!("content-length: {number}\r\n")), "{}", response.headers);
        assert_eq!(response.body.len(), number);
        assert!(response.body.iter().enumerate().all(|(i, &byte)| usize::from(byte) == i % 251), "{number}");
    }
}

#[test]
fn a_head_request_gets_the_length_without_the_bytes() {
    let world = World::new();
    let response = world.request("HEAD /bytes?n=1099511627776 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(response.headers.contains("content-length: 1099511627776\r\n"), "{}", response.headers);
    assert_eq!(response.body, b"");
}

#[test]
fn an_upload_is_answered_with_its_length_and_checksum() {
    let world = World::new();
    let body = noise(3_000_000);
    let expected = format!("received 3000000 bytes, crc32 {:08x}\n", crc32(&body));
    for method in ["PUT", "POST"] {
        let mut stream = world.connect(SERVER[0], Service::Http);
        let head = format!(
            "{method} /discard HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let response = Response::read(&mut stream);
        assert_eq!((response.status, response.text()), (200, expected.as_str()), "{method}");
    }
}

#[test]
fn an_upload_may_come_in_chunks_and_wait_to_be_asked() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Http);
    let head = "PUT /discard HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut go = [0; 25];
    stream.read_exact(&mut go).unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut stream).text(), "received 9 bytes, crc32 cbf43926\n");
}

#[test]
fn a_peer_that_closes_its_direction_after_asking_is_answered() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Http);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let response = Response::read(&mut stream);
    assert_eq!(response.status, 200);
}

#[test]
fn requests_for_what_is_not_there_are_answered_with_what_is() {
    let world = World::new();
    for (request, status, part) in [
        ("GET /nowhere HTTP/1.1", 404, "GET /bytes?n=N"),
        ("GET /bytes HTTP/1.1", 400, "try: curl"),
        ("GET /bytes?n=many HTTP/1.1", 400, "Say how many"),
        ("DELETE / HTTP/1.1", 405, "try: curl"),
        ("POST /bytes?n=1 HTTP/1.1", 405, "is there to read"),
        ("GET /discard HTTP/1.1", 405, "takes bytes"),
        ("PUT /metrics HTTP/1.1", 405, "is there to read"),
    ] {
        let response = world.request(&format!("{request}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert_eq!(response.status, status, "{request}");
        assert!(response.text().contains(part), "{request}: {}", response.text());
        assert_eq!(response.headers.contains("\r\nallow: "), status == 405, "{request}");
    }
}

#[test]
fn metrics_are_what_whoever_offers_the_service_says_they_are() {
    let world = World::new();
    let response = world.request("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((response.status, response.text()), (200, "# EOF\n"));
    assert!(response.headers.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0;"));
}

#[test]
fn a_body_that_nobody_wanted_does_not_destroy_the_answer() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Http);
    stream.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").unwrap();
    let _ = stream.write_all(&noise(300_000));
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Response::read(&mut stream).status, 405);
}

#[test]
fn what_is_not_http_is_told_so() {
    let world = World::new();
    let response = world.request("\u{1}\u{2}hello there\r\n\r\n");
    assert_eq!(response.status, 400);
}

#[test]
fn fifty_connections_at_once_all_get_their_bytes() {
    let world = World::new();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let response = world.request("GET /bytes?n=100000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert_eq!(response.body.len(), 100_000);
            });
        }
    });
}

#[test]
fn a_port_that_is_taken_is_named() {
    let world = World::new();
    let error = world.runtime.block_on(services::run(world.server.clone(), &[Service::Echo])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with("echo cannot listen on 0.0.0.0:7: "), "{error}");
}

#[test]
fn services_end_with_their_stack() {
    let world = World::new();
    let mut stream = world.connect(SERVER[0], Service::Echo);
    stream.write_all(b"!").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    world.server.shut_down();
    let begun = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(begun.elapsed() < PATIENCE);
    let metrics = world.runtime.metrics();
    while metrics.num_alive_tasks() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} tasks live on", metrics.num_alive_tasks());
        thread::sleep(Duration::from_millis(5));
    }
}

/// CRC-32 of ISO-HDLC bit by bit, as little like the service's as can be.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
    })
}

#[test]
fn the_addresses_of_both_families_are_served() {
    let world = World::new();
    for address in SERVER {
        for &service in Service::ALL {
            let stream = world.connect(address, service);
            assert_eq!(stream.peer_addr().unwrap().ip(), address.parse::<IpAddr>().unwrap());
        }
    }
}
