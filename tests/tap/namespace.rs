//! A network of its own for each test.

use std::any::type_name;
use std::env;
use std::process::Stdio;

use crate::host::{command, script};

const INSIDE: &str = "TAPSOCK_TEST_INSIDE";
/// A test that hangs is a failure that somebody should read about.
const LIMIT: &str = "120";

/// Runs the body of a test in a fresh namespace, with nothing but `lo` in it.
///
/// A process that has threads cannot enter a user namespace, and the test harness has threads. So the test
/// starts its own program again under scripts/lib/namespace.sh, for this one test, and there runs the body.
/// Call it with a closure from the test function: its type says which test that is.
pub(crate) fn alone<F: FnOnce()>(body: F) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let test = type_name::<F>();
    let test = test.strip_suffix("::{{closure}}").unwrap_or(test);
    let (_, test) = test.split_once("::").expect("the crate's name comes first");

    let output = command("timeout")
        .args(["--kill-after=5", LIMIT, "bash", "-c", ". lib/sentence.sh; . lib/namespace.sh; enter_namespace \"$@\""])
        .arg("tests/tap") // what the sentences of the script begin with
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .current_dir(script("").canonicalize().unwrap())
        .env(INSIDE, "1")
        .env("AS_ROOT", "sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo test")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => {
            let ran = String::from_utf8_lossy(&output.stdout).contains("test result: ok. 1 passed");
            assert!(ran, "the test {test} was not run inside the namespace");
        }
        Some(124 | 137) => panic!("{test} took longer than {LIMIT} s"),
        _ => panic!("{test} failed; see above"),
    }
}
