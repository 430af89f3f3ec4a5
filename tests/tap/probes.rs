//! `tapsock ping` and `tapsock traceroute`: small stacks of their own on the TAP.

use crate::host::{Host, Said, command, example, finish, run, tap_up};
use crate::namespace::alone;

/// The program under test, with a subcommand; nobody else has its addresses.
#[track_caller]
fn tapsock(line: &str) -> Said {
    finish(command(env!("CARGO_BIN_EXE_tapsock")).args(line.split_whitespace()).args(["--probe", "0"]))
}

const BY_THE_HOST: &str = "--gateway 192.168.69.100 --gateway fd69::100";

/// Behind the host a router, 10.1.0.2 and fd01::2, and behind that a host, 10.2.0.2 and fd02::2.
pub(crate) fn far_away() {
    tap_up();
    for name in ["router", "far"] {
        run(&format!("ip netns add {name}")).well();
        run(&format!("ip netns exec {name} sysctl -qw net.ipv6.conf.default.accept_dad=0")).well();
    }
    run("sysctl -qw net.ipv6.conf.default.accept_dad=0").well();
    run("ip link add near type veth peer name back netns router").well();
    run("ip -n router link add on type veth peer name end netns far").well();
    for (namespace, link, v4, v6) in [
        ("", "near", "10.1.0.1/24", "fd01::1/64"),
        ("-n router", "back", "10.1.0.2/24", "fd01::2/64"),
        ("-n router", "on", "10.2.0.1/24", "fd02::1/64"),
        ("-n far", "end", "10.2.0.2/24", "fd02::2/64"),
    ] {
        run(&format!("ip {namespace} link set {link} up")).well();
        run(&format!("ip {namespace} addr add {v4} dev {link}")).well();
        run(&format!("ip {namespace} addr add {v6} dev {link} nodad")).well();
    }
    for inside in ["", "ip netns exec router "] {
        // Routers say at most so many errors a second that a second test right after the first would see stars.
        run(&format!("{inside}sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")).well();
        run(&format!("{inside}sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")).well();
    }
    run("ip netns exec far sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0").well();
    for route in [
        "route add 10.2.0.0/24 via 10.1.0.2",
        "route add fd02::/64 via fd01::2",
        "-n router route add default via 10.1.0.1",
        "-n router route add default via fd01::1",
        "-n far route add default via 10.2.0.1",
        "-n far route add default via fd02::1",
    ] {
        run(&format!("ip {route}")).well();
    }
}

#[test]
fn the_host_answers_our_pings_of_every_size() {
    alone(|| {
        tap_up();
        for host in ["192.168.69.100", "fd69::100"] {
            for size in [0, 56, 1500, 60_000] {
                let said = tapsock(&format!("ping -c 3 -i 0.1 -s {size} {host}")).well();
                assert!(said.contains(&format!("{} bytes from {host}: icmp_seq=3 ttl=64 time=", size + 8)), "{said}");
                assert!(said.contains("3 packets transmitted, 3 received, 0% packet loss"), "{said}");
                assert!(said.contains("rtt min/avg/max/mdev = "), "{said}");
                assert!(!said.contains("wrong") && !said.contains("truncated") && !said.contains("DUP"), "{said}");
            }
        }
    });
}

#[test]
fn an_interrupt_ends_a_ping_with_its_summary() {
    alone(|| {
        tap_up();
        let binary = env!("CARGO_BIN_EXE_tapsock");
        let line = format!("timeout --preserve-status -s INT 2 {binary} ping -i 0.1 --probe 0 192.168.69.100");
        let said = run(&line).well();
        assert!(said.contains("icmp_seq=1 ") && said.contains("0% packet loss"), "{said}");
    });
}

#[test]
fn nobody_answers_at_a_dead_address_and_that_is_exit_code_1() {
    alone(|| {
        tap_up();
        for host in ["192.168.69.77", "fd69::77"] {
            let said = tapsock(&format!("ping -c 2 -i 0.1 -W 0.5 {host}"));
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.out.contains("2 packets transmitted, 0 received, 100% packet loss"), "{said:?}");
        }
        // Given time, the stack itself says why.
        let said = tapsock("ping -c 1 192.168.69.77");
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("From 192.168.69.1 icmp_seq=1 Destination Host Unreachable"), "{said:?}");
    });
}

#[test]
fn a_ping_that_may_not_pass_so_many_routers_is_told_by_whom_it_ended_at() {
    alone(|| {
        far_away();
        for (ttl, from, far) in [(1, "192.168.69.100", "10.2.0.2"), (2, "fd01::2", "fd02::2")] {
            let said = tapsock(&format!("ping -c 2 -i 0.1 -t {ttl} {BY_THE_HOST} {far}"));
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.out.contains(&format!("From {from} icmp_seq=2 Time ")), "{said:?}");
            assert!(said.out.contains("0 received, +2 errors, 100% packet loss"), "{said:?}");
        }
        let said = tapsock(&format!("ping -c 1 {BY_THE_HOST} 10.2.0.2")).well();
        assert!(said.contains("ttl=62"), "{said}");
    });
}

#[test]
fn traceroute_finds_the_routers_on_the_way() {
    alone(|| {
        far_away();
        for (far, hops) in
            [("10.2.0.2", ["192.168.69.100", "10.1.0.2", "10.2.0.2"]), ("fd02::2", ["fd69::100", "fd01::2", "fd02::2"])]
        {
            for probes in ["", "-I"] {
                let said = tapsock(&format!("traceroute {probes} {BY_THE_HOST} {far}")).well();
                let found: Vec<_> = said.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
                assert_eq!(found, hops, "{said}");
                assert!(said.starts_with(&format!("traceroute to {far} ({far}), 30 hops max, ")), "{said}");
            }
        }
        let said = tapsock(&format!("traceroute -q 1 -m 2 {BY_THE_HOST} 10.2.0.2"));
        assert_eq!((said.code, said.out.lines().count()), (Some(1), 3), "{said:?}");
        let said = tapsock(&format!("traceroute -q 1 {BY_THE_HOST} 10.77.0.1"));
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains(" ms !N"), "{said:?}");
    });
}

#[test]
fn the_example_finds_the_same_routers_with_raw_sockets() {
    alone(|| {
        far_away();
        let traceroute = example("traceroute");
        let said = run(&format!("{} tap0 192.168.69.100 10.2.0.2", traceroute.display())).well();
        let found: Vec<_> = said.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(found, ["192.168.69.100", "10.1.0.2", "10.2.0.2"], "{said}");
        assert!(said.contains("arrived: nobody listens here"), "{said}");
    });
}

#[test]
fn mistakes_are_one_sentence_and_exit_code_2() {
    alone(|| {
        for command in ["ping -c 1", "traceroute"] {
            let said = tapsock(&format!("{command} 192.168.69.100")).refusal();
            assert!(said.contains("scripts/tap-up.sh"), "{said}");
        }
        tap_up();
        for command in ["ping -c 1", "traceroute"] {
            for (host, word) in [
                ("10.0.0.1", "--gateway"),
                ("192.168.69.255", "broadcast"),
                ("-6 192.168.69.100", "family"),
                ("--addr 10.0.0.2/24 fd69::100", "--addr"),
                ("--addr 192.168.69.100/24 192.168.69.1", "host's own address"),
                ("name.invalid", "name.invalid"),
            ] {
                let said = tapsock(&format!("{command} {host}")).refusal();
                assert!(said.contains(word), "{command} {host}: {said}");
            }
        }
        let _host = Host::attach(&[]);
        let said = tapsock("ping -c 1 --addr 192.168.69.9/24 192.168.69.1").refusal();
        assert!(said.contains("tap0"), "{said}");
    });
}
