//! The kernel-twin suite: one body for each behaviour of a socket, and it runs over the kernel's own sockets and over ours.
//!
//! A body (a function in the files named in [`THEMES`]) asks for sockets of a [`World`] and says what they must do. It
//! does not know whose sockets they are. The worlds are the kernel on its loopback, which proves that the body is right;
//! two stacks of ours on a pair; a TAP with the kernel at one end and us at the other, both ways round; and the two
//! loopbacks of one stack. Each world comes once for IPv4 and once for IPv6. Where we differ from Linux on purpose, the body asks whose socket it is, and
//! says why.
//!
//! The whole program runs in a network namespace of its own, with nothing in it but `lo` and a TAP. A process that has
//! threads cannot enter one, so `main` does it first of all; that is why the harness is libtest-mimic's.
//!
//! ```text
//! cargo test --test twin                         everything
//! cargo test --test twin -- kernel               the kernel alone
//! cargo test --test twin -- shutdown             a theme, over every world
//! ```

// Clippy excuses the functions marked #[test] only, and not what they are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;
mod poll;
mod sock;
mod sockopt;
mod watch;
mod world;

mod accept;
mod bind;
mod close;
mod connect;
mod datagram;
mod echo;
mod errors;
mod multicast;
mod open;
mod option;
mod raw;
mod readiness;
mod share;
mod shutdown;
mod stream;
mod tcp_option;

use std::env;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use world::{FAMILIES, Mode, World};

/// What a test does.
type Body = fn(&World);

/// The bodies of a file, with their names.
type Bodies = &'static [(&'static str, Body)];

/// Names the bodies of a file.
macro_rules! bodies {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}
pub(crate) use bodies;

const THEMES: &[(&str, Bodies)] = &[
    ("open", open::BODIES),
    ("bind", bind::BODIES),
    ("share", share::BODIES),
    ("accept", accept::BODIES),
    ("connect", connect::BODIES),
    ("stream", stream::BODIES),
    ("shutdown", shutdown::BODIES),
    ("close", close::BODIES),
    ("datagram", datagram::BODIES),
    ("errors", errors::BODIES),
    ("echo", echo::BODIES),
    ("raw", raw::BODIES),
    ("readiness", readiness::BODIES),
    ("option", option::BODIES),
    ("tcp_option", tcp_option::BODIES),
    ("multicast", multicast::BODIES),
];

/// The environment says so to a process that has entered the namespace.
const INSIDE: &str = "TAPSOCK_TWIN_INSIDE";

/// A suite that hangs is a failure that somebody should read about.
const LIMIT: &str = "170";

fn main() -> ExitCode {
    if env::var_os(INSIDE).is_none() {
        enter_namespace();
    }
    prepare_kernel();
    let mut arguments = Arguments::from_args();
    // Most of them wait for something most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let mut trials = Vec::new();
    for mode in Mode::ALL {
        for family in FAMILIES {
            for (theme, bodies) in THEMES {
                for &(name, body) in *bodies {
                    let name = format!("{mode}::{family}::{theme}::{name}");
                    trials.push(Trial::test(name, move || run(mode, family, body)));
                }
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(mode: Mode, family: world::Family, body: Body) -> Result<(), Failed> {
    // The message was printed when it happened.
    catch_unwind(|| body(&World::of(mode, family))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default().into()
    })
}

/// What the kernel's side must let happen in this namespace.
fn prepare_kernel() {
    let settings = [
        // Echo sockets are for the groups of this range only (`icmp(7)`), at first for none.
        ("ipv4/ping_group_range", "0 0"),
        // Many bodies ask for errors at once, which it else limits on a link.
        ("ipv4/icmp_ratelimit", "0"),
        ("ipv6/icmp/ratelimit", "0"),
    ];
    for (name, value) in settings {
        std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
    }
}

/// Becomes this program again, in a network of its own, with these arguments.
fn enter_namespace() -> ! {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
    let error = Command::new("timeout")
        .args(["--kill-after=5", LIMIT, "bash", "-c"])
        .arg(format!("cd {scripts:?} && . lib/sentence.sh && . lib/namespace.sh && enter_namespace \"$@\""))
        .arg("tests/twin") // what the sentences of the script begin with
        .arg(env::current_exe().unwrap())
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .env("AS_ROOT", "sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo test")
        .exec();
    panic!("the command timeout cannot be run: {error}")
}
