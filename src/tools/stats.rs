//! `tapsock stats`: what a running daemon has counted, once or again and again.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use crate::config::Size;
use crate::control::{Bound, Client, Counted, Rounds, Tally};
use crate::daemon::{self, Failure};
use crate::observe::{Rule, TcpState};

/// What moves the cursor home and empties the screen (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What a person wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Of which daemon; `None`: of the only one.
    pub name: Option<String>,
    /// How often; `None`: once.
    pub watch: Option<Duration>,
    /// How many times at most.
    pub count: Option<u64>,
    /// In which form.
    pub form: Form,
}

/// How figures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Lines {
        /// On an empty screen each time.
        clear: bool,
    },
    /// One object a line.
    Json,
    /// As at `/metrics`.
    OpenMetrics,
}

/// Shows the figures until there is enough, the daemon ends or nobody reads any more.
///
/// # Errors
///
/// [`Failure`]: there is no daemon, or the conversation breaks.
pub fn run(stats: &Stats, out: &mut dyn Write) -> Result<(), Failure> {
    let mut client = Client::connect(stats.name.as_deref())?;
    let mut before = None;
    let mut shown = 0;
    loop {
        let counted = client.stats()?;
        let written = match stats.form {
            Form::Json => writeln!(out, "{}", serde_json::to_string(&counted).unwrap_or_default()),
            Form::OpenMetrics => write!(out, "{}", daemon::metrics(counted.clone())),
            Form::Lines { clear } => {
                let clear = if clear && stats.watch.is_some() { CLEAR } else { "" };
                let gap = if shown > 0 && clear.is_empty() { "\n" } else { "" };
                let lines = lines(&client.hello().name, &counted, before.as_ref());
                writeln!(out, "{clear}{gap}{}", lines.join("\n"))
            }
        };
        match written.and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(unwritten(&error)),
        }
        shown += 1;
        let Some(interval) = stats.watch.filter(|_| stats.count.is_none_or(|count| shown < count)) else {
            return Ok(());
        };
        before = Some(counted);
        std::thread::sleep(interval);
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::Broken(format!("the figures cannot be written: {error}"))
}

/// `before`: what was shown last, and so what has come since is shown too.
fn lines(name: &str, counted: &Counted, before: Option<&Counted>) -> Vec<String> {
    let since = Since { counted, before };
    let mut lines = vec![format!("{name}, {:.1} s after its start", counted.at.micros() as f64 / 1e6)];
    let mut row = |what: &str, text: String| lines.push(format!("{what:<14}{text}"));
    row(
        "frames",
        format!(
            "{} in ({} bytes), {} out ({} bytes)",
            since.of(|c| c.frames_in),
            since.of(|c| c.bytes_in),
            since.of(|c| c.frames_out),
            since.of(|c| c.bytes_out)
        ),
    );
    row("loopback", format!("{} packets ({} bytes)", since.of(|c| c.loopback_packets), since.of(|c| c.loopback_bytes)));
    row("sent again", format!("{} segments", since.of(|c| c.retransmitted)));
    if counted.device_errors_in + counted.device_errors_out > 0 {
        let (read, write) = (since.of(|c| c.device_errors_in), since.of(|c| c.device_errors_out));
        row("device", format!("{read} reads failed, {write} writes failed"));
    }
    row("sockets", sockets(&counted.sockets));
    row("queues", queues(counted));
    row("engine", engine(&counted.rounds));
    row("memory", memory(&counted.limits, counted.resident));
    row("watched by", format!("{} clients; {} records dropped", counted.watchers, since.of(|c| c.untold)));
    lines.extend(rules(&since));
    lines
}

/// A figure, and what has been added to it.
struct Since<'a> {
    counted: &'a Counted,
    before: Option<&'a Counted>,
}

impl Since<'_> {
    fn of(&self, figure: impl Fn(&Counted) -> u64) -> String {
        let now = figure(self.counted);
        match self.before.map(|before| now.saturating_sub(figure(before))) {
            None | Some(0) => now.to_string(),
            Some(more) => format!("{now} (+{more})"),
        }
    }
}

fn sockets(tallies: &[Tally]) -> String {
    let mut text = String::new();
    let mut network = None;
    for tally in tallies {
        text.push_str(match network {
            Some(last) if last == tally.network => ", ",
            Some(_) => "; ",
            None => "",
        });
        if network != Some(tally.network) {
            text.push_str(tally.network.name());
            text.push(' ');
        }
        network = Some(tally.network);
        text.push_str(&format!("{} {}", tally.count, tally.state));
    }
    if text.is_empty() { "none".into() } else { text }
}

fn queues(counted: &Counted) -> String {
    let (listening, others): (Vec<&Tally>, Vec<&Tally>) =
        counted.sockets.iter().partition(|tally| tally.state == TcpState::Listen);
    let received: u64 = others.iter().map(|tally| tally.recv_q).sum();
    let sent: u64 = others.iter().map(|tally| tally.send_q).sum();
    let waiting: u64 = listening.iter().map(|tally| tally.recv_q).sum();
    let untransmitted = counted.untransmitted;
    format!(
        "{received} bytes to read, {sent} bytes to be acknowledged, {waiting} connections to accept, {untransmitted} frames to the device"
    )
}

/// How long the engine is busy at a time.
fn engine(rounds: &Rounds) -> String {
    if rounds.count == 0 {
        return "has had nothing to do".into();
    }
    let within = |part: f64| {
        let mut left = (rounds.count as f64 * part).ceil() as u64;
        for &(bound, count) in &rounds.buckets {
            if count >= left {
                return bound.map_or_else(|| "longer than 1 s".into(), |bound| format!("within {bound} µs"));
            }
            left -= count;
        }
        "unknown".into()
    };
    let mean = rounds.total / rounds.count;
    let (half, most): (String, String) = (within(0.5), within(0.99));
    format!("{} rounds of {mean} µs on average; half of them {half}, 99 % {most}", rounds.count)
}

fn memory(limits: &[Bound], resident: Option<u64>) -> String {
    let mut parts = Vec::new();
    if let Some(bound) = limits.iter().find(|bound| bound.name == "memory") {
        parts.push(format!("{} of {} bytes for buffers", bound.used.unwrap_or(0), Size(bound.value)));
    }
    parts.extend(resident.map(|bytes| format!("{bytes} bytes in all")));
    parts.join(", ")
}

/// Those that applied, most often first.
fn rules(since: &Since<'_>) -> Vec<String> {
    let mut rules: Vec<(&String, u64)> = since.counted.rules.iter().map(|(rule, &count)| (rule, count)).collect();
    rules.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let shown: Vec<(String, &str)> =
        rules.iter().map(|(rule, _)| (since.of(|c| c.rules.get(*rule).copied().unwrap_or(0)), rule.as_str())).collect();
    let widths = shown.iter().fold((0, 0), |(count, name), row| (count.max(row.0.len()), name.max(row.1.len())));
    let (count, name) = widths;
    let line = |(times, rule): &(String, &str)| {
        let sentence = Rule::named(rule).map_or("", |rule| rule.sentence());
        format!("  {times:>count$} × {rule:<name$}  {sentence}").trim_end().to_owned()
    };
    shown.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Network;
    use crate::observe::Time;

    fn tally(network: Network, state: TcpState, figures: [u64; 3]) -> Tally {
        let [count, recv_q, send_q] = figures;
        Tally { network, state, count, recv_q, send_q }
    }

    fn counted() -> Counted {
        Counted {
            at: Time::from_micros(81_230_011),
            frames_in: 12,
            bytes_in: 840,
            frames_out: 10,
            bytes_out: 700,
            rules: [("icmp.answer.echo".to_owned(), 9), ("eth.drop.foreign".to_owned(), 11)].into(),
            sockets: vec![
                tally(Network::Tcp, TcpState::Listen, [2, 3, 256]),
                tally(Network::Tcp, TcpState::Established, [5, 100, 20]),
                tally(Network::Udp, TcpState::Closed, [4, 7, 0]),
            ],
            rounds: Rounds { count: 4, total: 100, buckets: vec![(Some(10), 2), (Some(20), 1), (None, 1)] },
            limits: vec![Bound { name: "memory".into(), value: 1 << 30, default: 1 << 30, used: Some(4096) }],
            resident: Some(8192),
            ..Counted::default()
        }
    }

    #[test]
    fn figures_are_lines_with_the_most_frequent_rule_first() {
        let lines = lines("tap0", &counted(), None);
        assert_eq!(
            lines,
            [
                "tap0, 81.2 s after its start",
                "frames        12 in (840 bytes), 10 out (700 bytes)",
                "loopback      0 packets (0 bytes)",
                "sent again    0 segments",
                "sockets       tcp 2 LISTEN, 5 ESTABLISHED; udp 4 CLOSED",
                "queues        107 bytes to read, 20 bytes to be acknowledged, 3 connections to accept, 0 frames to the device",
                "engine        4 rounds of 25 µs on average; half of them within 10 µs, 99 % longer than 1 s",
                "memory        4096 of 1G bytes for buffers, 8192 bytes in all",
                "watched by    0 clients; 0 records dropped",
                "  11 × eth.drop.foreign  the frame is for another station's Ethernet address",
                "   9 × icmp.answer.echo  somebody pings us; we send the same data back",
            ]
        );
    }

    #[test]
    fn what_has_come_since_stands_beside_what_there_is() {
        let now = Counted { frames_in: 20, rules: [("eth.drop.foreign".to_owned(), 12)].into(), ..counted() };
        let lines = lines("tap0", &now, Some(&counted()));
        assert!(lines[1].starts_with("frames        20 (+8) in (840 bytes), 10 out"), "{lines:?}");
        assert!(lines.last().unwrap().starts_with("  12 (+1) × eth.drop.foreign"), "{lines:?}");
    }
}
