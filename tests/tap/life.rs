//! How a daemon lives and ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::host::{Host, URLS, command, daemon, finish, run, script, shell, tap_up};
use crate::namespace::alone;

#[test]
fn both_signals_end_it_well_with_a_summary() {
    alone(|| {
        for signal in ["INT", "TERM"] {
            let host = Host::start(&[]);
            run(&format!("curl -gsSf --noproxy * {}", URLS[0])).well();
            let summary = host.stop(signal);
            assert!(summary.chars().any(|c| c.is_ascii_digit()), "no summary after SIG{signal}: '{summary}'");
        }
    });
}

#[test]
fn a_signal_closes_the_connections_that_are_open() {
    alone(|| {
        let host = Host::start(&["--services", "all"]);
        let mut stream = TcpStream::connect("192.168.69.1:7").unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        host.stop("TERM");
        // By FIN or by RST, but not by silence.
        let end = stream.read(&mut [0; 16]);
        let told = match &end {
            Ok(n) => *n == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(told, "{end:?}");
    });
}

#[test]
fn a_question_by_signal_is_answered_with_the_list_of_sockets_and_it_goes_on() {
    alone(|| {
        let host = Host::start(&["--services", "echo"]);
        let mut stream = TcpStream::connect("192.168.69.1:7").unwrap();
        let mut echo = [0; 5];
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut echo).unwrap();
        shell(&format!("kill -USR1 {}", host.pid())).well();
        let (deadline, own) = (Instant::now() + Duration::from_secs(10), stream.local_addr().unwrap().to_string());
        let is_listed = |log: &str| {
            let has = |words: &[&str]| log.lines().any(|line| words.iter().all(|word| line.contains(word)));
            has(&["LISTEN", ":7"]) && has(&["UNCONN", "udp#"]) && has(&["ESTABLISHED", "192.168.69.1:7", &own])
        };
        while !is_listed(&host.log()) {
            assert!(Instant::now() < deadline, "{}", host.log());
            sleep(Duration::from_millis(20));
        }
        stream.write_all(b"again").unwrap();
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"again");
        drop(stream);
        host.stop("INT");
    });
}

#[test]
fn it_leaves_the_tap_as_it_found_it_and_can_start_again() {
    alone(|| {
        let host = Host::start(&[]);
        host.stop("INT");
        let before = run("ip address show dev tap0").well();
        Host::attach(&[]).stop("INT");
        let after = run("ip address show dev tap0").well();
        // What the kernel says of the carrier and of its own address probing comes and goes by itself.
        let passing = ["DOWN", "tentative"];
        let words = |text: &str| -> Vec<String> {
            text.split_whitespace().filter(|word| !passing.contains(word)).map(str::to_owned).collect()
        };
        assert_eq!(words(&before), words(&after));
    });
}

#[test]
fn an_interface_that_vanishes_ends_it_with_a_clear_message() {
    alone(|| {
        let host = Host::start(&[]);
        run("ip link delete tap0").well();
        let said = host.ended();
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(said.err.contains("tap0"), "{}", said.err);
        assert!(!said.err.contains("panicked"), "{}", said.err);
    });
}

#[test]
fn the_owner_of_the_tap_needs_no_privilege() {
    alone(|| {
        finish(command(script("tap-up.sh").to_str().unwrap()).args(["--user", "root"])).well();
        let plain = daemon(&[]);
        let mut command = command("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(plain.get_program()).args(plain.get_args());
        let host = Host::launch(command);
        run(&format!("curl -gsSf --noproxy * {}", URLS[0])).well();
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    });
}

#[test]
fn a_stderr_that_nobody_reads_does_not_hold_it_up() {
    alone(|| {
        tap_up();
        let mut daemon =
            daemon(&["-vvv", "--probe", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        // A pipe holds 64 KiB: the packets of these bytes say ten times as much.
        let got = shell("curl -gsSf --noproxy '*' 'http://192.168.69.1/bytes?n=2000000' | wc -c").well();
        assert_eq!(got.trim(), "2000000");
        run(&format!("kill -TERM {}", daemon.id())).well();
        let deadline = Instant::now() + Duration::from_secs(10);
        let ended = loop {
            match daemon.try_wait().unwrap() {
                None if Instant::now() < deadline => sleep(Duration::from_millis(10)),
                ended => break ended,
            }
        };
        let _ = daemon.kill();
        assert_eq!(ended.and_then(|status| status.code()), Some(0));
    });
}

#[test]
fn each_depth_of_the_log_says_more() {
    alone(|| {
        let mut lengths = Vec::new();
        for depth in [&[][..], &["-v"], &["-vv"], &["-vvv"]] {
            let host = Host::start(depth);
            run(&format!("curl -gsSf --noproxy * {}", URLS[0])).well();
            run("ping -c 2 -i 0.2 192.168.69.1").well();
            lengths.push(host.log().lines().count());
        }
        assert!(lengths.is_sorted_by(|a, b| a < b), "{lengths:?}");
    });
}
