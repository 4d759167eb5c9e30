//! What makes the output of children and tenants harmless.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| kolga_protocol_fuzz::shown(text));
