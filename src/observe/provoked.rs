//! Which rules the unit tests have provoked: for the test that counts them.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Rule;

/// The variable that names the file with the rules of a run.
const FILE: &str = "TAPSOCK_RULES";

/// A rule was counted. The first time, it is written down if somebody wants to know.
pub(super) fn note(rule: Rule) {
    static SEEN: [AtomicBool; Rule::ALL.len()] = [const { AtomicBool::new(false) }; Rule::ALL.len()];
    if SEEN[rule as usize].swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(path) = std::env::var_os(FILE) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{rule}\n").as_bytes()).unwrap();
    }
}

/// The tests of the stack run once more, in a process of their own, and each says which rules it has met.
#[test]
fn each_rule_is_provoked_by_some_test() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rules");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["stack::tests", "engine::", "--skip", "loss::", "--quiet"])
        .env(FILE, &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let provoked = std::fs::read_to_string(&path).unwrap();
    let missing: Vec<&str> =
        Rule::ALL.iter().map(|rule| rule.name()).filter(|name| !provoked.lines().any(|line| line == *name)).collect();
    assert!(missing.is_empty(), "{} of {} rules are provoked by no test: {missing:?}", missing.len(), Rule::ALL.len());
}
