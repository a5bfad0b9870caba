#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keypebble_fuzz::run("jwe", bytes));
