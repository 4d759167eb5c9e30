//! Every name that may reach a path, a config file, an SQL identifier or an argv.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| kolga_protocol_fuzz::names(text));
