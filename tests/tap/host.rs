//! The host's side: the TAP, the daemon on it, and the programs that talk to it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

use tempfile::TempDir;

pub(crate) const V4: &str = "192.168.69.1";
pub(crate) const V6: &str = "fd69::1";
/// Both, as they stand in a URL.
pub(crate) const URLS: [&str; 2] = ["http://192.168.69.1", "http://[fd69::1]"];

const READY_WITHIN: Duration = Duration::from_secs(15);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A file in scripts/.
pub(crate) fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts")).join(name)
}

/// An example, which cargo puts beside `deps`, where this test is.
pub(crate) fn example(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().join("../examples").join(name);
    assert!(path.exists(), "{name} is not built; run: cargo build --examples");
    path
}

/// The program under test, with these arguments after `daemon`.
pub(crate) fn daemon(args: &[&str]) -> Command {
    let mut daemon = command(env!("CARGO_BIN_EXE_tapsock"));
    daemon.arg("daemon").args(args);
    daemon
}

/// A program, in the same surroundings on every machine, and with nobody to answer its questions.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("LC_ALL", "C")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it said, after it succeeded.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "it said: {}{}", self.out, self.err);
        self.out
    }

    /// Its one sentence, after it blamed the person.
    #[track_caller]
    pub(crate) fn refusal(self) -> String {
        assert_eq!(self.code, Some(2), "it said: {}{}", self.out, self.err);
        assert_eq!(self.err.trim_end().lines().count(), 1, "one sentence, not: {}", self.err);
        self.err
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits for what [`command`] or [`daemon`] prepared.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Said {
    match command.output() {
        Ok(output) => output.into(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            panic!("{:?} is missing; scripts/test.sh installs what the tests need", command.get_program())
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Runs a line of words, as in `run("ping -c 3 192.168.69.1")`.
#[track_caller]
pub(crate) fn run(line: &str) -> Said {
    let mut words = line.split_whitespace();
    finish(command(words.next().unwrap()).args(words))
}

/// Runs a line of shell.
#[track_caller]
pub(crate) fn shell(line: &str) -> Said {
    finish(command("sh").args(["-c", line]))
}

/// The usual TAP.
#[track_caller]
pub(crate) fn tap_up() {
    finish(&mut command(script("tap-up.sh").to_str().unwrap())).well();
}

/// A host whose `tap0` leads to a daemon. Dropping it stops the daemon and checks how it ended.
pub(crate) struct Host {
    daemon: Option<Child>,
    directory: TempDir,
}

impl Host {
    /// Makes the TAP, starts the daemon with these arguments and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Host {
        tap_up();
        Host::attach(args)
    }

    /// The same, on a TAP that is there.
    #[track_caller]
    pub(crate) fn attach(args: &[&str]) -> Host {
        Host::launch(daemon(args))
    }

    /// The same, by a command that was prepared.
    #[track_caller]
    pub(crate) fn launch(mut command: Command) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut host = Host { daemon: Some(child), directory };

        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if line == "ready" {
                    let _ = ready.send(());
                }
            }
        });
        if is_ready.recv_timeout(READY_WITHIN).is_err() {
            let _ = host.daemon.take().map(|mut daemon| daemon.kill());
            panic!("the daemon did not say ready: {}", host.log());
        }
        host
    }

    /// What the daemon logged until now.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Waits until the daemon has ended by itself.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Said {
        let mut daemon = self.daemon.take().unwrap();
        let deadline = Instant::now() + STOPPED_WITHIN;
        loop {
            if let Some(status) = daemon.try_wait().unwrap() {
                return Said { code: status.code(), out: String::new(), err: self.log() };
            }
            if Instant::now() > deadline {
                daemon.kill().unwrap();
                panic!("the daemon did not end within {STOPPED_WITHIN:?}: {}", self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the daemon by a signal. Gives what it logged about that.
    #[track_caller]
    pub(crate) fn stop(self, signal: &str) -> String {
        let before = self.log().len();
        shell(&format!("kill -{signal} {}", self.pid())).well();
        let said = self.ended();
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.err[before..].to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        if thread::panicking() {
            let _ = daemon.kill();
            let log = self.log();
            println!(
                "The end of the daemon's log:\n{}",
                &log[log.floor_char_boundary(log.len().saturating_sub(8192))..]
            );
        } else {
            let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
            Host { daemon: Some(daemon), directory }.stop("INT");
        }
    }
}
