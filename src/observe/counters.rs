use super::Rule;

/// What the stack counts even when nobody looks.
///
/// ```
/// use tapsock::observe::{Counters, Rule};
/// let mut counters = Counters::default();
/// counters.count(Rule::EthForeign);
/// assert_eq!(counters.of(Rule::EthForeign), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
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
    /// Writes to the device that failed; the frame is lost.
    pub device_errors_out: u64,
    /// What came in, or happened inside, by rule.
    rules: [u64; Rule::ALL.len()],
    /// What was sent, by rule.
    sent: [u64; Rule::ALL.len()],
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            frames_in: 0,
            bytes_in: 0,
            frames_out: 0,
            bytes_out: 0,
            loopback_packets: 0,
            loopback_bytes: 0,
            device_errors_in: 0,
            device_errors_out: 0,
            rules: [0; Rule::ALL.len()],
            sent: [0; Rule::ALL.len()],
        }
    }
}

impl Counters {
    /// One more of this came in, or happened inside.
    pub fn count(&mut self, rule: Rule) {
        self.rules[rule as usize] += 1;
        #[cfg(test)]
        super::provoked::note(rule);
    }

    /// One more frame was sent by this.
    pub fn count_sent(&mut self, rule: Rule) {
        self.sent[rule as usize] += 1;
        #[cfg(test)]
        super::provoked::note(rule);
    }

    /// How often it happened. A rule by which a frame is answered has a count for what came and one for what was sent,
    /// and this is the larger.
    pub fn of(&self, rule: Rule) -> u64 {
        self.rules[rule as usize].max(self.sent[rule as usize])
    }

    /// How many frames were sent by it.
    pub fn sent_by(&self, rule: Rule) -> u64 {
        self.sent[rule as usize]
    }

    /// The rules that applied at least once, with how often.
    pub fn rules(&self) -> impl Iterator<Item = (Rule, u64)> + '_ {
        Rule::ALL.iter().map(|&rule| (rule, self.of(rule))).filter(|&(_, count)| count > 0)
    }
}
