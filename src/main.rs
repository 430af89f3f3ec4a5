//! The `tapsock` program.
fn main() {}
