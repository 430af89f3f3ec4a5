//! Actions of peers and programs, with all lengths and checksums right, so that they reach deep.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: tapsock_fuzz::structured::Input| tapsock_fuzz::structured::run(&input));
