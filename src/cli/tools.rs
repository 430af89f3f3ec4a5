//! What can be typed after `tapsock ping` and `tapsock traceroute`.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::arguments::OnStack;
use crate::daemon::Failure;
use crate::tools::errand::{self, Errand, Probe};
use crate::tools::{Family, Whose, resolve};

const EXIT_CODES: &str = "\
By which stack: that of the daemon that --name names, or of the only one that runs. Without a
daemon, or with an option of a stack of its own, by that one; it needs a TAP that you may open, up
and with an address on the host's side:
  sudo ./scripts/tap-up.sh --user $USER

Exit codes: 0 if the host answered, 1 if it did not or something broke, 2 if something must be set right first.";

/// Whom, and by which family.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("family").args(["four", "six"]))]
pub struct Host {
    /// An IP address; or a name, which is looked up by this machine's own resolver
    #[arg(value_name = "HOST")]
    pub host: String,

    /// By IPv4
    #[arg(short = '4')]
    pub four: bool,

    /// By IPv6
    #[arg(short = '6')]
    pub six: bool,
}

impl Host {
    fn family(&self) -> Family {
        match (self.four, self.six) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }
}

/// The arguments of `tapsock ping`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Ping {
    /// Whom.
    #[command(flatten)]
    pub host: Host,

    /// Stop after so many requests; without it, at Ctrl-C
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Seconds between two requests
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub interval: Duration,

    /// Bytes of data in each
    #[arg(short, long, value_name = "BYTES", default_value_t = 56, value_parser = clap::value_parser!(u16).range(..=65_507))]
    pub size: u16,

    /// How many routers they may pass; 64 if it is not given
    #[arg(short, long, value_name = "HOPS", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,

    /// Seconds to wait for the last answers: if it is not given, 10, or a little once somebody has answered
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Whose.
    #[command(flatten)]
    pub stack: OnStack,
}

/// The arguments of `tapsock traceroute`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Traceroute {
    /// Whom.
    #[command(flatten)]
    pub host: Host,

    /// Send echo requests instead of UDP datagrams
    #[arg(short = 'I', long)]
    pub icmp: bool,

    /// Probes for each hop
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub queries: u16,

    /// Hops at most
    #[arg(short, long, value_name = "HOPS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=255))]
    pub max_hops: u16,

    /// Seconds to wait for answers to the probes of one hop
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub wait: Duration,

    /// Whose.
    #[command(flatten)]
    pub stack: OnStack,
}

/// A time as `ping` takes it: seconds, or a part of one.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.filter(|span| (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(span))
        .ok_or_else(|| format!("'{text}' is no time; write seconds, from 0.001 to 86400"))
}

impl Ping {
    /// What is asked, and by whose stack.
    ///
    /// # Errors
    ///
    /// A sentence about a host that is not known.
    pub fn parse(self) -> Result<(Errand, Whose), Failure> {
        let addresses = resolve(&self.host.host, self.host.family())?;
        let ping = errand::Ping {
            count: self.count,
            interval: self.interval,
            size: self.size.into(),
            ttl: self.ttl.map(u32::from),
            timeout: self.timeout,
            ..errand::Ping::new(self.host.host, addresses)
        };
        Ok((Errand::Ping(ping), self.stack.into()))
    }
}

impl Traceroute {
    /// What is asked, and by whose stack.
    ///
    /// # Errors
    ///
    /// A sentence about a host that is not known.
    pub fn parse(self) -> Result<(Errand, Whose), Failure> {
        let addresses = resolve(&self.host.host, self.host.family())?;
        let traceroute = errand::Traceroute {
            probe: if self.icmp { Probe::Icmp } else { Probe::Udp },
            queries: self.queries,
            max_hops: self.max_hops,
            wait: self.wait,
            ..errand::Traceroute::new(self.host.host, addresses)
        };
        Ok((Errand::Traceroute(traceroute), self.stack.into()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::arguments::{Arguments, Command};
    use super::*;
    use crate::daemon::Attachment;

    fn parse(line: &str) -> Result<Command, String> {
        let arguments = Arguments::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        Ok(arguments.command)
    }

    #[test]
    fn what_is_typed_after_ping_is_what_is_asked() {
        let Ok(Command::Ping(typed)) =
            parse("tapsock ping -c 3 -i 0.2 -s 100 -t 5 -W 2 -6 --tap tap7 --addr fd00::2/64 fd00::1")
        else {
            panic!()
        };
        let (asks, Whose::Own(attachment)) = typed.parse().unwrap() else { panic!() };
        let asked = errand::Ping {
            count: Some(3),
            interval: Duration::from_millis(200),
            size: 100,
            ttl: Some(5),
            timeout: Some(Duration::from_secs(2)),
            ..errand::Ping::new("fd00::1", vec!["fd00::1".parse().unwrap()])
        };
        assert_eq!((asks, attachment.tap.as_str()), (Errand::Ping(asked), "tap7"));
        assert_eq!(attachment.config.addresses, ["fd00::2/64".parse().unwrap()]);
    }

    #[test]
    fn whose_stack_it_is_follows_from_the_options() {
        let whose = |options: &str| match parse(&format!("tapsock ping {options} 10.0.0.1")).unwrap() {
            Command::Ping(ping) => ping.parse().unwrap().1,
            _ => panic!(),
        };
        assert_eq!(whose("-c 3"), Whose::Whoever);
        assert_eq!(whose("--name blue"), Whose::Daemon("blue".into()));
        let Whose::Own(own) = whose("--probe 0") else { panic!() };
        // What was not given is as it always is.
        let mut usual = Attachment::default();
        usual.config.probe = Duration::ZERO;
        assert_eq!(*own, usual);
        for option in ["--tap tap0", "--addr 10.0.0.2/8", "--gateway 10.0.0.1", "--limit sockets=9", "--loopback wire"]
        {
            assert!(matches!(whose(option), Whose::Own(_)), "{option}");
        }
        let error = parse("tapsock ping --name blue --tap tap7 10.0.0.1").unwrap_err();
        assert!(error.contains("cannot be used with"), "{error}");
    }

    #[test]
    fn what_is_typed_after_traceroute_is_what_is_asked() {
        let Ok(Command::Traceroute(typed)) = parse("tapsock traceroute -I -q 1 -m 8 -w 1.5 10.0.0.1") else { panic!() };
        let (asks, Whose::Whoever) = typed.parse().unwrap() else { panic!() };
        let asked = errand::Traceroute {
            probe: Probe::Icmp,
            queries: 1,
            max_hops: 8,
            wait: Duration::from_millis(1500),
            ..errand::Traceroute::new("10.0.0.1", vec!["10.0.0.1".parse().unwrap()])
        };
        assert_eq!(asks, Errand::Traceroute(asked));
    }

    #[test]
    fn mistakes_get_a_sentence() {
        for (line, sentence) in [
            ("tapsock ping", "<HOST>"),
            ("tapsock ping -c 0 10.0.0.1", "0 is not in"),
            ("tapsock ping -i 0 10.0.0.1", "write seconds"),
            ("tapsock ping -i soon 10.0.0.1", "write seconds"),
            ("tapsock ping -s 65508 10.0.0.1", "65507"),
            ("tapsock ping -t 0 10.0.0.1", "0 is not in"),
            ("tapsock ping -4 -6 10.0.0.1", "cannot be used with"),
            ("tapsock traceroute -q 11 10.0.0.1", "11 is not in"),
            ("tapsock traceroute -m 256 10.0.0.1", "256 is not in"),
            ("tapsock traceroute -w nan 10.0.0.1", "write seconds"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(sentence), "{line}: {error}");
        }
    }
}
