//! `tapsock explain` against tshark, field by field, and against damage, bit by bit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the functions beside the tests are of the tests too

mod corpus;
mod tshark;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use corpus::{Sample, corpus};
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tapsock::trace::explain::{Field, Layer, Link, Packet, Verdict, explain};

/// Ways to damage a packet that are tried.
const CORRUPTIONS: usize = 500;

fn write(path: &Path, datalink: DataLink, frames: &[Vec<u8>]) {
    let header = PcapHeader { datalink, snaplen: 65_535, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(File::create(path).unwrap(), header).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        let at = Duration::from_secs(1_700_000_000 + i as u64);
        writer.write_packet(&PcapPacket::new(at, frame.len() as u32, frame)).unwrap();
    }
}

fn fields<'a>(packet: &'a Packet<'a>) -> impl Iterator<Item = &'a Field> {
    packet.layers.iter().flat_map(|layer| &layer.fields)
}

/// The bits of a field as a number.
fn number(bytes: &[u8], field: &Field) -> u128 {
    let taken = &bytes[field.bytes()];
    let value = taken.iter().fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
    (value >> ((8 - field.bits.end % 8) % 8)) & ((1 << field.bits.len()) - 1)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where and how two fields of the same name differ.
fn difference(bytes: &[u8], ours: &Field, theirs: &tshark::Field) -> Option<String> {
    let range = ours.bytes();
    let around = theirs.at..theirs.at + theirs.length;
    if ours.key == "dhcp.option.type" {
        // tshark's stands for the option as a whole.
        let same = range.start == around.start && theirs.value.starts_with(&hex(&bytes[range.clone()]));
        return (!same).then(|| format!("we have {range:?}, tshark {around:?}: {}", theirs.value));
    }
    if !ours.is_partial() && range != around {
        return Some(format!("we have bytes {range:?}, tshark {around:?}"));
    }
    if !theirs.is_partial {
        let value = hex(&bytes[range]);
        let words = if ours.key.ends_with("hdr_len") { 4 } else { 1 }; // tshark counts bytes
        if ours.is_partial() && (number(bytes, ours) * words).to_string() != theirs.show {
            return Some(format!("we have {}, tshark {}", number(bytes, ours), theirs.show));
        }
        return (value != theirs.value).then(|| format!("we have {value}, tshark {}", theirs.value));
    }
    if around.start > range.start || around.end < range.end {
        return Some(format!("we have bytes {range:?}, tshark {around:?}"));
    }
    let value = number(bytes, ours);
    (u128::from_str_radix(&theirs.value, 16) != Ok(value))
        .then(|| format!("we have {value:#x}, tshark {}", theirs.value))
}

/// Every field of every packet, where it stands and what it is; and the verdict about every checksum.
#[test]
fn tshark_agrees_on_every_field_of_the_corpus() {
    let samples = corpus();
    assert!(samples.len() >= 200);
    let mut frames: Vec<Vec<u8>> = samples.iter().map(|sample| sample.frame.clone()).collect();
    // Every fourth once more with a wrong checksum, or with something wrong under a checksum.
    let mut rng = StdRng::seed_from_u64(7);
    for sample in samples.iter().step_by(4) {
        let mut frame = sample.frame.clone();
        let packet = explain(Link::Ethernet, &sample.frame, sample.frame.len());
        let Some(at) = packet.layers.iter().rev().find_map(|layer| layer.checksum.as_ref()).map(|sum| sum.field) else {
            continue;
        };
        frame[at + rng.random_range(0..2)] ^= 1 << rng.random_range(0..8);
        frames.push(frame);
    }
    let names = |i: usize| samples.get(i).map_or("with a wrong checksum", |sample| sample.name);
    let compared = compare(DataLink::ETHERNET, &frames, names);
    assert!(compared.keys.len() > 150 && compared.values > 8000 && compared.verdicts > 400, "{compared:?}");
}

/// The headers that captures have in the place of Ethernet's.
#[test]
fn tshark_agrees_on_what_a_capture_begins_with() {
    let is_ip = |sample: &Sample| matches!(sample.frame[12..14], [8, 0] | [0x86, 0xdd]);
    let samples: Vec<Sample> = corpus().into_iter().filter(is_ip).step_by(3).collect();
    let names = |i: usize| samples[i].name;
    for (datalink, keys) in
        [(DataLink::RAW, 0), (DataLink::NULL, 0), (DataLink::LINUX_SLL, 4), (DataLink::LINUX_SLL2, 5)]
    {
        let frames: Vec<Vec<u8>> = samples
            .iter()
            .map(|sample| {
                let (addresses, rest) = sample.frame.split_at(12);
                let (kind, packet) = rest.split_at(2);
                let source = &addresses[6..];
                match datalink {
                    DataLink::RAW => packet.to_vec(),
                    DataLink::NULL => [if kind == [8, 0] { &[2, 0, 0, 0] } else { &[30, 0, 0, 0] }, packet].concat(),
                    DataLink::LINUX_SLL => [&[0, 4, 0, 1, 0, 6], source, &[0, 0], kind, packet].concat(),
                    _ => [kind, &[0, 0, 0, 0, 0, 7, 0, 1, 4, 6], source, &[0, 0], packet].concat(),
                }
            })
            .collect();
        let compared = compare(datalink, &frames, names);
        let of_the_link = compared.keys.iter().filter(|key| key.starts_with("sll.")).count();
        assert!(of_the_link == keys && compared.values > 1500, "{datalink:?}: {compared:?}");
    }
}

/// What was compared.
#[derive(Debug)]
#[allow(dead_code)] // read by Debug
struct Compared {
    keys: BTreeSet<&'static str>,
    values: usize,
    verdicts: usize,
}

/// Holds what we say about each packet to what tshark says. Fails where they differ.
fn compare<'a>(datalink: DataLink, frames: &[Vec<u8>], names: impl Fn(usize) -> &'a str) -> Compared {
    let link = Link::of(datalink.into());
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("corpus.pcap");
    write(&capture, datalink, frames);
    let theirs = tshark::read(&capture);
    assert_eq!(theirs.len(), frames.len());

    let explained: Vec<Packet<'_>> = frames.iter().map(|frame| explain(link, frame, frame.len())).collect();
    let keys: BTreeSet<&'static str> =
        explained.iter().flat_map(fields).map(|field| field.key).filter(|key| !key.is_empty()).collect();
    let (mut compared, mut verdicts) = (0, 0);
    let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut report = |key: &str, text: String| {
        wrong.entry(key.to_owned()).or_insert((0, text)).0 += 1;
    };
    for (i, (packet, theirs)) in explained.iter().zip(&theirs).enumerate() {
        let name = names(i);
        for key in &keys {
            // The same number, which tshark calls raw everywhere but in quotations.
            let name_there = if *key == "tcp.seq_raw" { "tcp.seq" } else { key };
            let ours: Vec<&Field> = fields(packet).filter(|field| field.key == *key).collect();
            let theirs: Vec<&tshark::Field> =
                theirs.iter().filter(|field| field.name == name_there && !is_apart(field, packet)).collect();
            if ours.len() != theirs.len() {
                let counts = (ours.len(), theirs.len());
                report(key, format!("packet {} ({name}): {counts:?} of them: {}", i + 1, hex(packet.bytes)));
                continue;
            }
            for (ours, theirs) in ours.iter().zip(theirs) {
                compared += 1;
                if let Some(text) = difference(packet.bytes, ours, theirs) {
                    report(key, format!("packet {} ({name}): {text}", i + 1));
                }
            }
        }
        for layer in packet.layers.iter().filter(|layer| !layer.is_quoted) {
            let Some((key, verdict)) = verdict(layer) else { continue };
            verdicts += 1;
            let theirs = theirs.iter().find(|field| field.name == key);
            if theirs.map(|field| &field.show[..]) != Some(verdict) {
                report(
                    key,
                    format!(
                        "packet {} ({name}): we say {verdict}, tshark {:?}",
                        i + 1,
                        theirs.map(|field| &field.show)
                    ),
                );
            }
        }
    }
    let told: Vec<String> = wrong.iter().map(|(key, (count, text))| format!("{key}: {count} times; {text}")).collect();
    assert!(told.is_empty(), "{datalink:?}:\n{}", told.join("\n"));
    Compared { keys, values: compared, verdicts }
}

/// What tshark has and we do not mean to: padding of no bytes, and ends of options behind the end of the options.
fn is_apart(theirs: &tshark::Field, packet: &Packet<'_>) -> bool {
    let padding = || fields(packet).find(|field| field.name == "padding of the header").map(Field::bytes);
    theirs.length == 0 || theirs.name == "tcp.option_kind" && padding().is_some_and(|bytes| bytes.contains(&theirs.at))
}

/// What tshark calls the verdict about the checksum of a layer, and how it would say it: 0 bad, 1 good, 2 unverified,
/// 3 not present.
fn verdict(layer: &Layer) -> Option<(&'static str, &'static str)> {
    let key = match layer.name {
        "IPv4" => "ip.checksum.status",
        "TCP" => "tcp.checksum.status",
        "UDP" => "udp.checksum.status",
        "ICMP" => "icmp.checksum.status",
        "ICMPv6" => "icmpv6.checksum.status",
        "IGMP" => "igmp.checksum.status",
        _ => return None,
    };
    let said = match layer.checksum.as_ref().map(|sum| sum.verdict) {
        Some(Verdict::Right) => "1",
        Some(Verdict::Wrong | Verdict::LeftToInterface) => "0",
        Some(Verdict::NotCarried) => "3",
        None => "2",
    };
    Some((key, said))
}

/// A change to a frame that a checksum or a length gives away.
#[derive(Debug)]
enum Damage {
    /// One bit of a field that a checksum covers.
    Bit(usize),
    /// A byte of a field that a checksum covers.
    Byte(usize, u8),
    /// A router lowered the time to live, and forgot the checksum.
    Router,
    /// The end is missing.
    Cut(usize),
}

/// The bytes that are covered by some checksum and no part of a number longer than 16 bits' worth of data.
fn covered(packet: &Packet<'_>) -> Vec<usize> {
    let mut covered: Vec<usize> = packet
        .layers
        .iter()
        .filter(|layer| !layer.is_quoted)
        .filter_map(|layer| layer.checksum.as_ref().filter(|sum| sum.verdict == Verdict::Right))
        .flat_map(|sum| sum.over.clone())
        .collect();
    covered.sort_unstable();
    covered.dedup();
    covered
}

#[test]
fn each_corruption_is_found_and_what_was_there_is_among_what_would_explain_it() {
    let samples = corpus();
    let mut rng = StdRng::seed_from_u64(50);
    let mut seen = BTreeMap::new();
    let mut firsts = 0;
    while seen.values().sum::<usize>() < CORRUPTIONS {
        let Sample { name, frame } = &samples[rng.random_range(0..samples.len())];
        let sound = explain(Link::Ethernet, frame, frame.len());
        assert!(!sound.is_damaged(), "{name}: {:?}", sound.layers);
        let covered = covered(&sound);
        if covered.is_empty() {
            continue; // ARP
        }
        let at = covered[rng.random_range(0..covered.len())];
        let mut damaged = frame.clone();
        let is_data = fields(&sound).any(|field| field.bits.len() > 128 && field.bytes().contains(&at));
        let (kind, damage) = match rng.random_range(0..4) {
            0 => ("bit", Damage::Bit(at * 8 + rng.random_range(0..8))),
            1 if !is_data => ("byte", Damage::Byte(at, rng.random_range(1..=255))),
            2 => ("router", Damage::Router),
            3 => ("cut", Damage::Cut(rng.random_range(1..8))),
            _ => continue,
        };
        match damage {
            Damage::Bit(bit) => damaged[bit / 8] ^= 0x80 >> (bit % 8),
            Damage::Byte(at, change) => damaged[at] ^= change,
            Damage::Router => match sound.layers.iter().find_map(|layer| layer.field("ip.ttl")) {
                Some(field) if damaged[field.bits.start / 8] > 1 => damaged[field.bits.start / 8] -= 1,
                _ => continue,
            },
            Damage::Cut(count) => {
                // Padding may go.
                if sound.layers.iter().any(|layer| layer.name == "padding") {
                    continue;
                }
                damaged.truncate(frame.len() - count);
            }
        }
        *seen.entry(kind).or_insert(0) += 1;
        let packet = explain(Link::Ethernet, &damaged, damaged.len());
        assert!(packet.is_damaged(), "{name}: {damage:?} is not found");
        if let Damage::Cut(_) = damage {
            let told = packet
                .layers
                .iter()
                .flat_map(|layer| &layer.problems)
                .any(|problem| problem.text.contains("bytes came"));
            assert!(told, "{name}: {damage:?}: {:?}", packet.layers);
            continue;
        }
        let mended = |repair: &tapsock::trace::explain::Repair| {
            let mut bytes = damaged.clone();
            for (i, bit) in repair.bits.clone().rev().enumerate() {
                let mask = 0x80 >> (bit % 8);
                bytes[bit / 8] = bytes[bit / 8] & !mask | if repair.would_be >> i & 1 == 1 { mask } else { 0 };
            }
            bytes == *frame
        };
        let found = packet.repairs.iter().position(mended);
        assert!(found.is_some(), "{name}: {damage:?} is found, but not what was there: {:#?}", packet.repairs);
        if kind == "router" {
            assert_eq!(found, Some(0), "{name}: the time to live comes first");
        }
        firsts += usize::from(found == Some(0));
    }
    assert!(seen.len() == 4 && seen.values().all(|&count| count >= 50), "{seen:?}");
    assert!(firsts >= 100, "what was there is named first only {firsts} times");
}

/// The program itself, on a file and on text.
#[test]
fn the_program_explains_a_file_and_says_by_its_exit_code_whether_all_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("two.pcap");
    let sample = corpus().into_iter().find(|sample| sample.name == "tcp over ip4").unwrap();
    let mut damaged = sample.frame.clone();
    damaged[22] -= 1; // the time to live
    write(&capture, DataLink::ETHERNET, &[sample.frame, damaged]);
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_tapsock")).arg("explain").args(arguments).arg(&capture).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text, _) = run(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("packet 1 · 2023-11-14 22:13:20.000000000 UTC · "), "{text}");
    assert!(text.ends_with("\n2 packets, 1 damaged\n"), "{text}");
    assert!(text.contains(": a router has lowered it and not the checksum"), "{text}");
    let (code, text, _) = run(&["--packet", "1"]);
    assert_eq!(code, Some(0));
    assert!(!text.contains("DAMAGED") && text.matches("packet ").count() == 1, "{text}");
    let (code, _, errors) = run(&["--packet", "3"]);
    assert_eq!((code, &errors[..]), (Some(2), "tapsock: there is no packet 3: the file has 2\n"));
    let (code, _, errors) = run(&["--hex"]);
    assert_eq!(code, Some(2), "{errors}");
}

/// docs/explain.md has a packet and, below it, what the program says about it.
#[test]
fn the_page_about_it_shows_what_it_writes() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md")).unwrap();
    let mut blocks = page.split("```text\n").skip(1).map(|block| block.split("```").next().unwrap());
    let (packet, shown) = (blocks.next().unwrap(), blocks.next().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("packet.txt");
    std::fs::write(&file, packet).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tapsock")).args(["explain", "--hex"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
}
