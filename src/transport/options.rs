//! The options that our segments carry. smoltcp writes bare headers; they are added on the way out.

use smoltcp::wire::{TcpSeqNumber, TcpTimestampRepr};

use super::timestamp;

/// A header has room for 40 bytes of them.
pub(super) const ROOM: usize = 40;

const NOP: u8 = 1;

/// Options of one segment, padded to a multiple of four.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    bytes: [u8; ROOM],
    length: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { bytes: [NOP; ROOM], length: 0 }
    }
}

impl Options {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    fn push(&mut self, option: &[u8]) {
        let end = self.length + option.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(option);
            self.length = end;
        }
    }

    /// RFC 7323 appendix A: with two NOPs in front, so that the values are aligned.
    pub(super) fn timestamp(&mut self, timestamp: TcpTimestampRepr) {
        let mut option = [NOP, NOP, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        option[4..8].copy_from_slice(&timestamp.tsval.to_be_bytes());
        option[8..].copy_from_slice(&timestamp.tsecr.to_be_bytes());
        debug_assert_eq!(option.len(), timestamp::LENGTH);
        self.push(&option);
    }

    /// RFC 2018 §3: as many of the blocks as fit.
    pub(super) fn sack(&mut self, blocks: impl Iterator<Item = (TcpSeqNumber, TcpSeqNumber)>) {
        let mut option = [NOP; 4 + 4 * 8];
        let room = (ROOM - self.length).saturating_sub(4) / 8;
        let mut end = 4;
        for (block, (left, right)) in option[4..].chunks_exact_mut(8).zip(blocks.take(room.min(4))) {
            block[..4].copy_from_slice(&left.0.to_be_bytes());
            block[4..].copy_from_slice(&right.0.to_be_bytes());
            end += 8;
        }
        if end > 4 {
            option[2..4].copy_from_slice(&[5, (end - 2) as u8]);
            self.push(&option[..end]);
        }
    }

    /// What a SYN offers: MSS, SACK, timestamps, window scaling.
    pub(super) fn syn(mss: u16, scale: Option<u8>, sack: bool, timestamp: Option<TcpTimestampRepr>) -> Options {
        let mut options = Options::default();
        let [high, low] = mss.to_be_bytes();
        options.push(&[2, 4, high, low]);
        if sack {
            options.push(&[NOP, NOP, 4, 2]);
        }
        if let Some(scale) = scale {
            options.push(&[NOP, 3, 3, scale]);
        }
        if let Some(timestamp) = timestamp {
            options.timestamp(timestamp);
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::TcpOption;

    fn parse(mut bytes: &[u8]) -> Vec<String> {
        assert_eq!(bytes.len() % 4, 0);
        let mut options = Vec::new();
        while !bytes.is_empty() {
            let (rest, option) = TcpOption::parse(bytes).unwrap();
            if option != TcpOption::NoOperation {
                options.push(format!("{option:?}"));
            }
            bytes = rest;
        }
        options
    }

    #[test]
    fn a_syn_offers_everything_in_28_bytes_or_fewer() {
        let options = Options::syn(1460, Some(0), true, Some(TcpTimestampRepr::new(1, 2)));
        assert!(options.len() <= 28);
        assert_eq!(
            parse(options.as_bytes()),
            ["MaxSegmentSize(1460)", "SackPermitted", "WindowScale(0)", "TimeStamp { tsval: 1, tsecr: 2 }"]
        );
        assert_eq!(parse(Options::syn(536, None, false, None).as_bytes()), ["MaxSegmentSize(536)"]);
    }

    #[test]
    fn as_many_blocks_are_sent_as_there_is_room_for() {
        let blocks = || (1..9).map(|i| (TcpSeqNumber(i * 100), TcpSeqNumber(i * 100 + 50)));
        let mut four = Options::default();
        four.sack(blocks());
        assert_eq!(four.len(), 36);
        let mut three = Options::default();
        three.timestamp(TcpTimestampRepr::new(1, 2));
        three.sack(blocks());
        assert_eq!(three.len(), 40);
        assert_eq!(parse(three.as_bytes())[1], "SackRange([Some((100, 150)), Some((200, 250)), Some((300, 350))])");
        let mut none = Options::default();
        none.sack(std::iter::empty());
        assert_eq!(none.len(), 0);
    }
}
