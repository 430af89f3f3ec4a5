//! A daemon with nothing to do sleeps.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::host::{Host, run, shell};
use crate::namespace::alone;

/// What all threads of a process have used: clock ticks of 10 ms, and how often they went to sleep.
fn used(pid: u32) -> (u64, u64) {
    let mut sum = (0, 0);
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let path = thread.unwrap().path();
        let stat = fs::read_to_string(path.join("stat")).unwrap();
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        sum.0 += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let status = fs::read_to_string(path.join("status")).unwrap();
        let slept = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        sum.1 += slept.trim().parse::<u64>().unwrap();
    }
    sum
}

#[test]
fn five_idle_seconds_cost_nothing() {
    alone(|| {
        // The kernel looks for routers on a new link, again and again, which is its work and not ours.
        shell("echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitations").well();
        let host = Host::start(&["--services", "all"]);
        // Work first: what was left running by it would show.
        run("curl -gsSf --noproxy * http://192.168.69.1/").well();
        run("curl -gsSf --noproxy * http://[fd69::1]/").well();
        run("ping -c 2 -i 0.2 192.168.69.1").well();
        // Let pass what is due: TIME-WAIT (10 s), and the kernel's probes of its new neighbours.
        sleep(Duration::from_secs(12));

        let (ticks, slept) = used(host.pid());
        sleep(Duration::from_secs(5));
        let (more_ticks, more_slept) = used(host.pid());
        assert!(more_ticks - ticks <= 1, "{} ticks of CPU in 5 s", more_ticks - ticks);
        assert!(more_slept - slept <= 5, "woke {} times in 5 s", more_slept - slept);
    });
}
