//! The `tapsock` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapsock::cli::main()
}
