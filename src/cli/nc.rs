//! What can be typed after `tapsock nc` and `tapsock bench`.

use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};

use super::arguments::OnStack;
use crate::tools::{Whose, bench, nc};

const NC: &str = "\
What to try, with tap0 as tap-up.sh makes it, and a daemon on it or none:
  nc -l 192.168.69.100 4950                     the host waits …
  echo hello | tapsock nc 192.168.69.100 4950   … and hears from 192.168.69.1
  tapsock nc -l 4950                            wait for the host's nc 192.168.69.1 4950
  tapsock nc -w 2 192.168.69.100 4951           a call that nobody takes; without a daemon, -vv
                                                shows each packet, and else 'tapsock trace' does

By which stack: that of the daemon that --name names, or of the only one that runs; else by one of
its own. Through a daemon, who takes nothing of what comes for 30 seconds is cut off.

Exit codes: 0 when both directions have ended, 1 if nobody could be reached or the connection broke, 2 if something
must be set right first, 130 after Ctrl-C.";

/// The arguments of `tapsock nc`.
#[derive(Debug, Args)]
#[command(after_help = NC, allow_missing_positional = true)]
pub struct Nc {
    /// The host to call: an IP address, or a name, which is looked up by this machine's own resolver; with -l the own
    /// address to wait at, all of them if it is left out
    #[arg(value_name = "HOST", required_unless_present = "listen")]
    pub host: Option<String>,

    /// The port there
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// Wait for a call instead of calling
    #[arg(short, long)]
    pub listen: bool,

    /// UDP: what is read from stdin at once becomes one datagram
    #[arg(short, long)]
    pub udp: bool,

    /// Only see whether somebody accepts, and say nothing
    #[arg(short, long, conflicts_with_all = ["listen", "udp"])]
    pub zero: bool,

    /// Give up a call after so long, and end when nothing has happened for so long
    #[arg(short = 'w', long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: Option<u64>,

    /// Say what happens: -v connections and calls; of a stack of its own -vv one line for each packet, -vvv all its layers.
    /// RUST_LOG, if it is set, wins
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Whose.
    #[command(flatten)]
    pub stack: OnStack,
}

impl From<Nc> for (nc::Nc, Whose) {
    fn from(arguments: Nc) -> (nc::Nc, Whose) {
        let nc = nc::Nc {
            host: arguments.host,
            port: arguments.port,
            listen: arguments.listen,
            udp: arguments.udp,
            zero: arguments.zero,
            timeout: arguments.timeout.map(Duration::from_secs),
        };
        (nc, arguments.stack.into())
    }
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Two sockets of one machine: ours, smoltcp's, and the kernel's ways, side by side
    ///
    /// Needs no TAP and no privilege. Prints bytes a second in writes of 64 KiB, 4 KiB and 64 B, and how long one byte
    /// takes there and back.
    Loopback {
        /// How often each figure is taken; the median counts
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        runs: u16,

        /// How long each time
        #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
        span: u16,
    },
}

impl From<Bench> for bench::Settings {
    fn from(arguments: Bench) -> bench::Settings {
        let Bench::Loopback { runs, span } = arguments;
        bench::Settings { runs: runs.into(), span: Duration::from_millis(span.into()) }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    fn nc(line: &str) -> Result<(nc::Nc, Whose), String> {
        let words = ["tapsock", "nc"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Nc(arguments) => Ok(arguments.into()),
            _ => Err("not nc".into()),
        }
    }

    #[test]
    fn nc_is_told_whom_to_call_or_where_to_wait() {
        let (settings, whose) = nc("-u -w 3 --tap tap7 fd69::100 53").unwrap();
        assert_eq!((settings.host.as_deref(), settings.port), (Some("fd69::100"), 53));
        assert!(settings.udp && !settings.listen && settings.timeout == Some(Duration::from_secs(3)));
        assert!(matches!(whose, Whose::Own(attachment) if attachment.tap == "tap7"));
        let (settings, whose) = nc("-l --name blue 4950").unwrap();
        assert_eq!(whose, Whose::Daemon("blue".into()));
        assert_eq!((settings.host, settings.port, settings.listen), (None, 4950, true));
        assert_eq!(nc("-l 10.0.0.1 4950").unwrap().0.host.as_deref(), Some("10.0.0.1"));
        for mistake in ["", "4950", "10.0.0.1 0", "-z -l 80", "10.0.0.1 80 81"] {
            assert!(nc(mistake).is_err(), "{mistake}");
        }
    }
}
