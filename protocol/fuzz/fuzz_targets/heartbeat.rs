//! `Heartbeat`, whole and as a body.
#![no_main]

use kolga_protocol::message::Heartbeat;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kolga_protocol_fuzz::message::<Heartbeat>(bytes));
