//! What a correct host does on the wire, line by line, and which tests show it: docs/conformance.md.
//!
//! The document is made from the table here and the names of the tests. Write it anew with
//!
//! ```text
//! TAPSOCK_WRITE=1 cargo test --test conformance the_document
//! ```

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// The sections, with the number of their first line and what each line says. Line 0 stands for what holds for every
/// frame.
const SECTIONS: &[(&str, usize, &[&str])] = &[
    (
        "Every frame we send",
        0,
        &["Every checksum is valid, no IP packet is larger than the link's MTU, TTL and hop limit are not 0"],
    ),
    (
        "ARP (RFC 826, 5227)",
        1,
        &[
            "Answers only for its own addresses",
            "Answers a unicast request",
            "Ignores frames to another Ethernet address",
            "Survives malformed ARP",
        ],
    ),
    (
        "IPv4 (RFC 791, 1122)",
        5,
        &[
            "A bad header checksum is dropped",
            "A bad version, header length or total length is dropped",
            "Ethernet padding is trimmed",
            "TTL 1 is accepted",
            "Options are tolerated, malformed ones survived",
            "Martian, multicast and own-address sources are dropped",
            "Never forwards",
            "An unknown protocol: Protocol Unreachable",
            "Fragments in any order, interleaved datagrams",
            "Duplicates and consistent overlaps are safe; 600 incomplete datagrams do not stop the 601st",
            "Reassembly timeout: ICMP 11/1",
            "8000-byte UDP echo, 65 000-byte ping",
        ],
    ),
    (
        "ICMP (RFC 792, 1122, 1812)",
        17,
        &[
            "Echo is exact at any size, odd lengths included",
            "A bad checksum is dropped",
            "An unknown type is silent",
            "No error about an error, a broadcast, a multicast, a non-first fragment",
            "The quote holds the original bytes",
            "Errors are rate-limited, echo is not by default",
        ],
    ),
    (
        "UDP (RFC 768, 1122)",
        23,
        &[
            "A bad checksum is dropped",
            "An IPv4 zero checksum is accepted",
            "A computed 0 is sent as 0xffff",
            "The length field is checked",
            "Port unreachable",
        ],
    ),
    (
        "TCP (RFC 9293, 1122, 5681, 5961, 6191, 6298, 7323, 2018)",
        28,
        &[
            "The RST of a closed port has the right seq and ack, also for SYN with data and for FIN",
            "LISTEN: ACK → RST; RST, FIN, null silent; a broadcast or multicast SYN silent",
            "MSS is sent; 536 (IPv6: 1220) when the peer sends none",
            "The peer's MSS and window are never exceeded",
            "Options only when offered; unknown and malformed ones ignored",
            "The SYN-ACK's window is unscaled",
            "Zero-window probes",
            "Out of order, overlap, duplicates, 20 segments reversed, sequence wrap",
            "An immediate duplicate ACK",
            "Data outside the window is acknowledged, not delivered; a segment without ACK is dropped",
            "RST: exact kills, in-window gets a challenge ACK, outside is ignored",
            "SYN in ESTABLISHED: challenge ACK",
            "ACK of unsent data: ACK, drop",
            "A keepalive probe is answered",
            "Half-close; FIN with data; FIN out of order; FIN retransmitted",
            "After close, new data gets RST",
            "TIME-WAIT re-ACKs a FIN, survives a stray RST, and can be reused by a newer SYN",
            "SYN-ACK and data retransmission back off exponentially, from a fresh 1 s for each connection",
            "Fast retransmit after 3 duplicate ACKs",
            "Soft ICMP errors do not abort; forged ones are ignored",
            "Initial sequence numbers are unpredictable (RFC 6528)",
            "PAWS; timestamps are consistent",
            "SACK blocks for what was received",
            "Duplicate SYN in SYN-RECEIVED; bad ACK there: RST; RST there returns to LISTEN",
            "300 half-open connections do not stop the 301st client",
            "Delayed ACK under 500 ms",
        ],
    ),
    (
        "IPv6 (RFC 8200, 4443, 4861, 4862, 2710, 3810)",
        54,
        &[
            "NS is answered (multicast, unicast), only with hop limit 255 and a valid checksum; a DAD NS to ff02::1; other targets are ignored",
            "Echo at any size, also to ff02::1",
            "An unknown next header: Parameter Problem with the right pointer",
            "Option actions 00, 01, 10, 11 for hop-by-hop and destination options",
            "Routing header 0 is rejected",
            "Fragments in any order, atomic fragments, overlap drops the datagram, an unaligned fragment: Parameter Problem",
            "A UDP zero checksum is dropped",
            "Port unreachable; no errors to multicast or about errors",
            "An MLD query is answered",
            "A multicast source is dropped",
        ],
    ),
    (
        "Anything",
        64,
        &[
            "Every truncation of every valid frame, bit flips, random frames, and mutated frames with repaired checksums: the stack keeps answering",
        ],
    ),
];

const LAST: usize = 64;

/// What nmap must say, and which test makes it (tests/tap/nmap.rs).
const NMAP: &[(&str, &str, &str)] = &[
    (
        "`-sS -p 1-1024`, `-6 -sS -p 1-100`",
        "7, 9, 13, 19 and 80 open, all others closed, none filtered",
        "a_syn_scan_finds_the_services_open_and_the_rest_closed",
    ),
    ("`-sS --badsum`", "all filtered", "a_scan_with_bad_checksums_finds_nothing"),
    (
        "`-sU -p 7,9,10,53,1000`, also `-6`",
        "7 open, 9 open\\|filtered (discard never answers), the rest closed",
        "a_udp_scan_tells_bound_ports_from_closed_ones",
    ),
    ("`-sO`", "1, 6 and 17 open, 253 closed", "a_protocol_scan_finds_icmp_tcp_and_udp"),
    (
        "`-O -v`",
        "initial sequence numbers of difficulty 200 and more: good luck",
        "fingerprinting_finds_random_initial_sequence_numbers",
    ),
];

/// Each test by its module, its name, and whether it runs on a TAP too.
fn tests() -> Vec<(&'static str, &'static str, bool)> {
    let modules = [
        ("arp", crate::arp::TESTS),
        ("ip4", crate::ip4::TESTS),
        ("fragments", crate::fragments::TESTS),
        ("icmp", crate::icmp::TESTS),
        ("udp", crate::udp::TESTS),
        ("tcp_listen", crate::tcp_listen::TESTS),
        ("tcp_data", crate::tcp_data::TESTS),
        ("tcp_close", crate::tcp_close::TESTS),
        ("tcp_loss", crate::tcp_loss::TESTS),
        ("ip6", crate::ip6::TESTS),
        ("hostile", crate::hostile::TESTS),
    ];
    modules.iter().flat_map(|(module, tests)| tests.iter().map(|&(name, tap)| (*module, name, tap))).collect()
}

/// The line that a test is named after.
fn line_of(name: &str) -> usize {
    let number = name.strip_prefix("line_").and_then(|rest| rest.get(..2)).and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("{name} is not named after a line"))
}

fn document() -> String {
    let tests = tests();
    let mut text = String::from(
        "# What a correct host does on the wire, and the tests that show it\n\n\
         This file is generated from `tests/conformance`, and a test fails when the two disagree. Write it anew with\n\
         `TAPSOCK_WRITE=1 cargo test --test conformance the_document`.\n\n\
         Each test sends crafted frames and reads what comes back, over an in-memory link in virtual time; those marked\n\
         *TAP* run again against the daemon's process (or a stack embedded in the test) behind a real TAP. IPv4 and\n\
         IPv6 are both tested wherever a line is not about one of them. `cargo test --test conformance line_38` runs\n\
         the tests of one line.\n",
    );
    for (section, first, lines) in SECTIONS {
        let _ = write!(text, "\n## {section}\n\n| line | what | tests | TAP |\n|---:|---|---|---|\n");
        for (i, what) in lines.iter().enumerate() {
            let line = first + i;
            let own: Vec<_> = tests.iter().filter(|(_, name, _)| line_of(name) == line).collect();
            let names: Vec<String> = own.iter().map(|(module, name, _)| format!("`{module}::…::{name}`")).collect();
            let tap = if own.iter().any(|(.., tap)| *tap) { "yes" } else { "" };
            let number = if line == 0 { "–".into() } else { line.to_string() };
            let _ = writeln!(text, "| {number} | {what} | {} | {tap} |", names.join("<br>"));
        }
    }
    text.push_str("\n## What nmap says of the daemon\n\n| scan | result | test |\n|---|---|---|\n");
    for (scan, result, test) in NMAP {
        let _ = writeln!(text, "| {scan} | {result} | `nmap::{test}` |");
    }
    text.push_str(
        "\nThe scans are slow enough (`--max-rate`) to stay below the limit on errors and RSTs, 1000 a second\n\
         (RFC 1812 §4.3.2.8): beyond it nmap would take our silence for a filter.\n",
    );
    let tested = |tap_only: bool| {
        let mut lines: Vec<usize> =
            tests.iter().filter(|(.., tap)| *tap || !tap_only).map(|(_, name, _)| line_of(name)).collect();
        lines.sort_unstable();
        lines.dedup();
        lines.iter().filter(|&&line| line > 0).count()
    };
    let _ = write!(text, "\n{} of {LAST} lines have a test; {} of them over a TAP too.\n", tested(false), tested(true));
    text
}

#[test]
fn the_document_says_what_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let text = document();
    if env::var_os("TAPSOCK_WRITE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/conformance.md is not up to date; run: TAPSOCK_WRITE=1 cargo test --test conformance the_document"
    );
}

#[test]
fn every_line_has_a_test() {
    let tests = tests();
    let mut next = 0;
    for (section, first, lines) in SECTIONS {
        assert_eq!(*first, next, "{section} does not follow");
        next += lines.len();
    }
    assert_eq!(next, LAST + 1);
    for line in 0..=LAST {
        assert!(tests.iter().any(|(_, name, _)| line_of(name) == line), "no test is named after line {line}");
    }
    assert!(tests.iter().all(|(_, name, _)| line_of(name) <= LAST));
    let nmap = include_str!("../tap/nmap.rs");
    assert_eq!(nmap.matches("#[test]").count(), NMAP.len());
    for (.., test) in NMAP {
        assert!(nmap.contains(&format!("fn {test}()")), "tests/tap/nmap.rs has no {test}");
    }
}
