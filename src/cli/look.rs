//! What can be typed after the subcommands that look into a running daemon.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::daemon::Failure;
use crate::tools::ss::{self, IpVersion};
use crate::tools::stats;
use crate::tools::trace::{self, Depth, Filter, Form, Kind, SocketId, Tracing};

/// Which daemon.
#[derive(Debug, Args)]
pub struct Looked {
    /// The daemon's name, as given to it by --name or that of its TAP; or the path of its control socket. It can be left
    /// out where one daemon runs
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// What can be tried.
pub(super) const SS: &str = "\
Filters:
  ss -a                               everything, listeners and closed sockets too
  ss -tlnp                            who listens
  ss -ti dst 192.168.69.100           how each connection to the host goes, and why it is not sending
  ss -o state time-wait               what is left of connections, and for how long
  ss -t '( sport = :80 or sport = :81 ) and not dst 10.0.0.0/8'
  ss -s                               totals, and how much of each limit is used

STATE is established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening or
closing; or all, connected, synchronized, bucket, big. Ports are compared by = != < > <= >=, addresses by = and !=.
Numbers are never looked up. What -e calls sk is what 'tapsock trace --socket' takes.";

/// The arguments of `tapsock ss`.
#[derive(Debug, Args)]
pub struct Ss {
    /// TCP sockets
    #[arg(short, long)]
    pub tcp: bool,

    /// UDP sockets
    #[arg(short, long)]
    pub udp: bool,

    /// Raw sockets, and those of ICMP echo
    #[arg(short = 'w', long)]
    pub raw: bool,

    /// Unix sockets of the stack
    #[arg(short = 'x', long)]
    pub unix: bool,

    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// Listeners and sockets without a peer, too
    #[arg(short, long)]
    pub all: bool,

    /// Listeners and sockets without a peer, only
    #[arg(short, long)]
    pub listening: bool,

    /// Numbers: always so
    #[arg(short, long)]
    pub numeric: bool,

    /// The process that has it
    #[arg(short, long)]
    pub processes: bool,

    /// What is known of each connection, and why it is not sending
    #[arg(short, long)]
    pub info: bool,

    /// Its name in the trace, its age, and the socket that it is joined to
    #[arg(short, long)]
    pub extended: bool,

    /// The timer that goes off next
    #[arg(short, long)]
    pub options: bool,

    /// No header line
    #[arg(short = 'H', long)]
    pub no_header: bool,

    /// Totals, and how much of each limit is used
    #[arg(short, long)]
    pub summary: bool,

    /// As JSON, with all that is known (docs/control.md)
    #[arg(long)]
    pub json: bool,

    /// Which daemon.
    #[command(flatten)]
    pub looked: Looked,

    /// state STATE, and an expression of sport, dport, src, dst, and, or, not and parentheses
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

impl Ss {
    /// What is asked.
    ///
    /// # Errors
    ///
    /// A sentence about a filter that is none.
    pub fn parse(self) -> Result<ss::Ss, Failure> {
        let filter = ss::Filter::parse(&self.filter).map_err(|error| Failure::Mistake(error.to_string()))?;
        let chosen = [
            (self.tcp, ss::Kind::Tcp),
            (self.udp, ss::Kind::Udp),
            (self.raw, ss::Kind::Raw),
            (self.unix, ss::Kind::Unix),
        ];
        let family = match (self.ipv4, self.ipv6) {
            (true, _) => Some(IpVersion::V4),
            (_, true) => Some(IpVersion::V6),
            _ => None,
        };
        Ok(ss::Ss {
            name: self.looked.name,
            kinds: chosen.into_iter().filter(|(is_chosen, _)| *is_chosen).map(|(_, kind)| kind).collect(),
            family,
            all: self.all,
            listening: self.listening,
            processes: self.processes,
            info: self.info,
            extended: self.extended,
            timers: self.options,
            no_header: self.no_header,
            summary: self.summary,
            json: self.json,
            filter,
        })
    }
}

/// The arguments of `tapsock trace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// Which daemon.
    #[command(flatten)]
    pub looked: Looked,

    /// How closely to look: life, call, segment, frame or bytes
    #[arg(long, value_name = "DEPTH", default_value = "frame", value_parser = depth)]
    pub depth: Depth,

    /// Only what has this address on either side; may be given several times
    #[arg(long = "host", value_name = "IP")]
    pub hosts: Vec<IpAddr>,

    /// Only what has this port of TCP or UDP on either side; may be given several times
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<u16>,

    /// Only this protocol: arp, icmp, igmp, tcp, udp, raw, unix; may be given several times
    #[arg(long = "proto", value_name = "PROTOCOL")]
    pub protocols: Vec<Kind>,

    /// Only this socket, such as tcp#3; may be given several times
    #[arg(long = "socket", value_name = "SOCKET", value_parser = socket)]
    pub sockets: Vec<SocketId>,

    /// Only what this rule explains, or all whose names begin so, such as tcp.rst; may be given several times
    #[arg(long = "rule", value_name = "RULE", value_parser = crate::tools::why::named)]
    pub rules: Vec<String>,

    /// Only what is dropped
    #[arg(long)]
    pub drops: bool,

    /// End after so many records; if nothing but a file is written, packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// One JSON object a line: docs/control.md
    #[arg(long, conflicts_with_all = ["tree", "ladder"])]
    pub json: bool,

    /// Draw each event below the one that caused it
    #[arg(long, conflicts_with = "ladder")]
    pub tree: bool,

    /// Draw each connection as a sequence diagram: the peer on the left, the stack on the right
    #[arg(long)]
    pub ladder: bool,

    /// Write the packets into this file too, as pcapng with a comment on each; - is stdout. Without one of the forms
    /// above, nothing else is written
    #[arg(short, long = "write", value_name = "FILE.pcapng")]
    pub write: Option<PathBuf>,

    /// Write so many bytes of each packet at most. Less to write, and nothing can be told of the checksums of what is cut
    #[arg(short, long, value_name = "BYTES", requires = "write", conflicts_with_all = ["json", "tree", "ladder"],
          value_parser = clap::value_parser!(u32).range(1..))]
    pub snaplen: Option<u32>,

    /// Write made-up packets, marked as such, for what went by the fast loopback and had none
    #[arg(long, requires = "write")]
    pub synthesise_loopback: bool,
}

/// The arguments of `tapsock stats`.
#[derive(Debug, Args)]
pub struct Stats {
    /// Which daemon.
    #[command(flatten)]
    pub looked: Looked,

    /// Again and again, every so many seconds (1), with what has come since
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1",
          value_parser = super::tools::seconds)]
    pub watch: Option<Duration>,

    /// End after so many times
    #[arg(short, long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// One JSON object a line: docs/control.md
    #[arg(long, conflicts_with = "openmetrics")]
    pub json: bool,

    /// As at /metrics, for Prometheus
    #[arg(long, conflicts_with = "watch")]
    pub openmetrics: bool,
}

impl From<Stats> for stats::Stats {
    fn from(arguments: Stats) -> stats::Stats {
        stats::Stats {
            name: arguments.looked.name,
            watch: arguments.watch,
            count: arguments.count,
            form: match (arguments.json, arguments.openmetrics) {
                (true, _) => stats::Form::Json,
                (_, true) => stats::Form::OpenMetrics,
                _ => stats::Form::Lines { clear: io::stdout().is_terminal() },
            },
        }
    }
}

/// Whether stdout is a terminal whose user has nothing against colours (no-color.org).
fn has_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn depth(text: &str) -> Result<Depth, String> {
    Ok(match text {
        "life" => Depth::Life,
        "call" => Depth::Call,
        "segment" => Depth::Segment,
        "frame" => Depth::Frame,
        "bytes" => Depth::Bytes,
        _ => return Err("there are life, call, segment, frame and bytes".into()),
    })
}

fn socket(text: &str) -> Result<SocketId, String> {
    text.parse().map_err(|()| format!("'{text}' is no socket; write it like tcp#3"))
}

impl From<Trace> for trace::Trace {
    fn from(arguments: Trace) -> trace::Trace {
        let Trace { looked, depth, hosts, ports, protocols, sockets, rules, drops, count, .. } = arguments;
        let filter = Filter { hosts, ports, protocols, sockets, rules, drops };
        let form = match (arguments.json, arguments.tree, arguments.ladder) {
            (true, _, _) => Some(Form::Json),
            (_, true, _) => Some(Form::Tree),
            (_, _, true) => Some(Form::Ladder),
            _ => arguments.write.is_none().then_some(Form::Lines),
        };
        let snaplen = arguments.snaplen.and_then(|bytes| usize::try_from(bytes).ok());
        // A diagram is made of frames, and so is a file.
        let depth = if arguments.ladder || arguments.write.is_some() { depth.max(Depth::Frame) } else { depth };
        trace::Trace {
            name: looked.name,
            tracing: Tracing { depth, filter, count, snaplen, ..Tracing::default() },
            form,
            colour: form != Some(Form::Json) && has_colours(),
            file: arguments.write,
            synthesise: arguments.synthesise_loopback,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    fn ss(line: &str) -> Result<ss::Ss, String> {
        let words = ["tapsock", "ss"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Ss(arguments) => arguments.parse().map_err(|failure| failure.to_string()),
            _ => Err("not ss".into()),
        }
    }

    #[test]
    fn ss_takes_the_familiar_flags_together_and_a_filter_behind_them() {
        let asked = ss("-tulnpieo4 --name tap7 state listening sport = :80").unwrap();
        let filter = ss::Filter::parse(&["state listening sport = :80"]).unwrap();
        let expected = ss::Ss {
            name: Some("tap7".into()),
            kinds: vec![ss::Kind::Tcp, ss::Kind::Udp],
            family: Some(IpVersion::V4),
            listening: true,
            processes: true,
            info: true,
            extended: true,
            timers: true,
            filter,
            ..ss::Ss::default()
        };
        assert_eq!(asked, expected);
        let asked = ss("-awxs6H --json").unwrap();
        assert!(asked.all && asked.summary && asked.no_header && asked.json);
        assert_eq!((asked.kinds, asked.family), (vec![ss::Kind::Raw, ss::Kind::Unix], Some(IpVersion::V6)));
        for (mistake, sentence) in
            [("-46", "cannot be used with"), ("-Z", "unexpected"), ("sport = :http", "':http' is no port")]
        {
            let error = ss(mistake).unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
    }

    fn trace(line: &str) -> Result<trace::Trace, String> {
        let words = ["tapsock", "trace"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Trace(arguments) => Ok(arguments.into()),
            _ => Err("not trace".into()),
        }
    }

    #[test]
    fn what_is_typed_after_trace_is_what_is_asked() {
        let asked = trace("--json").unwrap();
        assert_eq!((asked.name, asked.tracing), (None, Tracing { depth: Depth::Frame, ..Tracing::default() }));
        let asked = trace(
            "--json --name tap7 --depth call --host fd69::1 --port 80 --port 81 --proto tcp --socket tcp#3 --rule tcp.rst. --drops -c 5",
        );
        let asked = asked.unwrap();
        let filter = r#"{"hosts":["fd69::1"],"ports":[80,81],"protocols":["tcp"],"sockets":["tcp#3"],"rules":["tcp.rst"],"drops":true}"#;
        assert_eq!(serde_json::to_string(&asked.tracing.filter).unwrap(), filter);
        assert_eq!((asked.tracing.depth, asked.tracing.count), (Depth::Call, Some(5)));
        let form = |line: &str| trace(line).unwrap().form;
        assert_eq!([form(""), form("--tree"), form("-w x")], [Some(Form::Lines), Some(Form::Tree), None]);
        assert_eq!(trace("--depth call --ladder").unwrap().tracing.depth, Depth::Frame);
        assert_eq!(trace("-w x -s 96").unwrap().tracing.snaplen, Some(96));
        for (mistake, sentence) in [
            ("--json --tree", "cannot be used with"),
            ("--synthesise-loopback", "--write"),
            ("-s 96", "--write"),
            ("-w x -s 96 --json", "cannot be used with"),
            ("--json --depth all", "there are life, call"),
            ("--json --proto ftp", "there is no protocol 'ftp'"),
            ("--json --socket tcp3", "write it like tcp#3"),
            ("--json -c 0", "0 is not in"),
            ("--rule tcp.rst.closed-prt", "there is no rule 'tcp.rst.closed-prt'; perhaps tcp.rst.closed-port"),
        ] {
            let error = trace(mistake).unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
    }
}
