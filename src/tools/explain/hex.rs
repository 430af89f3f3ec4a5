//! Packets as hexadecimal numbers in text: plain, or as xxd, `hexdump -C` and `tcpdump -x` write them.
//!
//! A line may begin with an offset and end with the same bytes as letters. An offset of zero begins a packet, as does
//! an empty line or one that is none of this, such as tcpdump's about the packet. `#` begins a comment.

use std::io::{BufRead, Read};

use super::{Captured, Stop};
use crate::trace::explain::{LONGEST, Link};

/// A line that is longer than any that somebody writes, or a packet on one line.
const LINE: u64 = 4 * LONGEST as u64;

/// Gives each packet of a text to `take`.
pub(super) fn read(mut source: impl BufRead, mut take: impl FnMut(Captured) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut packet = Vec::new();
    let mut line = Vec::new();
    let mut has_offsets = false;
    loop {
        line.clear();
        let count = (&mut source).take(LINE).read_until(b'\n', &mut line).map_err(Stop::Read)?;
        if count == 0 {
            break;
        }
        if count as u64 == LINE {
            return Err(Stop::Nonsense("a line has no end".into()));
        }
        match parse(&String::from_utf8_lossy(&line)) {
            Line::Bytes { offset: None, bytes } if has_offsets && number_of(&bytes) == packet.len() as u64 => {
                finish(&mut packet, &mut take)?; // the last line of hexdump: the length
            }
            Line::Bytes { offset, bytes } => {
                has_offsets = offset.is_some();
                if offset == Some(0) {
                    finish(&mut packet, &mut take)?;
                }
                if let Some(offset) = offset.filter(|&offset| offset != packet.len() as u64) {
                    let there = packet.len();
                    return Err(Stop::Nonsense(format!(
                        "a line of offset {offset:#x} follows {there} bytes of a packet"
                    )));
                }
                if packet.len() + bytes.len() > LONGEST {
                    return Err(Stop::Nonsense(format!("a packet has more than {LONGEST} bytes")));
                }
                packet.extend(bytes);
            }
            Line::Repeated => {
                let why = "a line '*' stands for lines that are left out; write them all (hexdump -v, xxd without -a)";
                return Err(Stop::Nonsense(why.into()));
            }
            Line::Other => finish(&mut packet, &mut take)?,
            Line::Comment => {}
        }
    }
    finish(&mut packet, &mut take)
}

fn finish(packet: &mut Vec<u8>, take: &mut dyn FnMut(Captured) -> Result<(), Stop>) -> Result<(), Stop> {
    if packet.is_empty() {
        return Ok(());
    }
    let bytes = std::mem::take(packet);
    let link = link_of(&bytes);
    let begins = if link == Link::Ip { "an IP header" } else { "an Ethernet header" };
    let note = format!("taken to begin with {begins}");
    take(Captured { link, wire: bytes.len(), bytes, at: None, notes: vec![note] })
}

/// Up to eight bytes as one number.
fn number_of(bytes: &[u8]) -> u64 {
    if bytes.len() > 8 { u64::MAX } else { bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)) }
}

/// What the bytes say that they are. An Ethernet type that fits what follows it is the better sign: addresses are
/// anything.
fn link_of(bytes: &[u8]) -> Link {
    let version = |at: usize| bytes.get(at).map(|byte| byte >> 4);
    match bytes.get(12..14) {
        Some([0x08, 0x00]) if version(14) == Some(4) => return Link::Ethernet,
        Some([0x86, 0xdd]) if version(14) == Some(6) => return Link::Ethernet,
        Some([0x08, 0x06] | [0x81, 0x00] | [0x88, 0xa8]) => return Link::Ethernet,
        _ => {}
    }
    match version(0) {
        Some(4) if bytes[0] & 15 >= 5 && bytes.len() >= 20 => Link::Ip,
        Some(6) if bytes.len() >= 40 => Link::Ip,
        _ if bytes.len() < 14 && matches!(version(0), Some(4 | 6)) => Link::Ip,
        _ => Link::Ethernet,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Bytes {
        /// What it begins with.
        offset: Option<u64>,
        bytes: Vec<u8>,
    },
    Comment,
    /// `*`
    Repeated,
    Other,
}

fn parse(line: &str) -> Line {
    let line = line.trim_end();
    if line.trim_start().starts_with('#') {
        return Line::Comment;
    }
    if line.trim_start() == "*" {
        return Line::Repeated;
    }
    let (offset, rest) = offset(line.trim_start());
    let rest = rest.split('|').next().unwrap_or_default(); // hexdump -C
    let mut bytes = Vec::new();
    let mut words = rest.trim_start();
    while !words.is_empty() {
        // Two blanks end the numbers of a line with an offset: letters follow, which may look like numbers.
        if offset.is_some() && !bytes.is_empty() && words.starts_with("  ") && !is_gap(words, bytes.len()) {
            break;
        }
        let word = words.trim_start_matches([' ', '\t', ',', ':', '-']);
        let end = word.find([' ', '\t', ',', ':', '-']).unwrap_or(word.len());
        let (this, after) = word.split_at(end);
        match number(this) {
            Some(more) => bytes.extend(more),
            None if this.is_empty() => break,
            None if offset.is_some() => break, // letters after a single blank
            None => return Line::Other,
        }
        words = after;
    }
    if bytes.is_empty() { Line::Other } else { Line::Bytes { offset, bytes } }
}

/// The wider gap that `hexdump -C` leaves after eight bytes.
fn is_gap(words: &str, count: usize) -> bool {
    let rest = words.trim_start();
    count == 8
        && words.len() - rest.len() == 2
        && rest.split(' ').next().is_some_and(|word| number(word).is_some_and(|bytes| bytes.len() == 1))
}

/// `0x0010:`, `00000010:`, or `00000010  `, before the numbers of a line.
fn offset(line: &str) -> (Option<u64>, &str) {
    let end = line.find([':', ' ', '\t']).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_offset = match rest.as_bytes() {
        [b':', b' ' | b'\t', ..] => digits.len() >= 4,
        [b' ', b' ', ..] => digits.len() >= 4,
        _ => false,
    };
    match u64::from_str_radix(digits, 16) {
        Ok(offset) if is_offset && digits.len() <= 16 => (Some(offset), rest.trim_start_matches(':')),
        _ => (None, line),
    }
}

/// The bytes of an even number of digits.
fn number(word: &str) -> Option<Vec<u8>> {
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("\\x")).unwrap_or(word).as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    digits.as_chunks::<2>().0.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn packets(text: &str) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let read = read(io::Cursor::new(text), |packet| {
            found.push(packet.bytes);
            Ok(())
        });
        assert!(read.is_ok(), "{text}");
        found
    }

    #[test]
    fn every_way_to_write_it_gives_the_same_bytes() {
        let bytes: Vec<u8> = (0x41..0x55).collect();
        let ways = [
            "4142434445464748494a4b4c4d4e4f5051525354\n",
            "41 42 43 44 45 46 47 48 49 4a\n4b 4c 4d 4e 4f 50 51 52 53 54\n",
            "41:42:43:44:45:46:47:48:49:4a:4b:4c:4d:4e:4f:50:51:52:53:54",
            "0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a,\n0x4b,0x4c,0x4d,0x4e,0x4f,0x50,0x51,0x52,0x53,0x54",
            "# xxd\n00000000: 4142 4344 4546 4748 494a 4b4c 4d4e 4f50  ABCDEFGHIJKLMNOP\n00000010: 5152 5354                                QRST\n",
            "00000000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|\n00000010  51 52 53 54  |QRST|\n00000014\n",
            "12:00:00.000000 IP 10.0.0.1 > 10.0.0.2: ip-proto-17\n\t0x0000:  4142 4344 4546 4748 494a 4b4c 4d4e 4f50\n\t0x0010:  5152 5354\n",
            "\t0x0000:  4142 4344 4546 4748 494a 4b4c 4d4e 4f50  ABCDEFGHIJKLMNOP\n\t0x0010:  5152 5354                                QRST\n",
        ];
        for text in ways {
            assert_eq!(packets(text), std::slice::from_ref(&bytes), "{text}");
        }
    }

    #[test]
    fn a_text_may_have_several_packets() {
        let tcpdump = "12:00 IP a > b\n\t0x0000:  4500 0014\n12:01 IP a > b\n\t0x0000:  4500 0015\n\t0x0004:  01\n";
        assert_eq!(packets(tcpdump), [vec![0x45, 0, 0, 0x14], vec![0x45, 0, 0, 0x15, 1]]);
        assert_eq!(packets("00000000: 4500\n00000000: 4501\n"), [[0x45, 0], [0x45, 1]]);
        assert_eq!(packets("4500\n\n4501\n"), [[0x45, 0], [0x45, 1]]);
        assert!(packets("nothing of the kind\n").is_empty());
    }

    #[test]
    fn lines_that_are_left_out_are_missed() {
        for (text, sentence) in [
            ("00000000: 4500\n*\n00000020: 4501\n", "stands for lines that are left out"),
            ("\t0x0000:  4500\n\t0x0010:  4501\n", "a line of offset 0x10 follows 2 bytes"),
        ] {
            let read = read(io::Cursor::new(text), |_| Ok(()));
            assert!(matches!(read, Err(Stop::Nonsense(why)) if why.contains(sentence)), "{text}");
        }
    }

    #[test]
    fn letters_that_look_like_numbers_are_letters() {
        assert_eq!(packets("00000000: 6162 6364                                abcd\n"), [[0x61, 0x62, 0x63, 0x64]]);
        assert_eq!(packets("\t0x0000:  6162 6364 6566  abcdef\n").concat().len(), 6);
    }

    #[test]
    fn what_it_begins_with_is_seen() {
        let mut frame = vec![0x45; 12];
        frame.extend([8, 0, 0x45, 0]);
        assert_eq!(link_of(&frame), Link::Ethernet);
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        assert_eq!(link_of(&packet), Link::Ip);
        packet[0] = 0x60;
        packet.resize(40, 0);
        assert_eq!(link_of(&packet), Link::Ip);
        assert_eq!(link_of(&[0; 60]), Link::Ethernet);
    }
}
