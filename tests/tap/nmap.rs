//! What nmap says about the daemon: somebody else's idea of what a host does.
//!
//! nmap is made patient and slow enough that the limits on errors and RSTs (RFC 1812 §4.3.2.8) are not reached:
//! what it takes for filtered would be our prudence.

use crate::host::{Host, V4, V6, run};
use crate::namespace::alone;

/// Runs a scan of the daemon: it knows that it is there, and asks no name server.
#[track_caller]
fn nmap(arguments: &str) -> String {
    run(&format!("nmap -n -Pn --disable-arp-ping --host-timeout 60s {arguments}")).well()
}

/// The ports of a report with their states, as in `7/tcp open`.
fn ports(report: &str) -> Vec<String> {
    let is_port = |line: &&str| line.split_once('/').is_some_and(|(port, _)| port.parse::<u16>().is_ok());
    let state = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    report.lines().filter(is_port).map(state).collect()
}

const OPEN: [&str; 5] = ["7/tcp open", "9/tcp open", "13/tcp open", "19/tcp open", "80/tcp open"];

#[test]
fn a_syn_scan_finds_the_services_open_and_the_rest_closed() {
    alone(|| {
        let _host = Host::start(&["--probe", "0"]);
        let report = nmap(&format!("-sS -p 1-1024 --max-rate 500 --max-retries 5 {V4}"));
        assert_eq!(ports(&report), OPEN, "{report}");
        assert!(report.contains("Not shown: 1019 closed tcp ports (reset)"), "{report}");
        assert!(!report.contains("filtered"), "{report}");

        let report = nmap(&format!("-6 -sS -p 1-100 --max-rate 500 --max-retries 5 {V6}"));
        assert_eq!(ports(&report), OPEN, "{report}");
        assert!(report.contains("Not shown: 95 closed tcp ports (reset)"), "{report}");
    });
}

#[test]
fn a_scan_with_bad_checksums_finds_nothing() {
    alone(|| {
        let _host = Host::start(&["--probe", "0"]);
        let report = nmap(&format!("--badsum -sS -p 1-100 --max-rtt-timeout 300ms --max-retries 1 {V4}"));
        assert!(report.contains("All 100 scanned ports on 192.168.69.1 are in ignored states"), "{report}");
        assert!(report.contains("Not shown: 100 filtered tcp ports (no-response)"), "{report}");
    });
}

#[test]
fn a_udp_scan_tells_bound_ports_from_closed_ones() {
    alone(|| {
        let _host = Host::start(&["--probe", "0"]);
        for (address, option) in [(V4, ""), (V6, "-6")] {
            let report = nmap(&format!("{option} -sU -p 7,9,10,53,1000 --max-retries 2 {address}"));
            let states = ports(&report);
            // Echo answers what it is sent; discard never says a word.
            assert!(["7/udp open", "7/udp open|filtered"].contains(&states[0].as_str()), "{report}");
            let rest = ["9/udp open|filtered", "10/udp closed", "53/udp closed", "1000/udp closed"];
            assert_eq!(states[1..], rest, "{report}");
        }
    });
}

#[test]
fn a_protocol_scan_finds_icmp_tcp_and_udp() {
    alone(|| {
        let _host = Host::start(&["--probe", "0"]);
        let report = nmap(&format!("-sO -p 0-255 --max-rate 200 --max-retries 3 {V4}"));
        let open: Vec<&str> = report.lines().filter(|line| line.contains(" open")).collect();
        let numbers: Vec<&str> = open.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(numbers, ["1", "6", "17"], "{report}");
        assert!(!report.contains("filtered"), "{report}");
        assert!(report.contains("Not shown: 253 closed"), "{report}");
    });
}

#[test]
fn fingerprinting_finds_random_initial_sequence_numbers() {
    alone(|| {
        let _host = Host::start(&["--probe", "0"]);
        let report = nmap(&format!("-O -v --max-os-tries 1 -p 80,81,9 --max-retries 3 {V4}"));
        let line = report.lines().find(|line| line.starts_with("TCP Sequence Prediction:"));
        let line = line.unwrap_or_else(|| panic!("nmap does not say how random they are: {report}"));
        let difficulty = line.split_once("Difficulty=").and_then(|(_, rest)| rest.split_whitespace().next());
        let difficulty: u32 = difficulty.and_then(|number| number.parse().ok()).expect("a number");
        assert!(difficulty >= 200, "{line}");
    });
}
