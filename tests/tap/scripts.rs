//! scripts/tap-up.sh and scripts/tap-down.sh.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::host::{Host, Said, V4, V6, command, finish, run, script, shell};
use crate::namespace::alone;

/// The pages of docs/ quote what these scripts print.
#[test]
fn the_pictures_of_the_docs_can_be_made_again() {
    alone(|| {
        let tapsock = env!("CARGO_BIN_EXE_tapsock");
        let said = finish(command(script("tracing.sh").to_str().unwrap()).args(["--bin", tapsock])).well();
        // A tree: the write of the page, its segment, the frames of that.
        let lines: Vec<&str> = said.lines().collect();
        let write = lines.iter().position(|line| line.contains(" write ")).unwrap();
        assert!(lines[write + 1].contains("─ tcp#") && lines[write + 1].contains(" segment out "), "{said}");
        assert!(lines[write + 2].contains("─ out tcp#"), "{said}");
        for part in [
            "accept",                                              // and what led to it
            "FIN-WAIT-2",                                          // a ladder knows the peer's state
            "again, first sent as @",                              // a retransmission points at what it repeats
            "· answered by the stack itself, tcp.rst.closed-port", // a refusal has a reason
            "RFC 9293 §3.10.7.1",                                  // which can be looked up
            ": right",                                             // a checksum, worked out
            "cwnd:",                                               // what a socket knows of itself
        ] {
            assert!(said.contains(part), "no '{part}' in: {said}");
        }
        assert!(!said.contains("exit code"), "{said}");
    });
}

#[track_caller]
fn tap_up(args: &[&str]) -> Said {
    finish(command(script("tap-up.sh").to_str().unwrap()).args(args))
}

#[track_caller]
fn tap_down(args: &[&str]) -> String {
    finish(command(script("tap-down.sh").to_str().unwrap()).args(args)).well()
}

/// All that the scripts may change.
fn network() -> String {
    let node = fs::metadata("/dev/net/tun").unwrap();
    [
        // Indices and lifetimes count on, and a queue is attached to a device when it is first set up.
        run("ip -details address show").well().lines().map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest)).fold(
            String::new(),
            |all, line| all + line.replace("qdisc pfifo_fast", "qdisc noop").replace("qdisc fq_codel", "qdisc noop").as_str() + "\n",
        ),
        run("ip route show table all").well(),
        run("ip -6 route show table all").well(),
        run("nft list ruleset").well(),
        shell("cd /proc/sys/net && grep -r . ipv4/ip_forward ipv4/conf/*/forwarding ipv6/conf/*/forwarding ipv6/conf/*/accept_ra").well(),
        format!("{:o}", node.permissions().mode()),
        shell("ls -R /run").well(),
    ]
    .join("\n")
}

#[test]
fn up_twice_is_up_once_and_down_undoes_it() {
    alone(|| {
        run("ip link add veth0 type veth peer name veth1").well();
        let before = network();
        let options: [&[&str]; 4] = [
            &[],
            &["--masquerade"],
            &["--name", "tap.x-1", "--host4", "10.9.8.7/30", "--host6", "none"],
            &["--user", "root", "--host4", "none", "--host6", "fd00:0:0::1/48", "--masquerade"],
        ];
        for options in options {
            let name: Vec<&str> = options.iter().skip_while(|option| **option != "--name").take(2).copied().collect();
            tap_up(options).well();
            let up = network();
            assert_ne!(before, up);
            assert_eq!(tap_up(options).well().lines().count(), 1, "nothing was left to do");
            assert_eq!(up, network());
            tap_down(&name);
            assert_eq!(before, network(), "{options:?}");
            tap_down(&name);
            assert_eq!(before, network(), "{options:?}");
        }
    });
}

#[test]
fn what_was_there_before_stays() {
    alone(|| {
        run("ip tuntap add dev tap0 mode tap").well();
        run("ip address add 192.168.69.100/24 dev tap0").well();
        run("ip address add 10.0.0.1/8 dev tap0").well();
        shell("echo 1 >/proc/sys/net/ipv4/ip_forward").well();
        run("nft add table ip mine").well();
        let before = network();
        tap_up(&["--masquerade"]).well();
        assert!(run("ip address show dev tap0").well().contains("fd69::100/64"));
        tap_down(&[]);
        assert_eq!(before, network());
    });
}

#[test]
fn a_step_that_fails_takes_back_the_earlier_ones() {
    alone(|| {
        let before = network();
        let said = tap_up(&["--host4", "192.168.69.300/24"]).refusal();
        assert!(said.contains("192.168.69.300/24"), "{said}");
        assert_eq!(before, network());
    });
}

#[test]
fn what_somebody_removed_meanwhile_is_no_error() {
    alone(|| {
        let before = network();
        tap_up(&["--masquerade"]).well();
        run("ip link delete tap0").well();
        run("nft delete table inet tapsock-tap0").well();
        tap_down(&[]);
        assert_eq!(before, network());
    });
}

#[test]
fn the_user_can_open_the_node_until_it_is_undone() {
    alone(|| {
        let is_root = fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2) != Some("1");
        if is_root {
            // A node of our own: the machine's must not change.
            run("mknod -m 0600 /run/tun c 10 200").well();
            run("mount --bind /run/tun /dev/net/tun").well();
        }
        // An ordinary user's namespace has one user, and could not open the node at all if its mode forbade it.
        let user = if is_root { "65534" } else { "0" };
        let mode = || fs::metadata("/dev/net/tun").unwrap().mode() & 0o777;
        let before = mode();
        tap_up(&["--user", user]).well();
        if is_root {
            assert_eq!(mode(), 0o666);
            assert!(tap_up(&["--user", "1"]).refusal().contains("tap-down.sh"), "it belongs to somebody else");
        }
        let can_write: &[&str] = match is_root {
            true => &["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "test", "-w", "/dev/net/tun"],
            false => &["test", "-w", "/dev/net/tun"],
        };
        finish(command(can_write[0]).args(&can_write[1..])).well();
        tap_down(&[]);
        assert_eq!(mode(), before);
    });
}

#[test]
fn masquerade_joins_the_stack_to_what_is_beyond_the_host() {
    alone(|| {
        // Another machine on another network of the host's, which knows no way back to the stack.
        run("ip netns add beyond").well();
        run("ip link add veth0 type veth peer name veth1 netns beyond").well();
        run("ip address add 203.0.113.1/24 dev veth0").well();
        run("ip address add 2001:db8::1/64 dev veth0 nodad").well();
        run("ip link set veth0 up").well();
        run("ip -n beyond address add 203.0.113.2/24 dev veth1").well();
        run("ip -n beyond address add 2001:db8::2/64 dev veth1 nodad").well();
        run("ip -n beyond link set veth1 up").well();
        tap_up(&["--masquerade"]).well();
        let _host = Host::attach(&["--gateway", "192.168.69.100", "--gateway", "fd69::100"]);

        // What leaves the stack's network is answered, so it went under an address that the other machine knows …
        for (from, to) in [("192.168.69.100", "203.0.113.2"), ("fd69::100", "2001:db8::2")] {
            run(&format!("ping -c 2 -i 0.2 -W 2 -I {from} {to}")).well();
        }
        // … and who is told the way reaches the stack through the host, which answers by its gateway.
        run("ip -n beyond route add 192.168.69.0/24 via 203.0.113.1").well();
        run("ip -n beyond -6 route add fd69::/64 via 2001:db8::1").well();
        for address in [V4, V6] {
            run(&format!("ip netns exec beyond ping -c 2 -i 0.2 -W 2 {address}")).well();
        }
    });
}
