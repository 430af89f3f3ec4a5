//! A long mix of honest and hostile traffic for a tapsock daemon on a TAP; `scripts/soak.sh` runs it.
//!
//!     soak TAP PID SECONDS SEED
//!
//! Honest clients ask the daemon's services in random order and check every byte. Beside them, a packet socket sends
//! what no honest host sends. In the end the daemon must have as much memory and as many descriptors as after the
//! warm-up. Exit code 0 if all of it was so, else 1.

mod client;
mod hostile;
mod process;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use process::Usage;

/// How many honest clients there are at a time.
const CLIENTS: u64 = 6;

/// How long the mix runs before the first look at the daemon's memory.
const WARM_UP: Duration = Duration::from_secs(20);

/// TIME-WAIT is over after 60 s; what still lives then has been forgotten by somebody.
const SETTLE: Duration = Duration::from_secs(75);

/// How often each thing was done, and what went wrong.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<&'static str, (u64, u64)>>,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    /// One more of this, with so many bytes.
    pub fn count(&self, what: &'static str, bytes: u64) {
        if let Ok(mut counts) = self.counts.lock() {
            let entry = counts.entry(what).or_default();
            entry.0 += 1;
            entry.1 += bytes;
        }
    }

    /// Something was not as it must be.
    pub fn fail(&self, what: &str, why: &str) {
        if let Ok(mut failures) = self.failures.lock() {
            eprintln!("soak: {what}: {why}");
            failures.push(format!("{what}: {why}"));
        }
    }

    fn failures(&self) -> usize {
        self.failures.lock().map_or(usize::MAX, |failures| failures.len())
    }

    fn print(&self) {
        let Ok(counts) = self.counts.lock() else { return };
        println!("\n{:<34} {:>12} {:>18}", "what", "how often", "bytes");
        for (what, (count, bytes)) in counts.iter() {
            println!("{what:<34} {count:>12} {bytes:>18}");
        }
    }
}

/// Lets clients and enemies loose for a while.
fn mix(tap: &str, span: Duration, seed: u64, tally: &Arc<Tally>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for client in 0..CLIENTS {
        let (stop, tally) = (Arc::clone(&stop), Arc::clone(tally));
        threads.push(thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(client));
            while !stop.load(Ordering::Relaxed) {
                client::one(&mut random, &tally);
            }
        }));
    }
    let (tap, enemy_stop, enemy_tally) = (tap.to_owned(), Arc::clone(&stop), Arc::clone(tally));
    threads.push(thread::spawn(move || {
        let random = fastrand::Rng::with_seed(seed);
        if let Err(error) = hostile::run(&tap, random, &enemy_stop, &enemy_tally) {
            enemy_tally.fail("packet socket", &error.to_string());
        }
    }));
    thread::sleep(span);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        if thread.join().is_err() {
            tally.fail("soak", "a thread panicked");
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let parsed = match arguments.as_slice() {
        [_, tap, pid, seconds, seed] => pid
            .parse()
            .ok()
            .zip(seconds.parse().ok())
            .zip(seed.parse().ok())
            .map(|((pid, seconds), seed)| (tap.clone(), pid, seconds, seed)),
        _ => None,
    };
    let Some((tap, pid, seconds, seed)): Option<(String, u32, u64, u64)> = parsed else {
        eprintln!("soak: say TAP PID SECONDS SEED; scripts/soak.sh does");
        return ExitCode::from(2);
    };
    let tally = Arc::new(Tally::default());
    println!("Warming up for {} s, and {} s until it is quiet", WARM_UP.as_secs(), SETTLE.as_secs());
    mix(&tap, WARM_UP, seed ^ u64::MAX, &tally);
    thread::sleep(SETTLE);
    let Some(before) = Usage::of(pid) else {
        tally.fail("daemon", "it is gone after the warm-up");
        return ExitCode::FAILURE;
    };
    println!("Quiet: {before}");
    println!("Mixing for {seconds} s, seed {seed}");
    let begun = Instant::now();
    mix(&tap, Duration::from_secs(seconds), seed, &tally);
    println!("Mixed for {} s; waiting until it is quiet", begun.elapsed().as_secs());
    // Some more than that where the machine is busy.
    let mut after = Usage::of(pid);
    for _ in 0..2 {
        thread::sleep(SETTLE);
        after = Usage::of(pid);
        if after.is_some_and(|after| after.is_back_at(&before)) {
            break;
        }
    }
    tally.print();
    match after {
        None => tally.fail("daemon", "it is gone"),
        Some(after) => {
            println!("\nbefore: {before}\nafter:  {after}");
            if !after.is_back_at(&before) {
                tally.fail("daemon", "its memory or its descriptors are not back where they were");
            }
        }
    }
    match tally.failures() {
        0 => ExitCode::SUCCESS,
        failures => {
            println!("{failures} failures");
            ExitCode::FAILURE
        }
    }
}
