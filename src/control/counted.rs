//! What a stack has counted, as it is written on the control socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Audience, Bound, Network};
use crate::config::Limits;
use crate::engine::{self, Handle, Page};
use crate::observe::{Counters, Rule, TcpState, Time};

/// The rules by which a segment is sent again.
const RETRANSMISSIONS: [Rule; 4] =
    [Rule::TcpRetransmitFast, Rule::TcpRetransmitPathMtu, Rule::TcpRetransmitTimeout, Rule::TcpSynAckTimeout];

/// What a stack has counted, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// When.
    pub at: Time,
    /// Frames from the device.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames to the device.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets that the stack has sent to itself.
    pub loopback_packets: u64,
    /// Their bytes.
    pub loopback_bytes: u64,
    /// Reads from the device that failed.
    pub device_errors_in: u64,
    /// Writes to the device that failed.
    pub device_errors_out: u64,
    /// How often each rule applied, by its name; those that never did are left out.
    pub rules: BTreeMap<String, u64>,
    /// How many frames were sent by each rule; those by which none was are left out.
    #[serde(default)]
    pub sent: BTreeMap<String, u64>,
    /// Frames among those that carried a segment of TCP which had been sent before.
    #[serde(default)]
    pub retransmitted: u64,
    /// The sockets there are.
    #[serde(default)]
    pub sockets: Vec<Tally>,
    /// Frames that wait for the device to take them.
    #[serde(default)]
    pub untransmitted: u64,
    /// How long the engine's rounds took.
    #[serde(default)]
    pub rounds: Rounds,
    /// Clients that watch.
    #[serde(default)]
    pub watchers: u64,
    /// Records that clients were not told, because they read too slowly.
    #[serde(default)]
    pub untold: u64,
    /// How much of each bound is used, in the order of `tapsock limits`. That of the buffers is `memory`.
    #[serde(default)]
    pub limits: Vec<Bound>,
    /// Bytes of memory that the whole process has; `null` where the system does not say.
    #[serde(default)]
    pub resident: Option<u64>,
}

/// The sockets of one kind in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What they speak.
    pub network: Network,
    /// Their state; `ESTABLISHED` is connected, `CLOSED` is not, for those that have no states.
    pub state: TcpState,
    /// How many.
    pub count: u64,
    /// Bytes that their programs have not read; of listeners: how many connections wait to be accepted.
    pub recv_q: u64,
    /// Bytes that their peers have not acknowledged; of listeners: how many may wait.
    pub send_q: u64,
}

/// How long the rounds of the engine took in which it had something to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rounds {
    /// How many there were.
    pub count: u64,
    /// How long they took together, in microseconds.
    pub total: u64,
    /// For each bound in microseconds how many took no longer, and longer than the bound before. The last has no bound.
    pub buckets: Vec<(Option<u64>, u64)>,
}

impl From<&engine::Rounds> for Rounds {
    fn from(rounds: &engine::Rounds) -> Rounds {
        let micros = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Rounds {
            count: rounds.count(),
            total: micros(rounds.total()),
            buckets: rounds.buckets().map(|(bound, count)| (bound.map(micros), count)).collect(),
        }
    }
}

impl Counted {
    /// What the counters say at a moment.
    fn of(at: Time, counters: &Counters) -> Counted {
        let named = |count: &dyn Fn(Rule) -> u64| -> BTreeMap<String, u64> {
            let all = Rule::ALL.iter().map(|&rule| (rule.name().to_owned(), count(rule)));
            all.filter(|&(_, count)| count > 0).collect()
        };
        Counted {
            at,
            frames_in: counters.frames_in,
            bytes_in: counters.bytes_in,
            frames_out: counters.frames_out,
            bytes_out: counters.bytes_out,
            loopback_packets: counters.loopback_packets,
            loopback_bytes: counters.loopback_bytes,
            device_errors_in: counters.device_errors_in,
            device_errors_out: counters.device_errors_out,
            rules: named(&|rule| counters.of(rule)),
            sent: named(&|rule| counters.sent_by(rule)),
            retransmitted: RETRANSMISSIONS.iter().map(|&rule| counters.sent_by(rule)).sum(),
            ..Counted::default()
        }
    }

    /// Asks a running stack. The sockets are counted part by part, as they are listed: the engine goes on between them.
    pub async fn gather(handle: &Handle, audience: &Audience, limits: &Limits) -> Counted {
        let sockets = tally(handle).await;
        let status = handle.latest().await;
        let (watchers, untold) = audience.figures();
        Counted {
            sockets,
            untransmitted: status.untransmitted as u64,
            rounds: (&status.rounds).into(),
            watchers: watchers as u64,
            untold,
            limits: Bound::all(limits, &status.usage, audience.clients()),
            resident: resident(),
            ..Counted::of(handle.now(), &status.counters)
        }
    }
}

async fn tally(handle: &Handle) -> Vec<Tally> {
    let mut tallies: BTreeMap<_, Tally> = BTreeMap::new();
    let mut next = Some(Page::default());
    while let Some(page) = next {
        let Ok((rows, rest)) = handle.sockets(page).await else { break };
        for row in &rows {
            let (network, state) = (Network::of(row), row.state);
            let tally = tallies.entry((network, state as u8)).or_insert(Tally {
                network,
                state,
                count: 0,
                recv_q: 0,
                send_q: 0,
            });
            tally.count += 1;
            tally.recv_q += row.recv_q as u64;
            tally.send_q += row.send_q as u64;
        }
        next = rest;
    }
    tallies.into_values().collect()
}

/// `proc_pid_status(5)`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}
