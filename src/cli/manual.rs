//! The man page and the completions of shells, made from what can be typed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::Arguments;

/// The arguments of `tapsock completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
For example:
  tapsock completions bash > ~/.local/share/bash-completion/completions/tapsock
  tapsock completions zsh  > ~/.zfunc/_tapsock
  tapsock completions fish > ~/.config/fish/completions/tapsock.fish")]
pub struct Completions {
    /// Of which shell
    pub shell: Shell,
}

/// The arguments of `tapsock man`.
#[derive(Debug, Args)]
#[command(after_help = "\
For example:
  tapsock man | man -l -
  tapsock man --dir ~/.local/share/man/man1")]
pub struct Manual {
    /// Write one page for the program and one for each command into this directory, instead of the first to stdout
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Writes what makes `shell` complete the arguments of tapsock.
pub fn write_completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tapsock", &mut text);
    out.write_all(&text)
}

/// Writes the man page, `tapsock(1)`.
pub fn write_page(out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    Man::new(Arguments::command()).render(&mut text)?;
    out.write_all(&text)
}

/// Writes `tapsock.1`, `tapsock-daemon.1` and so on into a directory that exists.
pub fn write_pages(dir: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Arguments::command().disable_help_subcommand(true), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<String> {
        Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn the_page_names_every_command_and_each_has_a_page_of_its_own() {
        let mut page = Vec::new();
        write_page(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(".TH tapsock 1"), "{page}");
        let dir = tempfile::tempdir().unwrap();
        write_pages(dir.path()).unwrap();
        for command in commands() {
            assert!(page.contains(&format!("tapsock\\-{command}(1)")), "{command}");
            let own = std::fs::read_to_string(dir.path().join(format!("tapsock-{command}.1"))).unwrap();
            assert!(own.contains(".SH SYNOPSIS"), "{command}");
        }
    }

    #[test]
    fn the_unit_of_systemd_starts_what_can_be_typed() {
        let unit = include_str!("../../contrib/systemd/tapsock@.service");
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let line = line.replace("%I", "tap0").replace("$ARGUMENTS", "--addr 192.0.2.1/24 -v");
        Arguments::command().try_get_matches_from(line.split_whitespace()).unwrap();
    }

    #[test]
    fn each_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut text = Vec::new();
            write_completions(shell, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(commands().iter().all(|command| text.contains(command.as_str())), "{shell}");
        }
    }
}
