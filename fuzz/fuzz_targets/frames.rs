//! Raw frames, at chosen times, into a stack with sockets in every state.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapsock_fuzz::frames::run(bytes));
