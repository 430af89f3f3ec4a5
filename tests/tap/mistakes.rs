//! A person's mistakes: one sentence that says what to do, and exit code 2.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::host::{Host, Said, command, daemon, finish, run, script, tap_up};
use crate::namespace::alone;

/// A daemon that ought to refuse. One that starts instead is stopped.
#[track_caller]
fn attempt(args: &[&str]) -> Said {
    let daemon = daemon(args);
    finish(command("timeout").arg("10").arg(daemon.get_program()).args(daemon.get_args()))
}

#[track_caller]
fn refused(args: &[&str]) -> String {
    attempt(args).refusal()
}

#[test]
fn an_absent_tap_is_answered_with_the_script_that_makes_it() {
    alone(|| {
        for args in [&[][..], &["--tap", "tap7"]] {
            let said = refused(args);
            assert!(said.contains("scripts/tap-up.sh"), "{said}");
        }
        assert!(!run("ip link").well().contains("tap"), "opening a TAP that is absent must not make one");
    });
}

#[test]
fn a_tap_that_is_down_is_answered_with_the_script_that_sets_it_up() {
    alone(|| {
        run("ip tuntap add dev tap0 mode tap").well();
        let said = refused(&[]);
        assert!(said.contains("down") && said.contains("scripts/tap-up.sh"), "{said}");
    });
}

#[test]
fn a_name_longer_than_an_interface_may_have_is_refused() {
    alone(|| {
        let said = refused(&["--tap", "interface-number-one"]);
        assert!(said.contains("interface-number-one") && said.contains("15"), "{said}");
    });
}

#[test]
fn a_second_daemon_learns_that_the_tap_is_busy() {
    alone(|| {
        let _host = Host::start(&[]);
        let said = refused(&[]);
        assert!(said.contains("tap0") && (said.contains("busy") || said.contains("in use")), "{said}");
    });
}

#[test]
fn a_malformed_address_is_quoted() {
    alone(|| {
        tap_up();
        for text in
            ["192.168.69.1", "192.168.69/24", "192.168.69.1/33", "fd69::1/129", "example.org/24", "224.0.0.1/24"]
        {
            // clap may add how to get help: the sentence is what counts here.
            let said = attempt(&["--addr", text]);
            assert_eq!(said.code, Some(2), "{said:?}");
            assert!(said.err.contains(text.split('/').next().unwrap()), "{}", said.err);
        }
    });
}

#[test]
fn an_address_of_the_hosts_side_is_refused() {
    alone(|| {
        tap_up();
        for text in ["192.168.69.100/24", "fd69::100/64"] {
            let said = refused(&["--addr", text]);
            assert!(said.contains(text.split('/').next().unwrap()), "{said}");
        }
    });
}

#[test]
fn the_ethernet_address_of_the_hosts_side_is_refused() {
    alone(|| {
        tap_up();
        let link = run("ip -o link show dev tap0").well();
        let mac = link.split_once("link/ether ").unwrap().1.split(' ').next().unwrap();
        let said = refused(&["--mac", mac]);
        assert!(said.contains(mac) && said.contains("--mac"), "{said}");
    });
}

#[test]
fn a_limit_that_leaves_no_socket_for_a_connection_is_refused() {
    alone(|| {
        tap_up();
        for limit in ["sockets=1", "sockets=14"] {
            let said = refused(&["--limit", limit]);
            assert!(said.contains(limit) && said.contains("--services"), "{said}");
        }
        Host::attach(&["--limit", "sockets=1", "--services", "none", "--probe", "0"]);
        Host::attach(&["--limit", "sockets=15", "--probe", "0"]);
    });
}

#[test]
fn no_device_node_is_answered_with_modprobe() {
    alone(|| {
        tap_up();
        run("mount -t tmpfs tmpfs /dev/net").well();
        let said = refused(&[]);
        assert!(said.contains("/dev/net/tun") && said.contains("modprobe tun"), "{said}");
    });
}

#[test]
fn no_permission_is_answered_with_what_gives_it() {
    alone(|| {
        tap_up();
        // Nobody may open it: root in this namespace may by privilege, and is made to give that away.
        let forbidden = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(forbidden.path(), fs::Permissions::from_mode(0o000)).unwrap();
        run(&format!("mount --bind {} /dev/net/tun", forbidden.path().display())).well();
        let daemon = daemon(&[]);
        let said = finish(
            command("setpriv")
                .args(["--bounding-set=-all", "--inh-caps=-all"])
                .arg(daemon.get_program())
                .args(daemon.get_args()),
        );
        let said = said.refusal();
        assert!(said.contains("/dev/net/tun"), "{said}");
        assert!(said.to_lowercase().contains("permission") || said.contains("may not"), "{said}");
    });
}

#[test]
fn the_scripts_refuse_in_one_sentence_as_well() {
    alone(|| {
        run("ip link add veth0 type veth peer name veth1").well();
        let cases: [(&[&str], &str); 8] = [
            (&["--name", "a-name-of-16-char"], "15"),
            (&["--name", "a/b"], "'a/b'"),
            (&["--name", "veth0"], "not a TAP"),
            (&["--host4", "192.168.69.100"], "192.168.69.100/24"),
            (&["--host6", "192.168.69.100/24"], "fd69::100/64"),
            (&["--user", "nobody-of-this-name"], "nobody-of-this-name"),
            (&["--name"], "--help"),
            (&["--up"], "--up"),
        ];
        for (args, word) in cases {
            let said = finish(command(script("tap-up.sh").to_str().unwrap()).args(args)).refusal();
            assert!(said.contains(word), "{args:?}: {said}");
        }
        assert!(!run("ip link").well().contains("tap"));
    });
}
