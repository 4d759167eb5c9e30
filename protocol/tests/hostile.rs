//! Bytes that no sender of ours writes: each gives a typed error, none costs more than its length.

use kolga_protocol::envelope::{self, EnvelopeError, MAX_MESSAGE};
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{
    Answer, Asked, Control, Failure, Heartbeat, Report, ReportBody, Reports, StateReport,
    TaskMessage, Tasks,
};
use kolga_protocol::state::Event;
use kolga_protocol::state::State;
use kolga_protocol::task::{Params, PayloadError, site_install};
use proptest::prelude::*;

fn good() -> Vec<u8> {
    let params = Params::SiteInstall(site_install::Params {
        site: "www.example.org".parse().expect("a name"),
        aliases: Vec::new(),
        profile: "static".parse().expect("a name"),
        platform: None,
        options: std::collections::BTreeMap::new(),
    });
    envelope::seal(&TaskMessage {
        run: Run::new(TaskId::generate(), Attempt::FIRST),
        server: "web1".parse().expect("a name"),
        issued_at: UnixMillis::now(),
        expires_at: None,
        requested_by: "a test".to_owned(),
        payload: params.to_payload(),
    })
}

/// Opens as everything that there is; none of it may panic.
fn open_all(bytes: &[u8]) {
    drop(envelope::open::<TaskMessage>(bytes));
    drop(envelope::open::<Tasks>(bytes));
    drop(envelope::open::<Control>(bytes));
    drop(envelope::open::<Reports>(bytes));
    drop(envelope::open::<Answer>(bytes));
    drop(envelope::open::<Heartbeat>(bytes));
}

#[test]
fn every_prefix_of_a_message_is_refused() {
    let bytes = good();
    for end in 0..bytes.len() {
        assert!(
            envelope::open::<TaskMessage>(&bytes[..end]).is_err(),
            "{end} bytes"
        );
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut bytes = good();
    bytes.push(0);
    assert!(matches!(
        envelope::open::<TaskMessage>(&bytes),
        Err(EnvelopeError::Trailing(1))
    ));
}

#[test]
fn another_kind_version_format_or_flag_is_named() {
    let bytes = good();
    let changed = |position: usize, to: u8| {
        let mut changed = bytes.clone();
        changed[position] = to;
        envelope::open::<TaskMessage>(&changed).expect_err("refused")
    };
    assert!(matches!(changed(0, b'X'), EnvelopeError::Foreign));
    assert!(matches!(changed(2, 9), EnvelopeError::Format(9)));
    assert!(matches!(changed(3, 1), EnvelopeError::Flags(1)));
    assert!(matches!(changed(5, b'X'), EnvelopeError::Kind { .. }));
    assert!(matches!(
        changed(10, 7),
        EnvelopeError::Version { found: 7, .. }
    ));
    assert!(matches!(changed(bytes.len() - 1, 1), EnvelopeError::Signed));
}

#[test]
fn sixty_four_mebibytes_are_refused_unread() {
    let body = vec![b'K'; 64 * 1024 * 1024];
    assert!(matches!(
        envelope::open::<TaskMessage>(&body),
        Err(EnvelopeError::TooLong(length)) if length > MAX_MESSAGE
    ));
}

#[test]
fn the_longest_message_is_taken_and_one_byte_more_is_not() {
    let of = |name: usize| {
        let mut message: TaskMessage = envelope::open(&good()).expect("good");
        message.requested_by = "k".repeat(name);
        envelope::seal(&message)
    };
    // The length of a long name takes two bytes more than that of one of a thousand.
    let room = 4 * 1024 * 1024 - of(1000).len() + 1000 - 2;
    assert_eq!(of(room).len(), 4 * 1024 * 1024);
    assert!(envelope::open::<TaskMessage>(&of(room)).is_ok());
    assert!(matches!(
        envelope::open::<TaskMessage>(&of(room + 1)),
        Err(EnvelopeError::TooLong(_))
    ));
}

#[test]
fn a_message_full_of_small_things_is_taken() {
    // While it is decoded each claims more than it takes in the message.
    let run = Run::new(TaskId::generate(), Attempt::FIRST);
    let asked = Asked {
        run,
        state: State::Sent,
    };
    let length = envelope::seal(&Control::Query { runs: vec![asked] }).len();
    let each = envelope::seal(&Control::Query {
        runs: vec![asked, asked],
    })
    .len()
        - length;
    let message = Control::Query {
        runs: vec![asked; (MAX_MESSAGE - length - 8) / each],
    };
    let bytes = envelope::seal(&message);
    assert!(bytes.len() > MAX_MESSAGE - 100, "{} bytes", bytes.len());
    assert_eq!(envelope::open::<Control>(&bytes).expect("it fits"), message);
}

#[test]
fn a_list_of_nothing_but_empty_texts_is_refused_before_it_fills_the_memory() {
    let of = |count: usize| {
        envelope::seal(&Reports {
            server: "web1".parse().expect("a name"),
            journal: uuid::Uuid::nil(),
            items: vec![Report {
                run: Run::new(TaskId::generate(), Attempt::FIRST),
                seq: 1,
                at: UnixMillis(0),
                body: ReportBody::State(StateReport::because(
                    Event::Stuck,
                    Failure {
                        step: None,
                        message: String::new(),
                        left_behind: vec![String::new(); count],
                    },
                )),
            }],
        })
    };
    // A byte each in the message, 24 in memory, 8 of what may be claimed.
    assert!(envelope::open::<Reports>(&of(1_000_000)).is_ok());
    let two_million = of(2_000_000);
    assert!(two_million.len() < MAX_MESSAGE);
    assert!(matches!(
        envelope::open::<Reports>(&two_million),
        Err(EnvelopeError::Body { .. })
    ));
}

#[test]
fn a_length_that_claims_the_whole_memory_is_refused() {
    // In place of the first length in the body (bincode: 253 and eight bytes are a u64).
    for claim in [u64::MAX, 1 << 40, u64::from(u32::MAX)] {
        let mut body = vec![253];
        body.extend(claim.to_le_bytes());
        let mut bytes = b"KG\x01\x00\x07reports\x00\x01".to_vec();
        bytes.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
        bytes.extend(&body);
        bytes.extend([0, 0]);
        assert!(envelope::open::<Reports>(&bytes).is_err());
    }
}

#[test]
fn a_name_that_the_hub_would_refuse_is_refused_again_on_the_spoke() {
    // The same length as a good one, so that only the name itself is wrong.
    for hostile in [
        "../.example.org",
        "a;b.example.org",
        "-ww.example.org",
        "www\n.xample.org",
    ] {
        let bytes = good();
        let at = bytes
            .windows(15)
            .position(|window| window == b"www.example.org")
            .expect("the name stands in the message");
        let mut changed = bytes.clone();
        changed[at..at + 15].copy_from_slice(hostile.as_bytes());
        let message: TaskMessage = envelope::open(&changed).expect("the envelope is whole");
        assert!(
            matches!(
                Params::from_payload(&message.payload),
                Err(PayloadError::Body { .. })
            ),
            "{hostile}"
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        open_all(&bytes);
        prop_assert!(envelope::open::<TaskMessage>(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_never_panics(position in 0..400usize, to in any::<u8>()) {
        let mut bytes = good();
        let position = position % bytes.len();
        bytes[position] = to;
        open_all(&bytes);
        if let Ok(message) = envelope::open::<TaskMessage>(&bytes) {
            drop(Params::from_payload(&message.payload));
        }
    }
}
