//! An explanation as text.

use std::fmt;

use super::field::{Field, Layer, Packet, number};
use super::repair::{Because, Repair};
use super::sum::{Part, Verdict, Working, fold};

/// Bytes of a field on one line.
const LINE: usize = 8;
/// Lines of data, and of words, that are shown of a packet that is one of many.
const LINES: usize = 4;
/// Repairs that are shown of it.
const REPAIRS: usize = 6;

/// How to show a packet.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Which.
    pub packet: &'a Packet<'a>,
    /// With all its data, all words of its checksums, and everything that would repair it.
    pub is_full: bool,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.packet.layers {
            self.layer(f, layer)?;
        }
        self.repairs(f)
    }
}

impl Shown<'_> {
    fn layer(&self, f: &mut fmt::Formatter<'_>, layer: &Layer) -> fmt::Result {
        let quoted = if layer.is_quoted { "quoted " } else { "" };
        let (from, count) = (layer.bytes.start, layer.bytes.len());
        writeln!(f, "  {quoted}{} · {count} byte{} from {from} on", layer.name, if count == 1 { "" } else { "s" })?;
        for field in &layer.fields {
            self.field(f, field)?;
        }
        for remark in &layer.remarks {
            writeln!(f, "        {remark}")?;
        }
        for problem in &layer.problems {
            writeln!(f, "        DAMAGED: {}", problem.text)?;
        }
        layer.checksum.as_ref().map_or(Ok(()), |working| self.working(f, layer, working))
    }

    fn field(&self, f: &mut fmt::Formatter<'_>, field: &Field) -> fmt::Result {
        let range = field.bytes();
        let bytes = self.packet.bytes.get(range.clone()).unwrap_or_default();
        if field.is_partial() {
            let bits = Bits { bytes, field }.to_string();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return writeln!(
                f,
                "  {:>4}  {:<25} {:<28} {}",
                range.start,
                format!("{hex}  {bits}"),
                field.name,
                field.text
            );
        }
        if bytes.len() > 2 * LINE {
            writeln!(f, "  {:>4}  {:<25} {:<28} {}", range.start, "", field.name, field.text)?;
            return self.dump(f, range.start, bytes);
        }
        for (i, line) in bytes.chunks(LINE).enumerate() {
            let at = range.start + i * LINE;
            if i == 0 {
                writeln!(f, "  {at:>4}  {:<25} {:<28} {}", Hex(line).to_string(), field.name, field.text)?;
            } else {
                writeln!(f, "  {at:>4}  {}", Hex(line))?;
            }
        }
        Ok(())
    }

    fn dump(&self, f: &mut fmt::Formatter<'_>, at: usize, bytes: &[u8]) -> fmt::Result {
        let shown = if self.is_full { usize::MAX } else { LINES };
        for (i, line) in bytes.chunks(16).enumerate().take(shown) {
            let text: String = line
                .iter()
                .map(|&byte| if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '.' })
                .collect();
            writeln!(f, "  {:>4}  {:<47}  {text}", at + i * 16, Hex(line).to_string())?;
        }
        let left = bytes.len().saturating_sub(shown.saturating_mul(16));
        if left > 0 { writeln!(f, "        … {left} bytes more (--packet shows them)") } else { Ok(()) }
    }

    fn working(&self, f: &mut fmt::Formatter<'_>, layer: &Layer, working: &Working) -> fmt::Result {
        let over = working.over.len();
        write!(f, "        checksum, over ")?;
        if working.pseudo > 0 {
            write!(f, "the pseudo-header and ")?;
        }
        writeln!(f, "{over} bytes:")?;
        for (i, part) in working.parts.iter().enumerate() {
            if i > 0 && i + 1 == working.parts.len() {
                writeln!(f, "          0000 the checksum itself, as zero")?;
            }
            self.part(f, part)?;
        }
        let sum = working.sum();
        write!(f, "          sum {sum:#06x}")?;
        let mut left = sum;
        while left > 0xffff {
            let (low, high) = (left & 0xffff, left >> 16);
            left = low + high;
            write!(f, ", folded {low:#06x} + {high:#x} = {left:#06x}")?;
        }
        write!(f, ", complement {:#06x}", !fold(sum))?;
        if working.computed == 0xffff && !fold(sum) == 0 {
            write!(f, ", sent as 0xffff")?;
        }
        write!(f, "; carried {:#06x}", working.carried)?;
        match working.verdict {
            Verdict::Right => writeln!(f, ": right"),
            Verdict::NotCarried => writeln!(f, ": none is carried, as UDP over IPv4 may (RFC 768)"),
            Verdict::LeftToInterface => {
                writeln!(f, ": the sum of the pseudo-header alone")?;
                writeln!(f, "        left to the interface: captured on its way out, before the rest was added")
            }
            Verdict::Wrong => {
                writeln!(f, ": WRONG")?;
                let excess = working.excess();
                // Two ways to say the same, of which one is shorter.
                let (by, way) = if excess > 0x7fff { (0xffff - excess, "less") } else { (excess, "more") };
                let whose = if layer.is_quoted { "quoted, and changed on its way perhaps" } else { "DAMAGED" };
                let carried = working.carried;
                writeln!(
                    f,
                    "        {whose}: the words add up to {by:#06x} {way} than those that {carried:#06x} was made for"
                )?;
                said(f, working)
            }
        }
    }

    fn part(&self, f: &mut fmt::Formatter<'_>, part: &Part) -> fmt::Result {
        let shown = if self.is_full { usize::MAX } else { LINES };
        let what = match part.at {
            Some(at) => format!("{}, from {at} on", part.what),
            None => part.what.to_owned(),
        };
        let lines = part.words.chunks(8);
        let count = lines.len();
        for (i, line) in lines.enumerate().take(shown) {
            let words: Vec<String> = line.iter().map(|word| format!("{word:04x}")).collect();
            let what = if i == 0 { &what[..] } else { "" };
            let sum: u32 = line.iter().copied().map(u32::from).sum();
            let blank = if what.is_empty() { "" } else { "  " };
            writeln!(f, "          {:<39} = {sum:>5x}{blank}{what}", words.join(" "))?;
        }
        if count > shown {
            let rest = part.words.get(shown * 8..).unwrap_or_default();
            let sum: u32 = rest.iter().copied().map(u32::from).sum();
            writeln!(f, "          {:<39} = {sum:>5x}", format!("… {} words more", rest.len()))?;
        }
        Ok(())
    }

    fn repairs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.packet.is_damaged() {
            return Ok(());
        }
        let repairs = &self.packet.repairs;
        if repairs.is_empty() {
            return writeln!(
                f,
                "  No single field would explain the damage: more than one was changed, or one that is not known."
            );
        }
        let (data, fields): (Vec<&Repair>, Vec<&Repair>) = repairs.iter().partition(|repair| repair.is_data());
        writeln!(f, "  What would explain it, one of these:")?;
        let shown = if self.is_full { usize::MAX } else { REPAIRS };
        for repair in fields.iter().take(shown) {
            let width = repair.bits.len().div_ceil(4);
            let (is, would_be) = (repair.is, repair.would_be);
            write!(f, "    {} {}: {is} where {would_be} would be right", repair.layer, repair.field)?;
            write!(f, " (0x{is:0width$x}, 0x{would_be:0width$x})")?;
            match repair.because {
                Because::Structure => f.write_str(": it is what the rest of the packet says")?,
                Because::Router => f.write_str(": a router has lowered it and not the checksum")?,
                Because::OneBit => f.write_str(": one flipped bit")?,
                Because::Sum => write!(f, ": {} bits differ", repair.flips())?,
            }
            writeln!(f)?;
        }
        if fields.len() > shown {
            writeln!(f, "    … {} fields more (--packet shows them)", fields.len() - shown)?;
        }
        if !data.is_empty() {
            writeln!(f, "    data: one flipped bit in one of {} words", data.len())?;
        }
        Ok(())
    }
}

/// Mistakes of a sender, as opposed to damage on the way, that the value gives away.
fn said(f: &mut fmt::Formatter<'_>, working: &Working) -> fmt::Result {
    let sum = fold(working.sum());
    let without = || fold(working.parts.iter().skip(working.pseudo).map(Part::sum).sum());
    let carried = working.carried;
    let what = if carried == 0 {
        "the field is zero: nobody has filled it in, or the interface was to"
    } else if carried == working.computed.swap_bytes() {
        "it is the right value with its bytes swapped: the wrong byte order"
    } else if carried == sum {
        "it is the sum itself: the complement was forgotten"
    } else if working.pseudo > 0 && carried == !without() {
        "it is right without the pseudo-header, which was forgotten"
    } else {
        return Ok(());
    };
    writeln!(f, "        {what}")
}

/// `45 00 00 34`
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let blank = if i == 0 { "" } else { " " };
            write!(f, "{blank}{byte:02x}")?;
        }
        Ok(())
    }
}

/// `.1.. ....`: the bits of a field among those of its bytes.
struct Bits<'a> {
    bytes: &'a [u8],
    field: &'a Field,
}

impl fmt::Display for Bits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.field.bits.start / 8 * 8;
        for bit in 0..self.bytes.len() * 8 {
            if bit > 0 && bit % 4 == 0 {
                f.write_str(" ")?;
            }
            if self.field.bits.contains(&(first + bit)) {
                f.write_str(if number(self.bytes, &(bit..bit + 1)) == Some(1) { "1" } else { "0" })?;
            } else {
                f.write_str(".")?;
            }
        }
        Ok(())
    }
}
