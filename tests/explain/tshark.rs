//! What tshark says about the packets of a capture.

use std::path::Path;
use std::process::{Command, Stdio};

/// A field of its PDML.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) show: String,
    /// Hexadecimal: the bytes; of a field that is a part of them, the number.
    pub(crate) value: String,
    pub(crate) is_partial: bool,
}

/// The fields of each packet, in its order.
pub(crate) fn read(capture: &Path) -> Vec<Vec<Field>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "pdml", "-r"]).arg(capture);
    for choice in [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        // Each packet for itself.
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
        "tcp.desegment_tcp_streams:FALSE",
        "tcp.analyze_sequence_numbers:FALSE",
    ] {
        command.args(["-o", choice]);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("tshark is missing; run: sudo apt-get install --no-install-recommends tshark");
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let packets = text.split("<packet>").skip(1);
    packets.map(|packet| packet.split("<field ").skip(1).filter_map(field).collect()).collect()
}

fn field(text: &str) -> Option<Field> {
    let tag = text.split_once('>')?.0;
    let attribute = |name: &str| {
        let begin = format!(" {name}=\"");
        let tag = format!(" {tag}");
        let from = tag.find(&begin)? + begin.len();
        Some(tag[from..].split_once('"')?.0.to_owned())
    };
    if attribute("name").as_deref() == Some("ip.version") && attribute("hide").is_some() {
        return None; // IPv6 has it too there, hidden, for filters
    }
    Some(Field {
        name: attribute("name")?,
        at: attribute("pos")?.parse().ok()?,
        length: attribute("size")?.parse().ok()?,
        show: attribute("show").unwrap_or_default(),
        value: attribute("value").unwrap_or_default(),
        is_partial: attribute("unmaskedvalue").is_some(),
    })
}
