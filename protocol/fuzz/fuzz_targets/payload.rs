//! Parameters and results of every task type.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kolga_protocol_fuzz::payload(bytes));
