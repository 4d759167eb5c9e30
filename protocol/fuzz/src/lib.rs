//! What the targets assert: bytes that are taken say the same when they are written and read again, and bytes
//! that are not taken cost an error and nothing else. libFuzzer adds the limits on memory and time.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use kolga_protocol::envelope::{self, Message};
use kolga_protocol::message::{Answer, Control, Heartbeat, Reports, TaskMessage, printable};
use kolga_protocol::names::{
    DatabaseName, HostName, OptionName, OptionValue, PlatformName, PlatformSource, ProfileName,
    ServerName, SiteAlias, SpokePath,
};
use kolga_protocol::task::{Kind, Output, Params, Payload};

/// The bytes as a whole message, and as the body of one that is otherwise right: a length that is wrong by
/// one hides everything behind it.
pub fn message<M: Message + PartialEq + Debug>(bytes: &[u8]) {
    whole::<M>(bytes);
    whole::<M>(&enveloped::<M>(bytes));
}

fn whole<M: Message + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(message) = envelope::open::<M>(bytes) {
        assert_eq!(envelope::kind_of(bytes).ok(), Some(M::KIND));
        let sealed = envelope::seal(&message);
        let again = envelope::open::<M>(&sealed).expect("what we write we read");
        assert_eq!(message, again);
        assert_eq!(sealed, envelope::seal(&again));
    }
}

fn enveloped<M: Message>(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"KG\x01\x00".to_vec();
    bytes.push(u8::try_from(M::KIND.len()).expect("short"));
    bytes.extend(M::KIND.as_bytes());
    bytes.extend(M::VERSION.to_be_bytes());
    bytes.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend(body);
    bytes.extend([0, 0]);
    bytes
}

/// The bytes as every message: at most one of them may take it.
pub fn every_message(bytes: &[u8]) {
    let taken = [
        envelope::open::<TaskMessage>(bytes).is_ok(),
        envelope::open::<Control>(bytes).is_ok(),
        envelope::open::<Reports>(bytes).is_ok(),
        envelope::open::<Answer>(bytes).is_ok(),
        envelope::open::<Heartbeat>(bytes).is_ok(),
    ];
    let count = taken.into_iter().filter(|&taken| taken).count();
    assert!(count <= 1, "{count} kinds take one message");
    assert!(count == 0 || envelope::kind_of(bytes).is_ok());
    if let Err(error) = envelope::open::<TaskMessage>(bytes) {
        // Errors reach logs and terminals; saying them must not fail either.
        assert!(!error.to_string().is_empty());
    }
}

/// `<kind>.params` or `<kind>.output`, a zero, and the body. By name, so that a corpus outlives the order in
/// which task types are listed.
pub fn payload(bytes: &[u8]) {
    let Some((head, body)) = headed(bytes) else {
        return;
    };
    let Some((kind, what)) = head.rsplit_once('.') else {
        return;
    };
    let payload = Payload {
        kind: kind.to_owned(),
        version: kind.parse().map_or(0, Kind::version),
        body: body.to_vec(),
    };
    if what == "params" {
        if let Ok(params) = Params::from_payload(&payload) {
            let again = Params::from_payload(&params.to_payload()).expect("what we write we read");
            assert_eq!(params, again);
            // Two claims on one object would make a task wait for itself.
            let claims = params.claims();
            for (at, claim) in claims.iter().enumerate() {
                assert!(!claims[..at].contains(claim), "{claim:?} twice");
            }
            let json = params.to_json().expect("parameters have a JSON");
            let heard = Params::from_json(kind, json).expect("what we say we hear");
            assert_eq!(params, heard);
        }
    } else if let Ok(output) = Output::from_payload(&payload) {
        let again = Output::from_payload(&output.to_payload()).expect("what we write we read");
        assert_eq!(output, again);
    }
}

/// `<kind>`, a zero, and what a client of the API sends as its parameters.
pub fn json(bytes: &[u8]) {
    let Some((kind, text)) = headed(bytes) else {
        return;
    };
    let Ok(value) = serde_json::from_slice(text) else {
        return;
    };
    if let Ok(params) = Params::from_json(kind, value) {
        // What the hub takes, the worker must take too.
        let read = Params::from_payload(&params.to_payload()).expect("the worker reads it");
        assert_eq!(params, read);
    }
}

fn headed(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((head, &bytes[end + 1..]))
}

/// The text as every name: one that is taken reads back as itself, and is harmless where names go.
pub fn names(text: &str) {
    one::<ServerName>(text, Some(b"/.;'\"`$\\ "));
    one::<PlatformName>(text, Some(b"/;'\"`$\\ "));
    one::<ProfileName>(text, Some(b"/;'\"`$\\ "));
    one::<DatabaseName>(text, Some(b"/.;'\"`$\\- "));
    one::<HostName>(text, Some(b"/;'\"`$\\ *"));
    one::<SiteAlias>(text, Some(b"/;'\"`$\\ "));
    one::<OptionName>(text, Some(b"/;'\"`$\\ "));
    one::<SpokePath>(text, None);
    one::<PlatformSource>(text, None);
    one::<OptionValue>(text, None);
    if let Ok(site) = text.parse::<HostName>() {
        one::<DatabaseName>(
            DatabaseName::for_site(&site).as_str(),
            Some(b"/.;'\"`$\\- "),
        );
    }
}

fn one<N>(text: &str, never: Option<&[u8]>)
where
    N: FromStr + Display + PartialEq + Debug,
    N::Err: Display,
{
    match text.parse::<N>() {
        Ok(name) => {
            let shown = name.to_string();
            let again = shown.parse::<N>().ok();
            assert_eq!(again, Some(name), "{text:?} reads back as itself");
            if let Some(never) = never {
                assert!(!shown.starts_with('-'), "{shown:?} would be an option");
                let harmless = |byte: u8| byte.is_ascii_graphic() && !never.contains(&byte);
                assert!(shown.bytes().all(harmless), "{shown:?}");
                assert!(!shown.split('/').any(|part| part == ".."), "{shown:?}");
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.chars().any(char::is_control), "{said:?}");
        }
    }
}

/// What is shown holds nothing that drives a terminal, and showing it twice changes nothing.
pub fn shown(text: &str) {
    let shown = printable(text);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(printable(&shown), shown);
    // `\u{10ffff}` is the longest that one character becomes.
    assert!(shown.len() <= text.chars().count() * 10);
}
