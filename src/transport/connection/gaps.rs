//! What has arrived behind a gap: the shadow of smoltcp's assembler, for selective acknowledgments (RFC 2018).

use smoltcp::wire::TcpSeqNumber;

use crate::transport::sequence::{earlier, is_after, later};

/// One less than smoltcp's assembler holds (`assembler-max-segment-count-32`): what stands here is surely there.
const MOST: usize = 31;

type Block = (TcpSeqNumber, TcpSeqNumber);

#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Disjoint; the one that grew last comes first (RFC 2018 §4).
    blocks: Vec<Block>,
    /// What came twice, until it is reported once (RFC 2883).
    duplicate: Option<Block>,
}

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.duplicate.is_none()
    }

    /// `start..end` arrived, and something before it is missing.
    pub(super) fn add(&mut self, start: TcpSeqNumber, end: TcpSeqNumber) {
        if self.blocks.iter().any(|&(left, right)| !is_after(left, start) && !is_after(end, right)) {
            self.duplicate = Some((start, end));
        }
        let (mut left, mut right) = (start, end);
        let touches = |block: &Block, left, right| !is_after(block.0, right) && !is_after(left, block.1);
        let merged = self.blocks.iter().filter(|block| touches(block, start, end)).count();
        if merged == 0 && self.blocks.len() >= MOST {
            return;
        }
        self.blocks.retain(|block| {
            let touched = touches(block, start, end);
            if touched {
                left = earlier(left, block.0);
                right = later(right, block.1);
            }
            !touched
        });
        self.blocks.insert(0, (left, right));
    }

    /// `start..end` arrived, and had been received in order before.
    pub(super) fn note_duplicate(&mut self, start: TcpSeqNumber, end: TcpSeqNumber) {
        self.duplicate = Some((start, end));
    }

    /// Everything before `end` is in order now; says how far the order reaches with what had arrived before.
    pub(super) fn fill(&mut self, end: TcpSeqNumber) -> TcpSeqNumber {
        let mut reached = end;
        while let Some(&(_, right)) =
            self.blocks.iter().find(|&&(left, right)| !is_after(left, reached) && is_after(right, reached))
        {
            reached = right;
        }
        self.blocks.retain(|&(_, right)| is_after(right, reached));
        reached
    }

    /// Whether something behind `end` may have arrived: what is not in a list that is full is not known.
    pub(super) fn reaches_behind(&self, end: TcpSeqNumber) -> bool {
        self.blocks.len() >= MOST || self.blocks.iter().any(|&(_, right)| is_after(right, end))
    }

    /// What the next ACK reports.
    pub(super) fn report(&self) -> impl Iterator<Item = Block> {
        self.duplicate.into_iter().chain(self.blocks.iter().copied())
    }

    /// The duplicate has been reported.
    pub(super) fn reported(&mut self) {
        self.duplicate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(number: i32) -> TcpSeqNumber {
        TcpSeqNumber(number)
    }

    fn report(gaps: &Gaps) -> Vec<(i32, i32)> {
        gaps.report().map(|(left, right)| (left.0, right.0)).collect()
    }

    #[test]
    fn the_block_that_grew_last_comes_first() {
        let mut gaps = Gaps::default();
        gaps.add(seq(100), seq(200));
        gaps.add(seq(300), seq(400));
        gaps.add(seq(500), seq(600));
        assert_eq!(report(&gaps), [(500, 600), (300, 400), (100, 200)]);
        gaps.add(seq(200), seq(250));
        assert_eq!(report(&gaps), [(100, 250), (500, 600), (300, 400)]);
        gaps.add(seq(250), seq(300));
        assert_eq!(report(&gaps), [(100, 400), (500, 600)]);
        assert_eq!(gaps.fill(seq(150)), seq(400));
        assert_eq!(report(&gaps), [(500, 600)]);
    }

    #[test]
    fn what_came_twice_is_reported_once() {
        let mut gaps = Gaps::default();
        gaps.add(seq(100), seq(200));
        gaps.add(seq(100), seq(200));
        assert_eq!(report(&gaps), [(100, 200), (100, 200)]);
        gaps.reported();
        assert_eq!(report(&gaps), [(100, 200)]);
        gaps.note_duplicate(seq(1), seq(2));
        assert_eq!(report(&gaps), [(1, 2), (100, 200)]);
    }

    #[test]
    fn there_are_never_more_blocks_than_the_assembler_holds() {
        let mut gaps = Gaps::default();
        for i in 0..100 {
            gaps.add(seq(i * 10), seq(i * 10 + 5));
        }
        assert_eq!(gaps.report().count(), MOST);
    }
}
