//! Two threads of one process: joined streams against the kernel's ways, in one run, in turns.
//!
//! `cargo bench --bench pipe [-- RUNS]`. See benches/README.md.

#![allow(clippy::print_stdout, clippy::expect_used, missing_docs, unreachable_pub)]

mod measure;
mod rate;

use std::time::Duration;

use measure::{Way, median, round_trip, throughput};
use tapsock::config::Limits;
use tapsock::pipe::wait::Spin;

const SPAN: Duration = Duration::from_millis(200);

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let runs = numbers.first().copied().unwrap_or(7);
    let capacity = numbers.get(1).copied().unwrap_or(Limits::default().pipe);
    let offset = numbers.get(2).copied().unwrap_or(0);
    let ways = [Way::Fast(Spin::Briefly), Way::Unix, Way::KernelTcp, Way::Pipe];
    println!("medians of {runs} runs of {SPAN:?} each, in turns; rings of {capacity} bytes\n");
    println!("{:<28} {:>10} {:>10} {:>10} {:>10}", "bytes a second", "fast", "AF_UNIX", "TCP", "pipe");
    for block in [64 * 1024, 4096, 64] {
        let rate = |way| throughput(way, capacity, block, offset, SPAN).expect("the ends work");
        let all = in_turns(runs, ways.len(), |i| rate(ways[i]));
        let name = format!("writes of {block} bytes, GB/s");
        println!("{name:<28} {}", all.iter().map(|rate| format!("{:>10.3}", rate / 1e9)).collect::<Vec<_>>().join(" "));
        println!("{:<28} {}", "  fast is so many times", times(&all, |ours, theirs| ours / theirs));
    }
    let ways = [Way::Fast(Spin::Briefly), Way::Unix, Way::KernelTcp, Way::Pipe, Way::Fast(Spin::Always)];
    let time = |way| round_trip(way, capacity, SPAN).expect("the ends work").as_secs_f64();
    let all = in_turns(runs, ways.len(), |i| time(ways[i]));
    println!(
        "\n{:<28} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "one byte there and back", "fast", "AF_UNIX", "TCP", "pipe", "fast busy"
    );
    println!("{:<28} {}", "µs", all.iter().map(|time| format!("{:>10.2}", time * 1e6)).collect::<Vec<_>>().join(" "));
    println!("{:<28} {}", "  fast takes so many times", times(&all, |ours, theirs| ours / theirs));
    println!("{:<28} {:>10.4}", "  busy, of AF_UNIX", all[4] / all[1]);
    let rates: [&dyn Fn() -> std::io::Result<f64>; 4] =
        [&|| rate::one_at_a_time(SPAN), &|| rate::kernel(1, SPAN), &|| rate::outstanding(SPAN), &|| {
            rate::kernel(rate::OUTSTANDING, SPAN)
        }];
    let all = in_turns(runs, rates.len(), |i| rates[i]().expect("every connection works"));
    println!("\n{:<28} {:>10} {:>10} {:>10}", "connections a second", "fast", "TCP", "ratio");
    for (name, two) in ["one at a time", "64 outstanding"].iter().zip(all.chunks(2)) {
        println!("{name:<28} {:>10.0} {:>10.0} {:>10.2}", two[0], two[1], two[0] / two[1]);
    }
}

/// The median of `runs` figures of each way, measured one way after the other.
fn in_turns(runs: usize, ways: usize, mut figure: impl FnMut(usize) -> f64) -> Vec<f64> {
    let mut all = vec![Vec::new(); ways];
    for _ in 0..runs {
        for (i, figures) in all.iter_mut().enumerate() {
            figures.push(figure(i));
        }
    }
    all.into_iter().map(median).collect()
}

fn times(all: &[f64], ratio: impl Fn(f64, f64) -> f64) -> String {
    all.iter().map(|&theirs| format!("{:>10.2}", ratio(all[0], theirs))).collect::<Vec<_>>().join(" ")
}
