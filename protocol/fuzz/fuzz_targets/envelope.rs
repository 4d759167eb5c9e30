//! Any bytes as any message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kolga_protocol_fuzz::every_message(bytes));
