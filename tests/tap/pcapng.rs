//! A capture of ours, read by tshark.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::{Host, URLS, V4, V6, command, run};
use crate::namespace::alone;

/// What tshark prints of the packets that `filter` lets pass, every checksum verified.
fn tshark(file: &str, arguments: &[&str]) -> Vec<String> {
    let checks = ["ip", "tcp", "udp"].map(|protocol| format!("{protocol}.check_checksum:TRUE"));
    let output = Command::new("tshark")
        .args(["-n", "-r", file])
        .args(checks.iter().flat_map(|check| ["-o", check]))
        .args(arguments)
        .output()
        .expect("tshark is missing; run: sudo apt-get install --no-install-recommends tshark");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn tshark_finds_nothing_wrong_in_a_capture_of_ours_and_shows_each_comment() {
    alone(|| {
        let _host = Host::start(&[]);
        let file = std::env::temp_dir().join("trace.pcapng");
        let file = file.to_str().unwrap();
        let mut watcher = command("timeout")
            .args(["60", env!("CARGO_BIN_EXE_tapsock"), "trace", "-w", file])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ping = |address| run(&format!("ping -c 1 -W 1 {address}")).well();
        // It is attached when a ping is in the file.
        let begin = Instant::now();
        while !std::path::Path::new(file).exists() || tshark(file, &["-Y", "icmp"]).is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the watcher writes nothing");
            ping(V4);
            thread::sleep(Duration::from_millis(300));
        }
        ping(V6);
        for url in URLS {
            run(&format!("curl -gsSf --noproxy * {url}")).well();
        }
        // Nobody listens there.
        assert!(run(&format!("curl -gsS --noproxy * http://{V4}:81/")).code != Some(0));
        run(&format!("kill -INT {}", watcher.id())).well();
        assert!(watcher.wait().unwrap().success());

        let bad =
            ["ip", "tcp", "udp", "icmp", "icmpv6"].map(|name| format!("{name}.checksum.status == 0")).join(" || ");
        let wrong = tshark(file, &["-Y", &format!("_ws.malformed || {bad}")]);
        assert!(wrong.is_empty(), "{wrong:#?}");
        let right = tshark(file, &["-Y", "tcp.checksum.status == 1 && ip.checksum.status == 1"]);
        assert!(right.len() >= 10, "{right:#?}");
        let fields = ["frame.interface_name", "frame.packet_flags_direction", "frame.comment"];
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["-e", field]).collect();
        let all = tshark(file, &[&["-T", "fields"][..], &fields].concat());
        for line in &all {
            let words: Vec<&str> = line.split('\t').collect();
            assert!(words.len() == 3 && words[0] == "tap0" && words[2].starts_with('@'), "{line}");
        }
        for told in ["tcp.rst.closed-port: ", "LISTEN ⇒ SYN-RECEIVED · checksums: ip4 right, tcp right"] {
            assert!(all.iter().any(|line| line.contains(told)), "{told}: {all:#?}");
        }
    });
}

#[test]
fn a_capture_that_nobody_reads_any_more_ends_and_nothing_is_wrong() {
    alone(|| {
        let _host = Host::start(&[]);
        for form in [&[][..], &["--json"]] {
            let mut watcher = command("timeout")
                .args(["60", env!("CARGO_BIN_EXE_tapsock"), "trace", "-w", "/dev/fd/1"])
                .args(form)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut reader = watcher.stdout.take().unwrap();
            reader.read_exact(&mut [0; 28]).unwrap();
            drop(reader);
            let begin = Instant::now();
            let status = loop {
                run(&format!("ping -c 1 -W 1 {V4}")).well();
                if let Some(status) = watcher.try_wait().unwrap() {
                    break status;
                }
                assert!(begin.elapsed() < Duration::from_secs(30), "it writes to nobody");
            };
            let mut said = String::new();
            watcher.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!((status.code(), said.as_str()), (Some(0), "watching tap0; Ctrl-C ends it\n"));
        }
    });
}
