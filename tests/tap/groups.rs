//! Groups over a real TAP: the kernel on one side, a stack embedded in this process on the other.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tapsock::config::Config;
use tapsock::net::{Stack, UdpSocket};

use crate::host::{run, tap_up};
use crate::namespace::alone;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x123);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 100);

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// What comes within a second or two; a datagram that was lost is not waited for.
fn heard(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let (count, _) = socket.recv_from(&mut buffer).unwrap();
    buffer[..count].to_vec()
}

fn embedded() -> Stack {
    tap_up();
    let stack = Stack::builder().config(Config { probe: Duration::ZERO, ..Config::default() }).tap("tap0").unwrap();
    stack.wait_ready().unwrap();
    // Frames are lost until the kernel has noticed that somebody has opened the TAP.
    let deadline = Instant::now() + Duration::from_secs(10);
    while run("ping -c 1 -W 1 192.168.69.1").code != Some(0) {
        assert!(Instant::now() < deadline, "the stack does not answer a ping");
    }
    stack
}

#[test]
fn every_member_hears_what_the_host_sends_to_a_group_and_the_host_hears_us() {
    alone(|| {
        let stack = embedded();
        run("ip route add 239.0.0.0/8 dev tap0").well();
        let members = [at("0.0.0.0", 5000), at("0.0.0.0", 5000), at("239.1.2.3", 5000)]
            .map(|local| UdpSocket::bind_reusable(&stack, local).unwrap());
        members[0].join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED).unwrap();
        let again = members[0].join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED);
        assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);

        let host = std::net::UdpSocket::bind((HOST, 0)).unwrap();
        host.send_to(b"to all of you", (GROUP, 5000)).unwrap();
        for member in &members {
            assert_eq!(heard(member), b"to all of you");
        }

        let listener = std::net::UdpSocket::bind("0.0.0.0:6000").unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        listener.join_multicast_v4(&GROUP, &HOST).unwrap();
        members[1].send_to(b"and to you", (GROUP, 6000).into()).unwrap();
        let mut buffer = [0; 64];
        let (count, from) = listener.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..count], from), (&b"and to you"[..], at("192.168.69.1", 5000)));
        stack.shut_down();
    });
}

#[test]
fn members_hear_the_host_over_ipv6_too() {
    alone(|| {
        let stack = embedded();
        let members = [0; 2].map(|_| UdpSocket::bind_reusable(&stack, at("::", 5000)).unwrap());
        members[1].join_multicast_v6(&GROUP6, 0).unwrap();
        let index = fs::read_to_string("/sys/class/net/tap0/ifindex").map(|text| text.trim().parse().unwrap());
        let index: u32 = index.unwrap_or_else(|_| {
            let link = run("ip -o link show dev tap0").well();
            link.split(':').next().unwrap().trim().parse().unwrap()
        });
        let host = std::net::UdpSocket::bind("[::]:0").unwrap();
        let to = SocketAddrV6::new(GROUP6, 5000, 0, index);
        let deadline = Instant::now() + Duration::from_secs(10);
        // The host's own address is asked about first.
        while let Err(error) = host.send_to(b"to all of you", to) {
            assert!(Instant::now() < deadline, "{error}");
            thread::sleep(Duration::from_millis(100));
        }
        for member in &members {
            assert_eq!(heard(member), b"to all of you");
        }
        stack.shut_down();
    });
}

#[test]
fn broadcasts_of_the_host_reach_every_socket_and_ours_reach_the_host() {
    alone(|| {
        let stack = embedded();
        let ours = UdpSocket::bind(&stack, at("0.0.0.0", 5000)).unwrap();
        let host = std::net::UdpSocket::bind("0.0.0.0:6000").unwrap();
        host.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        host.set_broadcast(true).unwrap();
        host.send_to(b"hello", "192.168.69.255:5000").unwrap();
        assert_eq!(heard(&ours), b"hello");

        ours.send_to(b"no", at("192.168.69.255", 6000)).unwrap();
        let refused = (0..100).find_map(|_| {
            thread::sleep(Duration::from_millis(20));
            ours.send_to(b"no", at("192.168.69.255", 6000)).err()
        });
        assert_eq!(refused.map(|error| error.kind()), Some(std::io::ErrorKind::PermissionDenied));
        // The error of the last of them may still be on its way.
        ours.set_broadcast(true).unwrap();
        let _ = ours.send_to(b"yes", at("192.168.69.255", 6000));
        let _ = ours.send_to(b"yes", at("192.168.69.255", 6000));
        let mut buffer = [0; 64];
        let count = host.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"yes");
        stack.shut_down();
    });
}
