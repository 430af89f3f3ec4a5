//! The control socket of a daemon, and the programs that look through it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::host::{Host, Said, URLS, V4, command, daemon, finish, run, tap_up};
use crate::namespace::alone;

const SOCKET: &str = "/run/tapsock/tap0.sock";
const WITHIN: Duration = Duration::from_secs(20);

/// The program under test, with these arguments.
fn tapsock(line: &str) -> Said {
    finish(command("timeout").arg("20").arg(env!("CARGO_BIN_EXE_tapsock")).args(line.split_whitespace()))
}

fn curl() {
    run(&format!("curl -gsSf --noproxy * {}", URLS[0])).well();
}

/// A `tapsock trace` that runs beside the test.
struct Trace {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Trace {
    fn start(line: &str) -> Trace {
        let mut child = command("timeout")
            .args(["100", env!("CARGO_BIN_EXE_tapsock"), "trace", "--json"])
            .args(line.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = send.send(serde_json::from_str(&line).unwrap());
            }
        });
        Trace { child, lines }
    }

    /// The next record that is like this.
    #[track_caller]
    fn until(&self, like: impl Fn(&Value) -> bool) -> Value {
        loop {
            let record = self.lines.recv_timeout(WITHIN).expect("the trace has shown no such record");
            if like(&record) {
                return record;
            }
        }
    }

    /// Waits until it is attached: from then on it sees pings.
    fn attached(self) -> Trace {
        for _ in 0..50 {
            run(&format!("ping -c 1 -W 1 {V4}")).well();
            if self.lines.recv_timeout(Duration::from_millis(200)).is_ok() {
                return self;
            }
        }
        panic!("the trace shows nothing");
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A conversation by hand.
struct Talk(BufReader<UnixStream>);

impl Talk {
    fn begin() -> Talk {
        let stream = UnixStream::connect(SOCKET).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        Talk(BufReader::new(stream))
    }

    fn say(&mut self, line: &str) {
        self.0.get_ref().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn it_is_there_while_the_daemon_lives_and_nothing_is_left_of_it() {
    alone(|| {
        let host = Host::start(&[]);
        let socket = fs::metadata(SOCKET).unwrap();
        assert!(socket.file_type().is_socket());
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        let mut talk = Talk::begin();
        let hello = talk.hear();
        assert_eq!(
            (&hello["message"], &hello["protocol"], &hello["name"], &hello["interface"]),
            (&"hello".into(), &1.into(), &"tap0".into(), &"tap0".into())
        );
        assert_eq!(hello["pid"], host.pid());
        host.stop("INT");
        assert!(!fs::exists(SOCKET).unwrap());
    });
}

#[test]
fn questions_are_answered_one_after_the_other_and_nonsense_is_named() {
    alone(|| {
        let _host = Host::start(&["--limit", "backlog=77"]);
        run(&format!("ping -c 3 -i 0.2 {V4}")).well();
        let mut talk = Talk::begin();
        talk.hear();
        talk.say(r#"{"request":"stats"}"#);
        talk.say(r#"{"request":"limits","fields that":"are unknown"}"#);
        talk.say("nonsense");
        talk.say(r#"{"request":"everything"}"#);
        let stats = talk.hear();
        assert_eq!(stats["rules"]["icmp.answer.echo"], 3, "{stats}");
        assert!(stats["frames_in"].as_u64() > Some(3) && stats["bytes_in"].as_u64() > Some(300));
        let limits = talk.hear();
        let named = |name| limits["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == name).unwrap();
        assert_eq!((&named("backlog")["value"], &named("backlog")["default"]), (&77.into(), &4096.into()));
        assert_eq!(named("control-clients")["used"], 1);
        for _ in 0..2 {
            let error = talk.hear();
            assert!(error["error"].as_str().unwrap().starts_with("this is no request: "), "{error}");
        }
    });
}

#[test]
fn a_trace_shows_each_frame_with_its_bytes_and_the_life_of_the_connection() {
    alone(|| {
        let _host = Host::start(&[]);
        let trace = Trace::start("").attached();
        curl();
        let frame = trace.until(|record| record["event"] == "frame" && !record["fate"]["owner"].is_null());
        assert_eq!(frame["direction"], "in");
        let bytes = frame["bytes"].as_str().unwrap();
        assert!(bytes.len() > 100 && bytes.contains("c0a84501"), "{frame}");
        let accepted = trace.until(|record| record["event"] == "accepted");
        let closed = trace.until(|record| record["event"] == "closed");
        assert_eq!(accepted["socket"], closed["socket"]);
        assert!(accepted["id"].as_u64() < closed["id"].as_u64());
    });
}

#[test]
fn filters_choose_by_port_by_protocol_and_by_rule() {
    alone(|| {
        let _host = Host::start(&["--services", "all"]);
        let http = Trace::start("--port 80");
        let arp = Trace::start("--proto arp");
        let refused = Trace::start("--rule tcp.rst");
        let drops = Trace::start("--drops");
        let all = Trace::start("").attached();
        finish(command("curl").args(["-s", "--noproxy", "*", &format!("http://{V4}:81/")]));
        finish(command("sh").args(["-c", &format!("echo hello | nc -w 1 {V4} 7")]));
        run("ip neighbour flush dev tap0");
        curl();
        let bytes = |record: &Value| record["bytes"].as_str().unwrap_or_default().to_owned();
        let last = all.until(|record| record["event"] == "closed" && bytes(record).is_empty());
        assert!(last["socket"].as_str().unwrap().starts_with("tcp#"));
        let record = refused.until(|_| true);
        assert_eq!(record["fate"]["rule"], "tcp.rst.closed-port", "{record}");
        // The first of HTTP is the SYN to port 80, and not the ones before it.
        let record = http.until(|_| true);
        assert_eq!(bytes(&record)[28..].get(44..48), Some("0050"), "{record}");
        http.until(|record| record["event"] == "closed");
        let record = arp.until(|_| true);
        assert_eq!(&bytes(&record)[24..28], "0806");
        run("ping -c 1 -W 1 -I tap0 224.0.0.1");
        let dropped = drops.until(|record| {
            let rule = record["fate"]["rule"].as_str().unwrap().to_owned();
            assert!(rule.contains(".drop."), "{record}");
            rule == "icmp.drop.echo-group"
        });
        assert_eq!(dropped["direction"], "in");
    });
}

#[test]
fn a_trace_ends_by_its_count_and_with_the_daemon() {
    alone(|| {
        let host = Host::start(&["--services", "echo"]);
        let counted = Trace::start("-c 2 --proto icmp");
        let whole = Trace::start("--depth life");
        let all = Trace::start("").attached();
        run(&format!("ping -c 3 -i 0.2 {V4}")).well();
        assert!(counted.lines.recv_timeout(WITHIN).is_ok() && counted.lines.recv_timeout(WITHIN).is_ok());
        assert_eq!(counted.lines.recv_timeout(WITHIN), Err(mpsc::RecvTimeoutError::Disconnected));
        let _open = TcpStream::connect("192.168.69.1:7").unwrap();
        whole.until(|record| record["event"] == "accepted");
        host.stop("INT");
        whole.until(|record| record["event"] == "closed" && record["how"] == "shutdown");
        while whole.lines.recv_timeout(WITHIN).is_ok() {}
        all.until(|record| record["event"] == "closed");
    });
}

#[test]
fn whoever_does_not_read_misses_records_and_is_told_how_many_while_the_traffic_goes_on() {
    alone(|| {
        let _host = Host::start(&["--limit", "control-queue=1M"]);
        let mut talk = Talk::begin();
        talk.hear();
        talk.say(r#"{"request":"trace","depth":"frame"}"#);
        assert_eq!(talk.hear()["message"], "tracing");
        for _ in 0..3 {
            let said = run(&format!("curl -gsSf --noproxy * -o /dev/null http://{V4}/bytes?n=3000000"));
            said.well();
        }
        // Now it reads: what was kept, and that something is missing.
        let (mut records, mut last, mut dropped) = (0, 0, 0);
        while dropped < 100 {
            let message = talk.hear();
            match message["message"].as_str().unwrap() {
                "record" => {
                    let id = message["id"].as_u64().unwrap();
                    assert!(id > last);
                    (records, last) = (records + 1, id);
                }
                "dropped" => dropped += message["records"].as_u64().unwrap(),
                other => panic!("{other}"),
            }
        }
        assert!(records > 100, "{records} {dropped}");
        // Something else can be asked in between.
        talk.say(r#"{"request":"stats"}"#);
        while talk.hear()["message"] != "end" {}
        assert_eq!(talk.hear()["message"], "stats");
    });
}

#[test]
fn several_daemons_are_told_apart_by_their_names() {
    alone(|| {
        let said = tapsock("trace --json").refusal();
        assert!(said.contains("no daemon of yours runs") && said.contains("tapsock daemon"), "{said}");
        let host = Host::start(&["--name", "blue"]);
        run("ip tuntap add dev tap7 mode tap").well();
        run("ip link set tap7 up").well();
        let other = Host::attach(&["--tap", "tap7", "--addr", "10.7.0.1/24"]);
        let said = tapsock("trace --json").refusal();
        assert!(said.contains("--name blue or tap7"), "{said}");
        let said = tapsock("trace --json --name green").refusal();
        assert!(said.contains("no daemon 'green' answers at /run/tapsock/green.sock"), "{said}");
        tap_up_another();
        let said =
            finish(command("timeout").arg("10").args(words(&daemon(&["--tap", "tap8", "--name", "blue"])))).refusal();
        assert!(said.contains("another daemon has the control socket"), "{said}");
        other.stop("INT");
        let trace = Trace::start("").attached();
        drop(trace);
        host.stop("INT");
    });
}

fn tap_up_another() {
    run("ip tuntap add dev tap8 mode tap").well();
    run("ip link set tap8 up").well();
}

fn words(command: &Command) -> Vec<String> {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    all.map(|word| word.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_daemon_that_was_killed_leaves_a_socket_that_the_next_one_replaces() {
    alone(|| {
        tap_up();
        let mut child = daemon(&["--probe", "0"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(fs::exists(SOCKET).unwrap());
        let said = tapsock("trace --json").refusal();
        assert!(said.contains("no daemon of yours runs"), "{said}");
        let _host = Host::attach(&[]);
        Talk::begin().hear();
    });
}

#[test]
fn without_a_place_for_its_socket_a_daemon_runs_all_the_same_and_says_so() {
    alone(|| {
        tap_up();
        fs::set_permissions("/run/tapsock", fs::Permissions::from_mode(0o777)).unwrap();
        let host = Host::attach(&[]);
        curl();
        let sentence =
            "the control socket cannot be in /run/tapsock: others may write there; run: chmod 700 /run/tapsock";
        assert!(host.log().contains(sentence), "{}", host.log());
        host.stop("INT");
        // Whoever chose a name wants to find it.
        let said = finish(command("timeout").arg("10").args(words(&daemon(&["--name", "blue"])))).refusal();
        assert!(said.contains(sentence), "{said}");
    });
}

#[test]
fn who_may_not_ask_a_daemon_is_told_so_and_not_to_start_one() {
    alone(|| {
        let _host = Host::start(&[]);
        assert_eq!(fs::metadata(SOCKET).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o000)).unwrap();
        // Without its privileges root is stopped by the mode like everybody else.
        let ask =
            ["--bounding-set", "-all", "--inh-caps", "-all", env!("CARGO_BIN_EXE_tapsock"), "ss", "--name", "tap0"];
        let said = finish(command("setpriv").args(ask)).refusal();
        assert_eq!(
            said.trim(),
            format!("tapsock: the daemon at {SOCKET} belongs to somebody else; ask as that user, or as root")
        );
    });
}

#[test]
fn a_client_too_many_is_told_so() {
    alone(|| {
        let _host = Host::start(&["--limit", "control-clients=2"]);
        let mut held = [Talk::begin(), Talk::begin()];
        held.iter_mut().for_each(|talk| drop(talk.hear()));
        let mut third = Talk::begin();
        let error = third.hear();
        assert!(error["error"].as_str().unwrap().contains("--limit control-clients"), "{error}");
        assert_eq!(third.0.read_to_end(&mut Vec::new()).unwrap(), 0);
    });
}

#[test]
fn ss_shows_the_sockets_as_the_kernels_ss_shows_the_other_ends() {
    alone(|| {
        let host = Host::start(&["--services", "all"]);
        let streams: Vec<TcpStream> = ["192.168.69.1:7", "[fd69::1]:7", "192.168.69.1:9"]
            .map(|address| TcpStream::connect(address).unwrap())
            .into();
        (&streams[0]).write_all(b"hello").unwrap();
        (&streams[0]).read_exact(&mut [0; 5]).unwrap();
        // Columns and words are the same; the ends are the other way round.
        let rows = |text: &str, turn: bool| {
            let mut rows: Vec<Vec<String>> = text
                .lines()
                .map(|line| {
                    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                    words.truncate(5);
                    if turn {
                        words.swap(3, 4);
                    }
                    words
                })
                .collect();
            rows.sort();
            rows
        };
        let ours = tapsock("ss -tnH").well();
        let theirs = run("ss -tnH").well();
        assert_eq!(rows(&ours, false), rows(&theirs, true), "{ours}\n{theirs}");
        assert_eq!(rows(&ours, false).len(), 3);
        let (ours, theirs) = (tapsock("ss -tn").well(), run("ss -tn").well());
        let header = |text: &str| text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        // iproute2 leaves no blank there if no port is that long.
        assert_eq!(header(&ours), header(&theirs).replace("PortProcess", "Port Process"));

        // The same filters choose the same.
        for (filter, expected) in [
            ("sport = :7", 2),
            ("sport > :8", 1),
            ("src fd69::/64 or src = 192.168.69.1:9", 2),
            ("state established sport != :7", 1),
            ("not ( sport = :7 or sport = :9 )", 0),
            ("state time-wait", 0),
        ] {
            let turned = filter.replace("src", "dst").replace("sport", "dport");
            let count = |program: &mut Command, filter: &str| {
                finish(program.args(["-tnH"]).args(filter.split(' '))).well().lines().count()
            };
            let ours = count(command(env!("CARGO_BIN_EXE_tapsock")).arg("ss"), filter);
            let theirs = count(&mut command("ss"), &turned);
            assert_eq!((ours, theirs), (expected, expected), "{filter}");
        }

        let info = tapsock("ss -tinHoe dst 192.168.69.100 sport = :7").well();
        let mut lines = info.lines();
        let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(first.contains(" sk:tcp#") && lines.next().is_none(), "{info}");
        for part in [
            "ts sack cubic wscale:",
            " rto:2",
            " rtt:",
            " mss:1448 pmtu:1500 advmss:1460 cwnd:10 ",
            "bytes_sent:5 ",
            "bytes_received:5 ",
            "held-by:application",
        ] {
            assert!(second.contains(part), "{part}: {second}");
        }
        // The services hold them, and what they accept.
        let echo = format!("users:((\"service:echo\",pid={},socket=tcp#", host.pid());
        assert_eq!(tapsock("ss -tnp sport = :7").well().matches(&echo).count(), 2);
        let held = tapsock("ss -alnHp").well();
        assert!(held.lines().all(|line| line.contains("users:((\"service:")), "{held}");
        let http = held.lines().filter(|line| line.contains(":80 ") && line.contains("(\"service:http\",pid="));
        assert_eq!(http.count(), 2, "{held}");

        let listeners = tapsock("ss -tlnH").well();
        assert_eq!(listeners.lines().count(), 10, "{listeners}");
        assert!(listeners.lines().all(|line| line.starts_with("LISTEN")));
        assert_eq!(tapsock("ss -ulnH").well().lines().count(), 4);
        assert!(tapsock("ss -xanH").well().is_empty());

        let json: Value = serde_json::from_str(&tapsock("ss -ta --json").well()).unwrap();
        let connection = json.as_array().unwrap().iter().find(|socket| socket["bytes_in"] == 5).unwrap();
        assert_eq!(
            (&connection["state"], &connection["tcp"]["held_by"]),
            (&"ESTABLISHED".into(), &"application".into())
        );

        let summary = tapsock("ss -s").well();
        assert!(summary.contains("TCP:   13 (estab 3, "), "{summary}");
        let sockets = summary.lines().find(|line| line.starts_with("sockets ")).unwrap();
        assert_eq!(sockets.split_whitespace().collect::<Vec<_>>(), ["sockets", "17", "120000"]);
    });
}

#[test]
fn ss_shows_what_is_left_of_a_connection_and_how_long() {
    alone(|| {
        let _host = Host::start(&["--services", "daytime"]);
        let mut stream = TcpStream::connect("192.168.69.1:13").unwrap();
        // The service closes first, and so waits.
        stream.read_to_end(&mut Vec::new()).unwrap();
        drop(stream);
        let left = tapsock("ss -tanoH state time-wait").well();
        assert!(left.contains("192.168.69.1:13") && left.contains("timer:(timewait,5"), "{left}");
        let said = tapsock("ss state asleep").refusal();
        assert!(said.contains("there is no state 'asleep'"), "{said}");
    });
}
