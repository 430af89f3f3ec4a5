//! Flags, numbers, window and options of a TCP segment (RFC 9293 §3.1).

use std::fmt;

use etherparse::{TcpOptionElement, TcpOptionReadError, TcpSlice};

use crate::observe::{Direction, Numbers};

/// What the numbers of one segment count from, and what its window is shifted by.
pub(super) struct Scale {
    sequence: Option<u32>,
    acknowledgment: Option<u32>,
    shift: u8,
}

impl Scale {
    /// The sender's first number is where `seq` counts from, the receiver's where `ack` does. The window of a SYN is
    /// never shifted (RFC 7323 §2.2).
    pub(super) fn of(direction: Direction, numbers: Option<Numbers>, segment: &TcpSlice<'_>) -> Scale {
        let Some(numbers) = numbers else { return Scale { sequence: None, acknowledgment: None, shift: 0 } };
        let local = Some(numbers.local);
        let remote = Some(numbers.remote).filter(|&first| first != 0);
        let (sequence, acknowledgment, shift) = match direction {
            Direction::In => (remote, local, numbers.remote_shift),
            Direction::Out => (local, remote, numbers.local_shift),
        };
        // RFC 7323 §2.3: a shift beyond 14 counts as 14.
        Scale { sequence, acknowledgment, shift: if segment.syn() { 0 } else { shift.min(14) } }
    }

    fn window(&self, segment: &TcpSlice<'_>) -> u32 {
        u32::from(segment.window_size()) << self.shift
    }
}

/// `[S.]`, as tcpdump writes them.
struct Flags<'a>(&'a TcpSlice<'a>);

impl fmt::Display for Flags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tcp = self.0;
        let flags = [
            (tcp.fin(), "F"),
            (tcp.syn(), "S"),
            (tcp.rst(), "R"),
            (tcp.psh(), "P"),
            (tcp.ack(), "."),
            (tcp.urg(), "U"),
            (tcp.ece(), "E"),
            (tcp.cwr(), "W"),
            (tcp.ns(), "e"),
        ];
        f.write_str("[")?;
        for (_, letter) in flags.iter().filter(|(set, _)| *set) {
            f.write_str(letter)?;
        }
        f.write_str(if flags.iter().any(|(set, _)| *set) { "]" } else { "none]" })
    }
}

/// A number from the first of its connection, or as it is.
fn relative(number: u32, first: Option<u32>) -> u32 {
    number.wrapping_sub(first.unwrap_or(0))
}

/// What a segment says, on one line.
pub(super) struct Segment<'a> {
    pub(super) tcp: &'a TcpSlice<'a>,
    pub(super) scale: &'a Scale,
}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Core(self), Options(self))
    }
}

/// The same without the options.
pub(super) struct Core<'a>(pub(super) &'a Segment<'a>);

impl fmt::Display for Core<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Segment { tcp, scale } = *self.0;
        let length = tcp.payload().len();
        let mark = |first: Option<u32>| if first.is_none() { " (absolute)" } else { "" };
        let sequence = relative(tcp.sequence_number(), scale.sequence);
        write!(f, "{} seq {sequence}", Flags(tcp))?;
        if length > 0 {
            // A segment is at most 65 535 bytes long: its packet's length is a field of 16 bits.
            write!(f, ":{}", sequence.wrapping_add(length as u32))?;
        }
        f.write_str(mark(scale.sequence))?;
        if tcp.ack() {
            let number = relative(tcp.acknowledgment_number(), scale.acknowledgment);
            write!(f, " ack {number}{}", mark(scale.acknowledgment))?;
        }
        write!(f, " win {}", scale.window(tcp))?;
        if tcp.urg() {
            write!(f, " urg {}", tcp.urgent_pointer())?;
        }
        if length > 0 {
            write!(f, " len {length}")?;
        }
        Ok(())
    }
}

/// ` mss 1460 sackOK ws 7`, in the order of the segment, without padding.
struct Options<'a>(&'a Segment<'a>);

impl fmt::Display for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TcpOptionElement::*;
        let Segment { tcp, scale } = *self.0;
        for option in tcp.options_iterator() {
            match option {
                Ok(Noop) => Ok(()),
                Ok(MaximumSegmentSize(size)) => write!(f, " mss {size}"),
                Ok(WindowScale(shift)) => write!(f, " ws {shift}"),
                Ok(SelectiveAcknowledgementPermitted) => f.write_str(" sackOK"),
                Ok(SelectiveAcknowledgement(first, rest)) => {
                    f.write_str(" sack")?;
                    for (from, to) in [Some(first)].into_iter().chain(rest).flatten() {
                        let block = |number| relative(number, scale.acknowledgment);
                        write!(f, " {}:{}", block(from), block(to))?;
                    }
                    Ok(())
                }
                Ok(Timestamp(value, echo)) => write!(f, " ts {value} echo {echo}"),
                // etherparse reads no further: it does not trust the length of what it does not know.
                Err(TcpOptionReadError::UnknownId(kind)) => write!(f, " option {kind}"),
                Err(_) => f.write_str(" malformed option"),
            }?;
        }
        Ok(())
    }
}

/// The numbers as they stand in the header, and how the shown ones come from them.
pub(super) struct Header<'a> {
    pub(super) tcp: &'a TcpSlice<'a>,
    pub(super) scale: &'a Scale,
    pub(super) direction: Direction,
}

impl fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { tcp, scale, direction } = *self;
        let (sender, receiver) = match direction {
            Direction::In => ("the peer's", "our"),
            Direction::Out => ("our", "the peer's"),
        };
        let number = |f: &mut fmt::Formatter<'_>, number: u32, first: Option<u32>, whose: &str| match first {
            Some(_) => write!(f, "{number} ({whose} first + {})", relative(number, first)),
            None => write!(f, "{number}"),
        };
        write!(f, "{} seq ", Flags(tcp))?;
        number(f, tcp.sequence_number(), scale.sequence, sender)?;
        if tcp.ack() {
            f.write_str(" ack ")?;
            number(f, tcp.acknowledgment_number(), scale.acknowledgment, receiver)?;
        }
        write!(f, " · window {}", tcp.window_size())?;
        if scale.shift > 0 {
            write!(f, " << {} = {}", scale.shift, scale.window(tcp))?;
        }
        write!(f, " · header {} bytes", tcp.header_len())?;
        if !tcp.options().is_empty() {
            write!(f, ", options{}", Options(&Segment { tcp, scale }))?;
        }
        Ok(())
    }
}
