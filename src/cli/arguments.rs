//! What can be typed.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::explain::Explain;
use super::look::{Ss, Stats, Trace};
use super::manual::{Completions, Manual};
use super::nc::{Bench, Nc};
use super::replay::Replay;
use super::tools::{Ping, Traceroute};
use crate::config::{Chosen, Cidr, Config, Invalid, Limits, Loopback, Mac, Size};
use crate::daemon::{Attachment, Service, Settings, Trial, UnknownService};
use crate::device::FaultConfig;
use crate::tools::Whose;

/// A userspace TCP/IP stack on a Linux TAP that explains every packet.
///
/// tapsock gives this machine a second TCP/IP stack, with addresses and sockets of its own, that runs as an ordinary
/// program. The kernel sees it as another host behind the interface tap0: ping it, curl it, and read what became of
/// every packet.
#[derive(Debug, Parser)]
#[command(name = "tapsock", version = env!("TAPSOCK_VERSION"), after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the stack and its services until Ctrl-C
    ///
    /// Attaches to a TAP, prints 'ready' on stdout when the stack answers, and explains on stderr what happens. Needs
    /// no root if the TAP belongs to the user. Changes nothing on the host, so nothing is left behind.
    #[command(after_help = TRY)]
    Daemon(Daemon),
    /// Ask a host whether it is there, by ICMP echo
    ///
    /// By the stack of your running daemon; where none runs, by a small stack of its own on the TAP.
    Ping(Ping),
    /// Find the routers on the way to a host
    ///
    /// By the stack of your running daemon; where none runs, by a small stack of its own on the TAP.
    Traceroute(Traceroute),
    /// A socket from the shell: stdin goes out, what comes in goes to stdout
    ///
    /// Calls HOST, or waits for a call with -l, by the stack of your running daemon; where none runs, by a stack of its own
    /// that lives as long. At the end of stdin it says so to the peer and goes on to listen; it ends when the peer has ended
    /// too.
    Nc(Nc),
    /// List the sockets of a running daemon, like iproute2's ss
    ///
    /// Asks over its control socket, from another terminal. Options and filters are those of ss(8).
    #[command(after_help = super::look::SS)]
    Ss(Ss),
    /// Watch what happens in a running daemon
    ///
    /// Attaches to its control socket, from another terminal, and changes nothing. It need not run as long as the daemon.
    Trace(Trace),
    /// Explain the packets of a capture, to the last bit
    ///
    /// Every layer and every field with its bytes and bits, each checksum worked out step by step, and for packets that
    /// are damaged which field would explain it. Reads pcap and pcapng, of tapsock or of tcpdump, and hexadecimal text.
    Explain(Explain),
    /// Show what a running daemon has counted
    ///
    /// Frames and bytes, sockets by state, queues, retransmissions, memory, how long the engine is busy at a time, and how
    /// often each rule applied. The same figures are at http://ADDRESS/metrics, where the daemon offers its HTTP service.
    Stats(Stats),
    /// Run the stack of a recording again, in virtual time, and see whether the same leaves
    ///
    /// Needs no TAP and no privilege.
    Replay(Replay),
    /// Measure this machine
    #[command(subcommand)]
    Bench(Bench),
    /// Explain the rule that a trace, a log or a counter has named
    ///
    /// Each drop, reset, challenge, retransmission, probe and error has one: a sentence, an example, and the section of the
    /// RFC that it follows. Without a name all are listed; the beginning of a name, such as tcp.challenge, stands for all
    /// that begin with it. The same as a page: docs/rules.md.
    #[command(after_help = "For example:\n  tapsock why tcp.rst.closed-port")]
    Why {
        /// The rule, or the beginning of its name
        rule: Option<String>,
    },
    /// List the bounds of the stack, with their defaults and what happens at each
    ///
    /// Each can be set by 'tapsock daemon --limit NAME=VALUE'.
    Limits,
    /// Print what makes a shell complete these arguments
    Completions(Completions),
    /// Print the man page
    #[command(name = "man")]
    Manual(Manual),
}

const EXAMPLES: &str = "\
How to begin:
  sudo ./scripts/tap-up.sh --user $USER   make tap0; the host is 192.168.69.100 and fd69::100
  tapsock daemon                          run the stack as 192.168.69.1 and fd69::1
  ping 192.168.69.1                       in another terminal
  curl http://192.168.69.1/               a page about the very connection that carries it
  sudo ./scripts/tap-down.sh              undo the first line";

const TRY: &str = "\
Before: a TAP that you may open, up and with an address on the host's side:
  sudo ./scripts/tap-up.sh --user $USER

What to try, in another terminal:
  ping 192.168.69.1                             ICMP echo; ping fd69::1 for IPv6
  curl http://192.168.69.1/                     the page that explains its own connection
  curl -g 'http://[fd69::1]/'                   the same over IPv6
  curl 'http://192.168.69.1/bytes?n=1000000' | wc -c
  curl -T FILE http://192.168.69.1/discard      upload, and compare the CRC-32
  nc 192.168.69.1 7                             echo: what you type comes back
  curl http://192.168.69.1:81/                  nobody listens there: see who says so, and why

What to see:
  (nothing)         the life of addresses, neighbours and connections
  -v                and each call of a program, and each change of a connection's state
  -vv               and one line for each packet: whose it is, or why it is nobody's
  -vvv              and all its layers and checksums
  RUST_LOG=tapsock::socket=info,tapsock::packet=debug tapsock daemon
                    chooses by topic: socket, address, neighbour, device, call, segment, packet, layers
  tapsock trace     from another terminal: all of it, when it is wanted, and what caused what
  kill -USR1 PID    and the list of all sockets

Exit codes: 0 after Ctrl-C or SIGTERM, 1 if something broke, 2 if something must be set right first.";

/// The arguments of `tapsock daemon`.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Where, and as whom.
    #[command(flatten)]
    pub attached: Attached,

    /// What to call this daemon, for 'tapsock ss --name' and 'tapsock trace --name': as the TAP, if it is not given
    ///
    /// Its control socket is /run/tapsock/NAME.sock for root, and $XDG_RUNTIME_DIR/tapsock/NAME.sock for a user. A name
    /// with a slash is the path of the socket itself.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// The services to offer, separated by commas: echo, discard, daytime, chargen, http; or all, or none
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub services: Services,

    /// Write down all that enters the stack, for 'tapsock replay'
    ///
    /// What the services read and write is in it: only you can read the file. If it cannot be written fast enough the
    /// recording ends, and the stack goes on.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Put a bad wire before the TAP, such as loss=2%,delay=10ms,seed=7
    ///
    /// loss, duplication, reordering and corruption are chances for each frame, delay and jitter are milliseconds, and
    /// the seed determines every chance. With in. or out. before it, as in.loss=2%, it is for one direction only.
    #[arg(long, value_name = "WIRE")]
    pub fault: Option<FaultConfig>,

    /// Say more: -v calls and changes of state, -vv one line for each packet, -vvv all its layers. RUST_LOG, if it is set,
    /// wins
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The arguments of everything that runs a stack on a TAP.
#[derive(Debug, Args)]
pub struct Attached {
    /// The TAP to attach to: it exists and is up (scripts/tap-up.sh)
    #[arg(long, value_name = "NAME", default_value = "tap0")]
    pub tap: String,

    /// An address of the stack with its prefix length, dhcp or slaac; may be given several times
    ///
    /// The host needs another address of the same network on its side of the TAP. dhcp asks a DHCP server there for an
    /// IPv4 address and a gateway; slaac makes IPv6 addresses from what a router there advertises. What is given here
    /// replaces the defaults of both families.
    #[arg(long = "addr", value_name = "CIDR|dhcp|slaac", default_values_t = default_addresses())]
    pub addresses: Vec<Address>,

    /// Where packets for other networks go: one address of each family
    ///
    /// Usually the host's side of the TAP, 192.168.69.100; tap-up.sh --masquerade lets them out.
    #[arg(long = "gateway", value_name = "IP")]
    pub gateways: Vec<IpAddr>,

    /// The stack's Ethernet address
    #[arg(long, default_value_t = Config::default().mac)]
    pub mac: Mac,

    /// How long to ask whether somebody has an address before it is used; 0 uses it at once
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub probe: u64,

    /// How sockets of the stack reach each other, at 127.0.0.1, ::1 or its own addresses: fast or wire
    ///
    /// fast joins the two programs' pipes, and no packet exists. wire builds, checksums, traces, parses and verifies
    /// each packet: see it with -vv, marked lo. Neither ever reaches the TAP.
    #[arg(long, value_name = "fast|wire", default_value_t)]
    pub loopback: Loopback,

    /// A bound other than its default; may be given several times ('tapsock limits' lists them)
    ///
    /// Values may end in K, M or G: --limit syn-entries=4K --limit reassembly-bytes=16M
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<Chosen>,
}

/// The arguments of what runs on a stack, whosever it is.
#[derive(Debug, Args)]
pub struct OnStack {
    /// By the stack of this daemon: its name, as given to it by --name or that of its TAP; or the path of its control socket
    ///
    /// It can be left out where one daemon of yours runs.
    #[arg(long, value_name = "NAME", conflicts_with = "Attached")]
    pub name: Option<String>,

    /// Where, and as whom.
    #[command(flatten, next_help_heading = "By a stack of its own, as one more host on a TAP that no daemon has")]
    pub attached: Option<Attached>,
}

impl From<OnStack> for Whose {
    fn from(arguments: OnStack) -> Whose {
        match (arguments.attached, arguments.name) {
            (Some(attached), _) => Whose::Own(Box::new(attached.into())),
            (None, Some(name)) => Whose::Daemon(name),
            (None, None) => Whose::Whoever,
        }
    }
}

/// Where an address comes from, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// A person.
    Fixed(Cidr),
    /// A DHCP server.
    Dhcp,
    /// Router advertisements.
    Slaac,
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Address, Invalid> {
        match text {
            "dhcp" => Ok(Address::Dhcp),
            "slaac" => Ok(Address::Slaac),
            text if text.contains('/') => text.parse().map(Address::Fixed),
            text => Err(Invalid(format!(
                "'{text}' is not an address with a prefix; write it like 192.168.69.1/24 or fd69::1/64, or say dhcp or slaac"
            ))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Fixed(cidr) => cidr.fmt(f),
            Address::Dhcp => f.write_str("dhcp"),
            Address::Slaac => f.write_str("slaac"),
        }
    }
}

fn default_addresses() -> Vec<Address> {
    Config::default().addresses.into_iter().map(Address::Fixed).collect()
}

/// A list of services as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services(pub Vec<Service>);

impl FromStr for Services {
    type Err = UnknownService;

    fn from_str(text: &str) -> Result<Services, UnknownService> {
        let mut services = Vec::new();
        match text {
            "all" => services.extend(Service::ALL),
            "none" => {}
            list => {
                for name in list.split(',') {
                    let service = name.trim().parse()?;
                    if !services.contains(&service) {
                        services.push(service);
                    }
                }
            }
        }
        Ok(Services(services))
    }
}

impl From<Daemon> for Settings {
    fn from(arguments: Daemon) -> Settings {
        let Attachment { tap, config } = arguments.attached.into();
        let trial = Trial { record: arguments.record, fault: arguments.fault };
        Settings { name: arguments.name, tap, config, services: arguments.services.0, trial }
    }
}

impl From<Attached> for Attachment {
    fn from(arguments: Attached) -> Attachment {
        let fixed = arguments.addresses.iter().filter_map(|&address| match address {
            Address::Fixed(cidr) => Some(cidr),
            Address::Dhcp | Address::Slaac => None,
        });
        let fixed = fixed.collect();
        let mut limits = Limits::default();
        for chosen in &arguments.limits {
            chosen.apply(&mut limits);
        }
        Attachment {
            tap: arguments.tap,
            config: Config {
                addresses: fixed,
                dhcp: arguments.addresses.contains(&Address::Dhcp),
                slaac: arguments.addresses.contains(&Address::Slaac),
                gateways: arguments.gateways,
                mac: arguments.mac,
                probe: Duration::from_millis(arguments.probe),
                loopback: arguments.loopback,
                limits,
                ..Config::default()
            },
        }
    }
}

/// What `tapsock limits` prints.
pub fn list_of_limits() -> String {
    let mut text = String::from("What a stack is bounded by: tapsock daemon --limit NAME=VALUE\n");
    for limit in Limits::table() {
        let (least, most) = (Size(*limit.range.start()), Size(*limit.range.end()));
        text.push_str(&format!("\n{limit}   ({least} to {most})\n"));
        let mut line = String::from("   ");
        for word in limit.about.split_whitespace() {
            if line.len() + word.len() > 98 {
                text.push_str(&line);
                text.push('\n');
                line = String::from("   ");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Settings, String> {
        let words = std::iter::once("tapsock").chain(line.split_whitespace());
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        match arguments.command {
            Command::Daemon(arguments) => Ok(arguments.into()),
            Command::Limits => Err(list_of_limits()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_arguments_everything_has_its_default() {
        let settings = parse("daemon").unwrap();
        assert_eq!(
            settings,
            Settings {
                name: None,
                tap: "tap0".into(),
                config: Config::default(),
                services: Service::ALL.to_vec(),
                trial: Trial::default()
            }
        );
    }

    #[test]
    fn what_is_typed_is_what_is_set() {
        let settings = parse(
            "daemon --tap tap7 --addr 10.0.0.2/8 --addr fd00::2/64 --gateway 10.0.0.1 --gateway fd00::1 \
             --mac 02:00:00:00:00:07 --services http,echo,http --probe 0 --loopback wire -vv",
        )
        .unwrap();
        assert_eq!(settings.tap, "tap7");
        assert_eq!(settings.config.addresses, ["10.0.0.2/8".parse().unwrap(), "fd00::2/64".parse().unwrap()]);
        assert_eq!(settings.config.gateways.len(), 2);
        assert_eq!(settings.config.mac, Mac([2, 0, 0, 0, 0, 7]));
        assert_eq!(settings.config.probe, Duration::ZERO);
        assert_eq!(settings.config.loopback, Loopback::Wire);
        assert_eq!(settings.services, [Service::Http, Service::Echo]);
        assert_eq!(settings.config.validate(), Ok(()));
    }

    #[test]
    fn one_address_replaces_the_defaults_of_both_families() {
        let settings = parse("daemon --addr 10.0.0.2/8").unwrap();
        assert_eq!(settings.config.addresses, ["10.0.0.2/8".parse().unwrap()]);
    }

    #[test]
    fn addresses_can_be_asked_for_beside_those_that_are_chosen() {
        let config = parse("daemon --addr dhcp --addr slaac").unwrap().config;
        assert_eq!((config.addresses.len(), config.dhcp, config.slaac), (0, true, true));
        assert_eq!(config.validate(), Ok(()));
        let config = parse("daemon --addr 10.0.0.2/8 --addr slaac --gateway fd00::1").unwrap().config;
        assert_eq!((config.addresses.len(), config.dhcp, config.slaac), (1, false, true));
        assert_eq!(config.validate(), Ok(()), "a router may tell that the gateway is on the link");
        assert!(parse("daemon --addr dhcp --gateway fd00::1").unwrap().config.validate().is_err());
    }

    #[test]
    fn limits_are_set_by_name_and_listed_with_their_defaults() {
        let config = parse("daemon --limit syn-entries=4K --limit sockets=10 --limit sockets=20").unwrap().config;
        assert_eq!((config.limits.syn_entries, config.limits.sockets), (4096, 20));
        assert_eq!(config.limits.backlog, Limits::default().backlog);
        let list = parse("limits").unwrap_err();
        for limit in Limits::table() {
            assert!(list.contains(&format!("\n{}=", limit.name)), "{}", limit.name);
        }
        assert!(list.lines().all(|line| line.len() <= 100));
    }

    #[test]
    fn no_services_are_a_choice() {
        assert_eq!(parse("daemon --services none").unwrap().services, []);
    }

    #[test]
    fn mistakes_get_the_sentence_of_the_value() {
        for (line, sentence) in [
            ("daemon --addr 10.0.0.2", "write it like 192.168.69.1/24"),
            ("daemon --addr DHCP", "or say dhcp or slaac"),
            ("daemon --addr 224.0.0.1/24", "cannot be the address of a host"),
            ("daemon --mac 01:00:5e:00:00:01", "group address"),
            ("daemon --services echo,ftp", "there is no service 'ftp'; there are echo, discard"),
            ("daemon --services=", "there is no service ''"),
            ("daemon --loopback slow", "there are fast and wire"),
            ("daemon --gateway nowhere", "invalid IP address"),
            ("daemon --probe 60001", "60000"),
            ("daemon --limit sockets", "write it like syn-entries=4K"),
            ("daemon --limit socket=1", "'tapsock limits' lists them"),
            ("daemon --limit receive-buffer=64K", "it is from 2048 to 65535"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(sentence), "{line}: {error}");
        }
    }

    #[test]
    fn the_help_teaches_with_examples() {
        let mut command = Arguments::command();
        let daemon = command.find_subcommand_mut("daemon").unwrap().render_long_help().to_string();
        for part in
            ["tap-up.sh", "ping 192.168.69.1", "RUST_LOG", "[default: 192.168.69.1/24 fd69::1/64]", "Exit codes"]
        {
            assert!(daemon.contains(part), "{part}\n{daemon}");
        }
    }
}
