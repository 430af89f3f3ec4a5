//! Comparing sequence numbers. smoltcp's own operators panic when two numbers are 2³¹ apart.

use smoltcp::wire::TcpSeqNumber;

pub(super) fn is_after(a: TcpSeqNumber, b: TcpSeqNumber) -> bool {
    a.0.wrapping_sub(b.0) > 0
}

/// How far `end` lies behind `start`; 0 if it lies before it.
pub(super) fn span(start: TcpSeqNumber, end: TcpSeqNumber) -> usize {
    usize::try_from(end.0.wrapping_sub(start.0)).unwrap_or(0)
}

pub(super) fn add(number: TcpSeqNumber, length: usize) -> TcpSeqNumber {
    TcpSeqNumber(number.0.wrapping_add(length as i32))
}

pub(super) fn later(a: TcpSeqNumber, b: TcpSeqNumber) -> TcpSeqNumber {
    if is_after(a, b) { a } else { b }
}

pub(super) fn earlier(a: TcpSeqNumber, b: TcpSeqNumber) -> TcpSeqNumber {
    if is_after(a, b) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_the_wrap_and_never_panic() {
        let (before, after) = (TcpSeqNumber(i32::MAX), TcpSeqNumber(i32::MIN));
        assert!(is_after(after, before) && !is_after(before, after));
        assert_eq!((span(before, after), span(after, before)), (1, 0));
        assert_eq!(add(before, 1), after);
        assert_eq!((later(before, after), earlier(before, after)), (after, before));
        assert!(!is_after(TcpSeqNumber(0), TcpSeqNumber(i32::MIN)));
    }
}
