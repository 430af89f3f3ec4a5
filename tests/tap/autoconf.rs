//! Addresses from a real DHCP server and a real router: dnsmasq, on the host's side of the TAP.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::host::{Host, command, daemon, run, shell, tap_up};
use crate::namespace::alone;

/// dnsmasq in the foreground, with everything that it writes in a directory of its own. Dropping it ends it.
struct Dnsmasq {
    child: Child,
    directory: TempDir,
}

impl Dnsmasq {
    fn start(options: &[&str]) -> Dnsmasq {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).display().to_string();
        let child = command("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-resolv", "--no-hosts"])
            .args(["--user=root", "--group=root", "--interface=tap0", "--except-interface=lo", "--bind-dynamic"])
            .args(["--no-ping", "--dhcp-authoritative", "--log-dhcp"])
            .arg(format!("--pid-file={}", file("pid")))
            .arg(format!("--dhcp-leasefile={}", file("leases")))
            .arg(format!("--log-facility={}", file("log")))
            .args(options)
            .stderr(Stdio::from(File::create(file("errors")).unwrap()))
            .spawn()
            .unwrap_or_else(|error| panic!("dnsmasq: {error}; scripts/test.sh installs what the tests need"));
        Dnsmasq { child, directory }
    }

    fn log(&self) -> String {
        ["errors", "log"].map(|name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()).concat()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("What dnsmasq said:\n{}", self.log());
        }
    }
}

/// Looks again and again, for a while.
fn within(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

#[test]
fn a_dhcp_server_and_a_router_give_addresses_that_answer() {
    alone(|| {
        tap_up();
        let server = Dnsmasq::start(&[
            "--dhcp-range=192.168.69.150,192.168.69.150,255.255.255.0,1h",
            "--dhcp-option=option:router,192.168.69.100",
            "--dhcp-range=fd69::,ra-only,64,1h",
            "--enable-ra",
        ]);
        let host = Host::attach(&["--addr", "dhcp", "--addr", "slaac"]);
        // The end of a fixed Ethernet address is that of the address.
        for address in ["192.168.69.150", "fd69::5eff:fe10:1"] {
            let said = run(&format!("ping -c 3 -i 0.2 -W 2 {address}")).well();
            assert!(said.contains("3 received, 0% packet loss"), "{said}");
        }
        assert_eq!(run("curl -gsSf --noproxy * http://192.168.69.150/").code, Some(0));
        assert_eq!(run("curl -gsSf --noproxy * http://[fd69::5eff:fe10:1]/").code, Some(0));
        let log = host.log();
        assert!(log.contains("192.168.69.150 was leased by the DHCP server 192.168.69.100, for 1 h 0 min"), "{log}");
        assert!(log.contains("is a router for other networks"), "{log}");
        assert!(server.log().contains("tapsock"), "the name that we give ourselves: {}", server.log());
        host.stop("TERM");
        assert!(within(Duration::from_secs(5), || server.log().contains("DHCPRELEASE")), "it was not given back");
    });
}

#[test]
fn a_daemon_whose_address_nobody_gives_says_so_and_still_ends_well() {
    alone(|| {
        tap_up();
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let child =
            daemon(&["--addr", "dhcp"]).stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let text = || fs::read_to_string(&log).unwrap();
        let is_said = within(Duration::from_secs(20), || text().contains("no DHCP server on tap0"));
        shell(&format!("kill -INT {}", child.id())).well();
        let output = child.wait_with_output().unwrap();
        assert!(is_said, "{}", text());
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{}", text());
    });
}
