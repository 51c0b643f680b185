#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwether_tsdb::fuzz::chunk(bytes));
