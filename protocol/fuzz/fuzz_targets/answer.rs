//! `Answer`, whole and as a body.
#![no_main]

use kolga_protocol::message::Answer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kolga_protocol_fuzz::message::<Answer>(bytes));
