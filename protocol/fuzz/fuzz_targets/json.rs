//! Parameters as clients of the API send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kolga_protocol_fuzz::json(bytes));
