//! What `-e`, `-o` and `-i` add to a socket, by the names of `ss(8)`.

use std::fmt::Write;

use crate::control::{Listed, Network, Pending};
use crate::observe::TimerKind;

/// `-o`: `timer:(on,200ms,0)`.
pub(super) fn timer(socket: &Listed) -> Option<String> {
    let Pending { timer, due, count } = socket.timer?;
    let name = match timer {
        TimerKind::Retransmission | TimerKind::Reordering | TimerKind::TailLoss | TimerKind::SynAck => "on",
        TimerKind::ZeroWindow => "persist",
        TimerKind::Keepalive => "keepalive",
        TimerKind::TimeWait => "timewait",
        TimerKind::GiveUp => "giveup",
        _ => "other",
    };
    Some(format!("timer:({name},{},{count})", span(due)))
}

/// As ss writes it: `200ms`, `1.200ms` for a second and 200 ms, `12sec`, `1min43sec`.
fn span(micros: u64) -> String {
    let millis = micros / 1000;
    let (minutes, seconds) = (millis / 60_000, millis / 1000 % 60);
    let mut text = String::new();
    if minutes > 0 {
        text = format!("{minutes}min");
    }
    if minutes > 0 || seconds > 9 {
        if seconds > 0 || minutes == 0 {
            let _ = write!(text, "{seconds}sec");
        }
    } else if seconds > 0 {
        let _ = write!(text, "{seconds}.{:03}ms", millis % 1000);
    } else {
        let _ = write!(text, "{millis}ms");
    }
    text
}

/// `-e`: its name in the trace, how long it has been there, and the socket that it is joined to.
pub(super) fn extended(socket: &Listed) -> String {
    let mut text = format!("sk:{} age:{}", socket.id, span(socket.age));
    if let Some(peer) = socket.joined {
        let _ = write!(text, " joined:{peer}");
    }
    if !socket.held {
        text.push_str(" orphan");
    }
    text
}

/// `-i`: what it has carried and, of a TCP connection, how it goes. Windows are in segments, like ss's.
pub(super) fn details(socket: &Listed) -> Option<String> {
    if socket.listens {
        return None;
    }
    let mut words = Vec::new();
    let mut word = |word: String| words.push(word);
    if let Some(tcp) = &socket.tcp {
        if tcp.timestamps {
            word("ts".into());
        }
        if tcp.sack {
            word("sack".into());
        }
        word(tcp.congestion_control.clone());
        if let Some([theirs, ours]) = tcp.wscale {
            word(format!("wscale:{theirs},{ours}"));
        }
        word(format!("rto:{}", tcp.rto / 1000));
        if tcp.backoff > 0 {
            word(format!("backoff:{}", tcp.backoff));
        }
        if let Some([smoothed, variance, _]) = tcp.rtt {
            word(format!("rtt:{}/{}", Millis(smoothed), Millis(variance)));
        }
        let segments = |bytes: u64| bytes / tcp.mss.max(1);
        word(format!("mss:{} pmtu:{} advmss:{}", tcp.mss, tcp.pmtu, tcp.advmss));
        word(format!("cwnd:{}", segments(tcp.cwnd)));
        if let Some(threshold) = tcp.ssthresh {
            word(format!("ssthresh:{}", segments(threshold)));
        }
    }
    carried(socket, &mut words);
    if let Some(tcp) = &socket.tcp {
        let mut figure = |name: &str, value: u64| {
            if value > 0 {
                words.push(format!("{name}:{value}"));
            }
        };
        figure("lastsnd", tcp.lastsnd / 1000);
        figure("unacked", tcp.in_flight.div_ceil(tcp.mss.max(1)));
        figure("sacked", tcp.sacked.div_ceil(tcp.mss.max(1)));
        figure("lost", tcp.lost.div_ceil(tcp.mss.max(1)));
        figure("notsent", tcp.notsent);
        words.push(format!("snd_wnd:{} rcv_wnd:{}", tcp.snd_wnd, tcp.rcv_wnd));
        if !tcp.nagle {
            words.push("nodelay".into());
        }
        if let Some([.., least]) = tcp.rtt {
            words.push(format!("minrtt:{}", Millis(least)));
        }
        words.push(format!("held-by:{}", tcp.held_by));
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// What came and went.
fn carried(socket: &Listed, words: &mut Vec<String>) {
    let [came, went, out, r#in] = match socket.network {
        Network::Tcp => ["bytes_received", "bytes_sent", "segs_out", "segs_in"],
        _ => ["bytes_received", "bytes_sent", "packets_out", "packets_in"],
    };
    for (name, value) in [
        (went, socket.bytes_out),
        ("segs_retrans", socket.retransmitted),
        (came, socket.bytes_in),
        (out, socket.packets_out),
        (r#in, socket.packets_in),
    ] {
        if value > 0 {
            words.push(format!("{name}:{value}"));
        }
    }
}

/// Microseconds as milliseconds, without zeros that say nothing.
struct Millis(u64);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_ss_does() {
        for (micros, text) in [
            (0, "0ms"),
            (200_900, "200ms"),
            (1_200_000, "1.200ms"),
            (12_000_000, "12sec"),
            (60_000_000, "1min"),
            (103_000_000, "1min43sec"),
            (7_200_000_000, "120min"),
        ] {
            assert_eq!(span(micros), text);
        }
        assert_eq!([1500, 40, 12_000].map(|micros| Millis(micros).to_string()), ["1.5", "0.04", "12"]);
    }
}
