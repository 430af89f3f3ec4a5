//! The examples, run as a newcomer would, and held to what their comments promise.
//!
//! `cargo test` builds them beside this test. Those that need a TAP are run by `tests/tap`.
#![allow(clippy::unwrap_used, clippy::panic)] // the functions beside the tests are of the tests too

use std::env;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An example that hangs is a failure that somebody should read about.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where cargo has put an example: next to `deps`, where this test is.
fn example(name: &str) -> PathBuf {
    let path = env::current_exe().unwrap().parent().unwrap().join("../examples").join(name);
    assert!(path.exists(), "{name} is not built; run: cargo build --all-features --examples");
    path
}

fn wait(child: &mut Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

/// Runs an example to its end; gives what it printed.
fn output(name: &str) -> String {
    let mut child = Command::new(example(name))
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let printed = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let is_well = wait(&mut child);
    let (printed, errors) = (printed.join().unwrap().unwrap(), errors.join().unwrap().unwrap());
    assert!(is_well, "{name} failed\n{printed}{errors}");
    printed
}

/// Whether each of these is a line, in this order.
fn assert_lines(output: &str, lines: &[&str]) {
    let mut rest = output.lines();
    for line in lines {
        assert!(rest.any(|printed| printed == *line), "no line \"{line}\" where it should be in:\n{output}");
    }
}

#[test]
fn echo_gives_back_what_the_client_said_and_each_end_knows_the_other() {
    let output = output("echo");
    assert_lines(&output, &["server: waiting at 10.0.0.1:7", "client: heard \"Hello, is there an echo?\""]);
    let client = output.lines().find_map(|line| line.strip_prefix("client: I am ")).unwrap();
    assert!(client.starts_with("10.0.0.2:"), "{output}");
    for line in [format!("server: {client} calls"), format!("server: {client} has said everything")] {
        assert_lines(&output, &[&line]);
    }
}

#[test]
fn datagrams_stay_whole_and_a_house_without_anybody_sends_them_back() {
    assert_lines(
        &output("udp_talker_listener"),
        &[
            "16 bytes from Ann: \"the first letter\"",
            " 0 bytes from Ann: \"\"",
            "17 bytes from Bob: \"a letter of Bob's\"",
            "Ann reads only the first 5 bytes: \"thank\"",
            "Ann reads the next letter whole: \"thank you\"",
            "nobody lives at port 4951: connection refused",
        ],
    );
}

#[test]
fn a_ping_is_answered_by_who_is_there() {
    assert_lines(
        &output("ping"),
        &[
            "22 bytes from 10.0.0.2: icmp_seq=1 ttl=64",
            "22 bytes from 10.0.0.2: icmp_seq=2 ttl=64",
            "22 bytes from 10.0.0.2: icmp_seq=3 ttl=64",
            "10.0.0.3: host unreachable",
        ],
    );
}

#[test]
fn a_broadcast_needs_a_right_and_reaches_all_who_share_the_port() {
    assert_lines(
        &output("broadcaster"),
        &[
            "without SO_BROADCAST: permission denied",
            "the first there hears \"hear, hear!\" from 10.0.0.1",
            "the second there hears \"hear, hear!\" from 10.0.0.1",
        ],
    );
}

#[test]
fn a_group_is_heard_by_its_members_and_by_nobody_else() {
    assert_lines(
        &output("multicast_chat"),
        &[
            "Ann hears  Ann: hello, whoever is there",
            "Bob hears  nothing",
            "-- Bob joins",
            "Ann hears  Ann: who is new?",
            "Bob hears  Ann: who is new?",
            "Ann hears  nothing",
            "Bob hears  Ann: I am quiet now",
            "-- Bob leaves",
            "Ann hears  nothing",
            "Bob hears  nothing",
            "Ann hears  Bob: one need not be a member to speak",
        ],
    );
}

#[test]
fn a_traceroute_ends_at_the_host_that_complains_about_the_port() {
    let output = output("traceroute");
    assert!(output.starts_with(" 1  10.0.0.2  arrived: nobody listens here, after "), "{output}");
    assert_eq!(output.lines().count(), 1, "{output}");
}

#[cfg(feature = "axum")]
#[test]
fn axum_serves_on_our_listener_as_it_is() {
    assert_lines(
        &output("http_axum"),
        &[
            "waiting at http://0.0.0.0:8080/",
            "GET /: HTTP/1.1 200 OK: Hello from axum on tapsock",
            "GET /greet/Ann: HTTP/1.1 200 OK: Good day, Ann!",
        ],
    );
}

#[test]
fn tls_runs_over_our_streams_and_refuses_a_stranger() {
    let output = output("tls");
    assert_lines(&output, &["client: heard \"THE TREASURE IS UNDER THE OAK\""]);
    assert!(output.contains("client: hung up on a stranger: invalid peer certificate"), "{output}");
}

#[test]
fn websocket_messages_come_back_as_they_were_sent() {
    assert_lines(
        &output("websocket"),
        &[
            "client: 101 Switching Protocols",
            "client: sent 5 bytes, and the same 5 came back",
            "client: sent 0 bytes, and the same 0 came back",
            "client: sent 1000000 bytes, and the same 1000000 came back",
            "server: the client has said goodbye",
        ],
    );
}

#[test]
fn one_api_reaches_another_host_this_host_and_no_network_at_all() {
    let output = output("one_api");
    assert_lines(
        &output,
        &[
            "no network    @greeter heard \"hello\"       0 frames",
            "this host     10.0.0.1:4951 heard \"hello\"  0 frames",
        ],
    );
    let far = output.lines().find(|line| line.starts_with("another host")).unwrap();
    assert!(far.contains("heard \"hello\"") && !far.ends_with(" 0 frames"), "{output}");
}

#[test]
fn one_thread_serves_many_clients() {
    let output = output("select_server");
    assert_lines(&output, &["40 of 40 clients heard what they had said", "one thread served 40 at once"]);
}
