//! The import law: which module may use which, and which may use what from outside.
//!
//! Data goes down and up one column, and no layer calls one above it. The table below says so module by module, and
//! this test reads `src/` and holds it to the table. It reads tokens, not types: a `use`, a path in an expression
//! and a path in a macro count alike, and test code may use what it likes.

// Functions beside the tests unwrap too: where `src/` cannot be read, the test has failed.
#![allow(clippy::unwrap_used)]

#[path = "layering/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use source::Source;

/// What a room may import.
#[derive(Clone, Copy)]
enum Law {
    /// These rooms, or a single item such as `config::Mac`.
    Only(&'static [&'static str]),
    /// Every room that stands above it in the table.
    Above,
}
use Law::{Above, Only};

/// Every top-level module there may be. Each imports only from those above it, so there are no cycles.
///
/// Some entries are wider than what is meant, because a path does not tell: `net` and `interpose` use plain types of
/// `socket`, `net` uses constructors of `device`, `stack` for its builder, and types of `observe` alone.
const ROOMS: &[(&str, Law)] = &[
    ("error", Only(&[])),
    ("config", Only(&["error"])),
    // The one addition to the table of the design: events name Ethernet addresses, and the type of an Ethernet address
    // is a setting before it is anything else. A second type would only be converted into the first.
    ("observe", Only(&["error", "config::Mac"])),
    ("tape", Only(&[])),
    ("memory", Only(&["tape", "error"])),
    ("pipe", Only(&["memory", "tape", "error"])),
    ("device", Only(&["error", "config", "observe"])),
    ("link", Only(&["error", "config", "observe"])),
    ("ip", Only(&["error", "config", "observe"])),
    ("transport", Only(&["memory", "ip", "error", "config", "observe"])),
    ("loopback", Only(&["transport", "pipe", "error", "config", "observe"])),
    ("socket", Only(&["transport", "loopback", "memory", "pipe", "error", "config", "observe"])),
    ("stack", Only(&["link", "ip", "transport", "loopback", "socket", "memory", "pipe", "error", "config", "observe"])),
    ("recording", Only(&["stack", "pipe", "tape", "config", "observe"])),
    ("engine", Only(&["recording", "stack", "device", "pipe", "error", "config", "observe"])),
    ("net", Only(&["recording", "engine", "socket", "stack", "device", "pipe", "config", "error", "observe"])),
    ("services", Only(&["net", "error"])),
    ("errands", Only(&["net", "ip::transport_checksum", "observe::notation", "config", "error"])),
    ("control", Only(&["errands", "net", "engine", "observe", "config", "error"])),
    ("interpose", Only(&["engine", "control", "pipe", "socket", "observe", "config", "error"])),
    ("trace", Only(&["observe", "error"])),
    ("daemon", Above),
    ("tools", Above),
    ("cli", Only(&["recording", "device", "observe", "config", "daemon", "tools", "error"])),
];

/// Crates, or parts of them, that only these rooms may use. Other crates are free to all.
const CRATES: &[(&str, &[&str])] = &[
    ("etherparse", &["trace"]),
    ("pcap_file", &["trace", "tools"]),
    ("tun_tap", &["device"]),
    // `tools`: `tapsock bench loopback` measures it beside us.
    ("smoltcp", &["link", "ip", "transport", "loopback", "socket", "tools"]),
    ("smoltcp::storage", &["pipe"]),
    // The messages of DHCP, and the packets around them, which exist before there is an address to send from.
    ("smoltcp::wire", &["stack"]),
    ("smoltcp::phy::ChecksumCapabilities", &["stack"]),
    ("tokio", &["engine", "net", "services", "errands", "control", "interpose", "daemon", "tools"]),
    ("hyper", &["services"]),
    ("clap", &["cli"]),
];

/// Rooms with system calls, which may say `unsafe` in the files that allow it.
const UNSAFE: &[&str] = &["device", "memory", "pipe", "interpose", "engine"];

/// Something that the law forbids.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    place: String,
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place, self.line, self.what)
    }
}

/// The rooms above `room`, and the law for it.
fn law_of(room: &str) -> Option<(&'static [(&'static str, Law)], Law)> {
    let row = ROOMS.iter().position(|(name, _)| *name == room)?;
    Some((&ROOMS[..row], ROOMS[row].1))
}

/// Whether `path` is the entry, or inside it.
fn covers(entry: &str, path: &[String]) -> bool {
    let mut path = path.iter();
    entry.split("::").all(|word| path.next().is_some_and(|part| part == word))
}

/// Checks one file. `module` is its path from the root of the crate, the room first.
fn check(place: &str, module: &[String], source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut report = |line: usize, what: String| breaches.push(Breach { place: place.to_owned(), line, what });
    let room = module[0].as_str();
    let Some((above, law)) = law_of(room) else {
        report(1, format!("the module `{room}` is not in the table of rooms"));
        return breaches;
    };
    for reference in source.references(module) {
        let (path, line) = (&reference.path, reference.line);
        let allowed = match (path.first().map(String::as_str), law) {
            (None | Some("*"), _) => false, // the root itself would let everything through under another name
            (Some(first), _) if first == room => true,
            (Some(_), Only(entries)) => entries.iter().any(|entry| covers(entry, path)),
            (Some(first), Above) => above.iter().any(|(name, _)| *name == first),
        };
        if !allowed {
            report(line, format!("`{room}` may not import `crate::{}`", path.join("::")));
        }
    }
    let names: Vec<&str> = CRATES.iter().map(|(entry, _)| *entry).filter(|entry| !entry.contains("::")).collect();
    for reference in source.outside(&names) {
        if !CRATES.iter().any(|(entry, rooms)| rooms.contains(&room) && covers(entry, &reference.path)) {
            report(reference.line, format!("`{room}` may not use `{}`", reference.path.join("::")));
        }
    }
    if !UNSAFE.contains(&room) {
        for line in source.lines_with(&["unsafe", "unsafe_code"]) {
            report(line, format!("`{room}` may not say `unsafe`"));
        }
    }
    breaches
}

/// All files under `directory` with the paths of their modules.
fn files(directory: &Path, module: &[String], found: &mut Vec<(PathBuf, Vec<String>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inside = [module, &[name]].concat();
        if path.is_dir() {
            files(&path, &inside, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let own = if path.ends_with("mod.rs") { module.to_vec() } else { inside };
            found.push((path, own));
        }
    }
}

/// The crate as it is: place, module and source of every file that is not for tests alone.
fn sources() -> Vec<(String, Vec<String>, Source)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &[], &mut found);
    found.sort();
    let read: Vec<_> = found
        .into_iter()
        .map(|(path, module)| {
            let place = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            (place, module, Source::read(&fs::read_to_string(path).unwrap()))
        })
        .collect();
    // `#[cfg(test)] mod tests;` makes a test of that file and of everything below it.
    let tests: Vec<Vec<String>> = read
        .iter()
        .flat_map(|(_, module, source)| source.test_modules.iter().map(|name| [module, &[name.clone()][..]].concat()))
        .collect();
    read.into_iter().filter(|(_, module, _)| !tests.iter().any(|test| module.starts_with(test))).collect()
}

#[test]
fn the_import_law_holds() {
    let mut breaches = Vec::new();
    let mut files = 0;
    for (place, mut module, source) in sources() {
        match module[0].as_str() {
            "lib" => continue, // names the rooms, and is none
            "main" => "cli".clone_into(&mut module[0]),
            _ => {}
        }
        files += 1;
        breaches.extend(check(&place, &module, &source));
    }
    assert!(files > 10, "only {files} files were read: the walk is broken");
    let told: Vec<String> = breaches.iter().map(Breach::to_string).collect();
    assert!(told.is_empty(), "the import law is broken:\n{}", told.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    for (row, (room, law)) in ROOMS.iter().enumerate() {
        if let Only(entries) = law {
            for entry in *entries {
                let name = entry.split("::").next().unwrap();
                assert!(ROOMS[..row].iter().any(|(above, _)| *above == name), "{room} imports {entry} from below");
            }
        }
    }
    assert!(CRATES.iter().all(|(_, rooms)| rooms.iter().all(|room| law_of(room).is_some())));
    assert!(UNSAFE.iter().all(|room| law_of(room).is_some()));
}

#[test]
fn deleting_the_trace_breaks_only_daemon_and_tools() {
    for (room, _) in ROOMS.iter().filter(|(room, _)| !["trace", "daemon", "tools"].contains(room)) {
        assert_eq!(breaches_of(room, "use crate::trace::Text;").len(), 1, "{room}");
    }
    assert!(breaches_of("daemon", "use crate::trace::Text;").is_empty());
    assert!(breaches_of("tools", "use crate::trace::Text;").is_empty());
}

/// What the checker says about a file `src/<room>/part.rs`.
fn breaches_of(room: &str, text: &str) -> Vec<String> {
    let module = [room.to_owned(), "part".to_owned()];
    check("snippet", &module, &Source::read(text)).into_iter().map(|breach| breach.to_string()).collect()
}

#[test]
fn a_forbidden_import_is_reported_with_its_line() {
    assert_eq!(
        breaches_of("link", "//! About.\n\nuse crate::observe::Rule;\nuse crate::engine::Engine;\n"),
        ["snippet:4: `link` may not import `crate::engine::Engine`"]
    );
    assert_eq!(breaches_of("nonsense", "fn f() {}"), ["snippet:1: the module `nonsense` is not in the table of rooms"]);
}

#[test]
fn a_forbidden_import_is_found_in_every_spelling() {
    let spellings = [
        "use crate::stack::Stack;",
        "pub(crate) use crate::stack as below;",
        "use crate::{error::Error, stack::{self, Stack}};",
        "use {crate::error::Error, crate::stack::Stack};",
        "use super::super::stack::Stack;",
        "use super::{super::stack, other};",
        "use self::super::super::stack::Stack;",
        "fn f() -> crate::stack::Stack { todo() }",
        "fn f(s: &'static crate::stack::Stack) { let c = '\"'; }",
        "fn f() { let x = b\"\\\"\"; crate::stack::step(x); }",
        "fn f() { <crate::stack::Stack as Default>::default(); }",
        "macro_rules! m { () => { $crate::stack::step() } }",
        "mod inner { use super::super::super::stack::Stack; }",
        "mod inner { fn f() {} } use super::super::stack::Stack;",
        "use tapsock::stack::Stack;",
        "use crate::*;",
        "use crate as root;",
        "use super::super::*;",
        "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::stack::Stack;",
        "#[cfg(test)]\nuse crate::net::{Socket};\nuse crate::stack::Stack;",
        "struct S { #[cfg(test)] seen: Vec<u8>, stack: crate::stack::Stack }",
        "struct S { #[cfg(test)] seen: u8 } fn f() { crate::stack::step() }",
        "#[cfg(not(test))] use crate::stack::Stack;",
    ];
    for text in spellings {
        let found = breaches_of("link", text);
        assert!(!found.is_empty(), "not noticed: {text}");
    }
    // From a module one deeper, the same number of `super` stays inside.
    assert!(breaches_of("link", "mod inner { use super::super::stack::Stack; }").is_empty());
}

#[test]
fn what_is_allowed_or_no_code_is_not_reported() {
    let fine = [
        "use crate::observe::{Event, Rule};",
        "use crate::link::cache::Cache;",
        "use super::stack::Stack;",
        "pub(crate) fn f(&self) -> Self { self.stack }",
        "pub(in crate::link) struct S;",
        "use self::cache::Cache;",
        "// use crate::stack::Stack;",
        "/// [`crate::stack::Stack`]\nstruct S;",
        "/* use crate::stack::Stack; /* nested */ use crate::net; */",
        "const S: &str = \"crate::stack::Stack \\\" crate::net::X\";",
        "const S: &str = r#\"crate::stack::Stack \" crate::net::X\"#;",
        "#[cfg(test)]\nmod tests { use crate::stack::Stack; }",
        "#[cfg(test)]\n#[allow(dead_code)]\npub(super) mod tests { use crate::stack::Stack; }",
        "#[cfg(test)]\nfn f<A, B>(s: crate::stack::Stack) -> bool { crate::net::x() }",
        "fn f() { let smoltcp = 1; std::tokio::spawn(smoltcp); }",
    ];
    for text in fine {
        assert_eq!(breaches_of("link", text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(Source::read("#[cfg(test)]\nmod tests;\nmod other;").test_modules, ["tests".to_owned()].into());
}

#[test]
fn an_entry_may_be_one_item_of_a_room() {
    assert!(breaches_of("observe", "use crate::config::Mac;").is_empty());
    assert_eq!(breaches_of("observe", "use crate::config::{self, Limits, Mac};").len(), 2);
}

#[test]
fn crates_are_used_only_where_they_belong() {
    assert!(breaches_of("trace", "use etherparse::{LaxSlicedPacket, icmpv4};").is_empty());
    assert!(breaches_of("link", "use smoltcp::wire::EthernetFrame;").is_empty());
    assert!(breaches_of("pipe", "use smoltcp::storage::RingBuffer;").is_empty());
    let wrong = [
        ("link", "use etherparse::SlicedPacket;"),
        ("link", "use ::etherparse::SlicedPacket;"),
        ("link", "extern crate etherparse;"),
        ("link", "use etherparse as e;"),
        ("link", "fn f() { tokio::spawn(g()); }"),
        ("pipe", "use smoltcp::wire::IpAddress;"),
        ("pipe", "use smoltcp::{storage::RingBuffer, wire};"),
        ("net", "use smoltcp::wire::IpAddress;"),
        ("engine", "use tun_tap::Iface;"),
        ("daemon", "#[derive(clap::Parser)] struct Arguments;"),
        ("net", "use hyper::Request;"),
        ("stack", "use tokio::sync::Notify;"),
    ];
    for (room, text) in wrong {
        assert_eq!(breaches_of(room, text).len(), 1, "{room}: {text}");
    }
}

#[test]
fn unsafe_is_for_rooms_with_system_calls() {
    let text = "#![allow(unsafe_code)]\nfn f() { unsafe { g() } }";
    assert!(breaches_of("device", text).is_empty());
    assert_eq!(
        breaches_of("transport", text),
        ["snippet:1: `transport` may not say `unsafe`", "snippet:2: `transport` may not say `unsafe`"]
    );
}
