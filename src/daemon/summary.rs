//! What a daemon says when it ends.

use std::time::Duration;

use crate::observe::Counters;

/// One line for the whole, and one for each rule that applied.
pub(super) fn lines(uptime: Duration, counters: &Counters) -> Vec<String> {
    let mut lines = vec![format!(
        "stopped after {:.1} s: {} frames ({} bytes) in, {} frames ({} bytes) out",
        uptime.as_secs_f64(),
        counters.frames_in,
        counters.bytes_in,
        counters.frames_out,
        counters.bytes_out
    )];
    if counters.loopback_packets > 0 {
        let (packets, bytes) = (counters.loopback_packets, counters.loopback_bytes);
        lines.push(format!("  {packets} packets ({bytes} bytes) over the loopback"));
    }
    for (failed, what) in [(counters.device_errors_in, "reads"), (counters.device_errors_out, "writes")] {
        if failed > 0 {
            lines.push(format!("  {failed} {what} of the device failed"));
        }
    }
    let mut rules: Vec<_> = counters.rules().collect();
    rules.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let (number, name) = rules.iter().fold((1, 1), |(number, name), (rule, count)| {
        (number.max(count.to_string().len()), name.max(rule.name().len()))
    });
    for (rule, count) in rules {
        lines.push(format!("  {count:>number$} × {rule:<name$}  {}", rule.sentence()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Rule;

    #[test]
    fn the_summary_names_what_happened_most_first() {
        let mut counters = Counters::default();
        (counters.frames_in, counters.bytes_in) = (12, 840);
        (counters.loopback_packets, counters.loopback_bytes) = (3, 180);
        counters.count(Rule::EthForeign);
        for _ in 0..11 {
            counters.count(Rule::IcmpEcho);
        }
        let lines = lines(Duration::from_millis(1540), &counters);
        assert_eq!(
            lines,
            [
                "stopped after 1.5 s: 12 frames (840 bytes) in, 0 frames (0 bytes) out",
                "  3 packets (180 bytes) over the loopback",
                "  11 × icmp.answer.echo  somebody pings us; we send the same data back",
                "   1 × eth.drop.foreign  the frame is for another station's Ethernet address",
            ]
        );
    }
}
