//! ping and arping.

use crate::host::{Host, V4, V6, run};
use crate::namespace::alone;

#[test]
fn ping_of_every_size_up_to_the_mtu_is_answered() {
    alone(|| {
        let _host = Host::start(&[]);
        for (address, largest) in [(V4, 1472), (V6, 1452)] {
            for size in [0, 1, 56, 1001, largest] {
                let said = run(&format!("ping -c 3 -i 0.2 -W 2 -M do -s {size} {address}")).well();
                assert!(said.contains("3 received, 0% packet loss"), "{size} bytes: {said}");
                // ping names these in its report, and still succeeds.
                for flaw in ["wrong data byte", "truncated", "DUP!", "checksum"] {
                    assert!(!said.contains(flaw), "{size} bytes: {said}");
                }
            }
        }
    });
}

/// WIRE 16: in fragments, both ways.
#[test]
fn ping_of_every_size_beyond_the_mtu_is_answered_from_the_first_on() {
    alone(|| {
        let _host = Host::start(&[]);
        for (address, largest) in [(V4, 65_507), (V6, 65_527)] {
            for size in [65_000, 1473, 8000, largest] {
                let said = run(&format!("ping -c 5 -i 0.2 -W 2 -s {size} {address}")).well();
                assert!(said.contains("5 received, 0% packet loss"), "{size} bytes: {said}");
                for flaw in ["wrong data byte", "truncated", "DUP!", "checksum"] {
                    assert!(!said.contains(flaw), "{size} bytes: {said}");
                }
            }
        }
    });
}

#[test]
fn a_flood_of_pings_loses_nothing() {
    alone(|| {
        let _host = Host::start(&[]);
        for address in [V4, V6] {
            let said = run(&format!("ping -f -q -c 20000 {address}")).well();
            assert!(said.contains("20000 received, 0% packet loss"), "{said}");
            assert!(!said.contains("duplicates"), "{said}");
        }
    });
}

#[test]
fn arp_answers_for_its_own_address_alone() {
    alone(|| {
        let _host = Host::start(&["--mac", "02:00:5e:10:00:2a"]);
        let said = run("arping -c 3 -w 5 -I tap0 192.168.69.1").well().to_lowercase();
        assert!(said.contains("02:00:5e:10:00:2a"), "{said}");
        assert!(said.contains("received 3 response"), "{said}");

        let silent = run("arping -c 2 -w 3 -I tap0 192.168.69.2");
        assert_eq!(silent.code, Some(1), "{silent:?}");
        assert!(silent.out.to_lowercase().contains("received 0 response"), "{silent:?}");
    });
}

#[test]
fn several_addresses_are_all_answered_and_replace_the_default() {
    alone(|| {
        let _host = Host::start(&["--addr", "192.168.69.7/24", "--addr", "192.168.69.8/24", "--addr", "fd69::7/64"]);
        for address in ["192.168.69.7", "192.168.69.8", "fd69::7"] {
            run(&format!("ping -c 1 -W 2 {address}")).well();
        }
        assert_eq!(run(&format!("ping -c 1 -W 2 {V4}")).code, Some(1));
    });
}
