//! What is counted, as OpenMetrics text: what Prometheus and its like read.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::Mutex;

use crate::config::Limits;
use crate::control::{Audience, Counted, Rounds, Tally};
use crate::net::Stack;
use crate::observe::{Rule, TcpState};
use crate::services::http::Metrics;

/// What the HTTP service of a daemon shows at `/metrics`.
pub(super) fn of(stack: &Stack, audience: &Audience, limits: &Limits) -> Metrics {
    // The sockets are counted for each request: for one at a time, however many ask.
    let alone = Arc::new(Mutex::new(()));
    let (stack, audience, limits) = (stack.clone(), audience.clone(), Arc::new(limits.clone()));
    Metrics::new(move || {
        let (alone, stack, audience, limits) =
            (Arc::clone(&alone), stack.clone(), audience.clone(), Arc::clone(&limits));
        async move {
            let _alone = alone.lock().await;
            text(Counted::gather(&stack.handle(), &audience, &limits).await)
        }
    })
}

/// The same of figures that are there.
pub fn text(counted: Counted) -> String {
    let mut registry = Registry::with_prefix("tapsock");
    registry.register_collector(Box::new(Figures(counted)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => text,
        // A string takes everything.
        Err(Error) => String::new(),
    }
}

#[derive(Debug)]
struct Figures(Counted);

/// A label and its value.
type Label<'a> = (&'static str, &'a str);

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let counted = &self.0;
        let mut page = Page(encoder);
        let ways = |[a, b]: [u64; 2]| [([("direction", "in")], a), ([("direction", "out")], b)];
        page.counter("frames", "Frames from and to the device", ways([counted.frames_in, counted.frames_out]))?;
        page.counter("frame_bytes", "Their bytes", ways([counted.bytes_in, counted.bytes_out]))?;
        page.counter(
            "device_errors",
            "Reads from and writes to the device that failed",
            ways([counted.device_errors_in, counted.device_errors_out]),
        )?;
        page.counter(
            "loopback_packets",
            "Packets that the stack has sent to itself",
            [([], counted.loopback_packets)],
        )?;
        page.counter("loopback_bytes", "Their bytes", [([], counted.loopback_bytes)])?;
        page.counter(
            "retransmitted_segments",
            "Frames with a segment of TCP that had been sent before",
            [([], counted.retransmitted)],
        )?;
        page.counter("rule_applied", "How often each rule applied (tapsock why)", by_rule(&counted.rules))?;
        page.counter("rule_frames_sent", "Frames that each rule has made the stack send", by_rule(&counted.sent))?;
        self.sockets(&mut page)?;
        page.gauge("device_queue_frames", "Frames that wait for the device", [([], counted.untransmitted)])?;
        let bounds = || counted.limits.iter();
        page.gauge(
            "limit",
            "Each bound of the stack (tapsock limits)",
            bounds().map(|bound| ([("name", bound.name.as_str())], bound.value)),
        )?;
        page.gauge(
            "limit_used",
            "How much of it is used; the buffers of all sockets are 'memory'",
            bounds().filter_map(|bound| Some(([("name", bound.name.as_str())], bound.used?))),
        )?;
        page.gauge("resident_memory_bytes", "Memory of the process", counted.resident.map(|bytes| ([], bytes)))?;
        page.gauge("trace_clients", "Clients that watch over the control socket", [([], counted.watchers)])?;
        page.counter(
            "trace_records_dropped",
            "Records that such clients read too slowly to be told",
            [([], counted.untold)],
        )?;
        page.gauge("uptime_seconds", "Since the stack was made", [([], counted.at.micros() / 1_000_000)])?;
        page.rounds(&counted.rounds)
    }
}

/// With those that never applied: a rate begins where a counter is 0.
fn by_rule(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = ([Label<'static>; 1], u64)> + '_ {
    Rule::ALL.iter().map(|rule| ([("rule", rule.name())], counts.get(rule.name()).copied().unwrap_or(0)))
}

impl Figures {
    fn sockets(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let tallies = &self.0.sockets;
        let states: Vec<_> =
            tallies.iter().map(|tally| (tally.network.name(), tally.state.to_string(), tally.count)).collect();
        let rows = states.iter().map(|(network, state, count)| ([("network", *network), ("state", state)], *count));
        page.gauge("sockets", "Sockets by what they speak and their state", rows)?;
        let is_listening = |state: TcpState| state == TcpState::Listen;
        let sum = |figure: &dyn Fn(&Tally) -> u64| {
            let mut sums: Vec<(&'static str, u64)> = Vec::new();
            for tally in tallies.iter().filter(|tally| !is_listening(tally.state)) {
                match sums.iter_mut().find(|(network, _)| *network == tally.network.name()) {
                    Some((_, sum)) => *sum += figure(tally),
                    None => sums.push((tally.network.name(), figure(tally))),
                }
            }
            sums.into_iter().map(|(network, sum)| ([("network", network)], sum))
        };
        page.gauge("receive_queue_bytes", "Bytes that no program has read yet", sum(&|tally| tally.recv_q))?;
        page.gauge("send_queue_bytes", "Bytes that no peer has acknowledged yet", sum(&|tally| tally.send_q))?;
        let waiting = tallies.iter().filter(|tally| is_listening(tally.state)).map(|tally| tally.recv_q).sum();
        page.gauge("accept_queue_connections", "Connections that wait to be accepted", [([], waiting)])
    }
}

/// What is written so far.
struct Page<'e>(DescriptorEncoder<'e>);

impl Page<'_> {
    fn counter<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'l>; N], u64)>,
    ) -> Result<(), Error> {
        self.family((name, help, MetricType::Counter), rows, |metric, value| {
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn gauge<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([Label<'l>; N], u64)>,
    ) -> Result<(), Error> {
        self.family((name, help, MetricType::Gauge), rows, |metric, value| metric.encode_gauge(&value))
    }

    fn family<'l, const N: usize>(
        &mut self,
        (name, help, kind): (&str, &str, MetricType),
        rows: impl IntoIterator<Item = ([Label<'l>; N], u64)>,
        write: impl Fn(&mut MetricEncoder<'_>, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                write(&mut metric, value)?;
            } else {
                write(&mut metric.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }

    fn rounds(&mut self, rounds: &Rounds) -> Result<(), Error> {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let help =
            "How long the engine was busy at a time: a burst of frames, the calls of programs, and what came of them";
        let mut metric = self.0.encode_descriptor("engine_round", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let buckets: Vec<(f64, u64)> =
            rounds.buckets.iter().map(|&(bound, count)| (bound.map_or(f64::INFINITY, seconds), count)).collect();
        metric.encode_histogram::<NoLabelSet>(seconds(rounds.total), rounds.count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Network;

    #[test]
    fn figures_are_families_with_labels_and_end_as_openmetrics_wants_it() {
        let tally = |network, state, count, recv_q| Tally { network, state, count, recv_q, send_q: 5 };
        let text = text(Counted {
            frames_in: 12,
            rules: [("tcp.rst.closed-port".to_owned(), 3)].into(),
            sent: [("tcp.rst.closed-port".to_owned(), 2)].into(),
            sockets: vec![
                tally(Network::Tcp, TcpState::Listen, 1, 7),
                tally(Network::Tcp, TcpState::Established, 2, 100),
                tally(Network::Tcp, TcpState::CloseWait, 1, 11),
            ],
            rounds: Rounds { count: 3, total: 1_500_000, buckets: vec![(Some(10), 2), (None, 1)] },
            ..Counted::default()
        });
        for line in [
            "# TYPE tapsock_frames counter",
            "tapsock_frames_total{direction=\"in\"} 12",
            "tapsock_rule_applied_total{rule=\"tcp.rst.closed-port\"} 3",
            "tapsock_rule_frames_sent_total{rule=\"tcp.rst.closed-port\"} 2",
            "tapsock_rule_applied_total{rule=\"eth.drop.foreign\"} 0",
            "tapsock_sockets{network=\"tcp\",state=\"ESTABLISHED\"} 2",
            "tapsock_receive_queue_bytes{network=\"tcp\"} 111",
            "tapsock_accept_queue_connections 7",
            "# TYPE tapsock_engine_round_seconds histogram",
            "tapsock_engine_round_seconds_sum 1.5",
            "tapsock_engine_round_seconds_bucket{le=\"0.00001\"} 2",
            "tapsock_engine_round_seconds_bucket{le=\"+Inf\"} 3",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
