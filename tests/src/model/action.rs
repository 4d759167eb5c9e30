//! What can happen in the model's world, and how often proptest lets it happen. Numbers choose among what
//! there is at that moment, so that every shorter sequence means something too and failures shrink well.

#![allow(
    missing_docs,
    reason = "the fields say by their names what they choose"
)]

use proptest::prelude::*;
use proptest::strategy::Union;

/// One thing that happens. `server`, `which`, `task` and `queue` choose by remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Somebody asks for a task that has so many steps, and so many past its point of no return.
    Create {
        server: u8,
        kind: u8,
        object: u8,
        steps: u8,
        finals: u8,
    },
    /// An operator does not want it any more.
    Cancel { task: u8 },
    /// An operator wants another attempt.
    Retry { task: u8 },
    /// The relay takes from the outbox.
    RelayTake { most: u8 },
    /// The relay publishes what it holds. Bits of `lost`: never arrived; of `unsure`: arrived, confirm lost.
    RelayPublish { lost: u8, unsure: u8 },
    /// The relay notes what became of it.
    RelayNote,
    /// Nothing goes wrong: the relay sends everything, and a worker takes some of it.
    Carry { server: u8, most: u8 },
    /// The inbox takes reports; may die between commit and ack.
    Inbox { most: u8, dies: bool },
    /// The sweeper asks about everything of which nothing is heard.
    Ask,
    /// The sweeper makes the next attempts.
    RetryDue,
    /// The hub dies and starts again.
    HubCrash,
    /// A worker takes tasks from its queue.
    Intake { server: u8, most: u8, end: Ack },
    /// A worker takes the hub's words from its control queue; their acks may be lost.
    Control { server: u8, most: u8, acked: bool },
    /// An attempt goes on by one durable write or one effect, or what it tries fails.
    Work {
        server: u8,
        which: u8,
        times: u8,
        fails: bool,
    },
    /// An attempt writes a line.
    Line { server: u8, which: u8 },
    /// A worker sends its spool. Bits as in `RelayPublish`.
    Send {
        server: u8,
        most: u8,
        lost: u8,
        unsure: u8,
    },
    /// An operator has a stuck attempt tried again.
    RetryUndo { server: u8, which: u8 },
    /// An operator gives a stuck attempt up.
    Abandon { server: u8, which: u8 },
    /// A worker is told to stop: what runs is rolled back.
    Stop { server: u8 },
    /// A worker dies and starts again.
    WorkerCrash { server: u8 },
    /// A machine is rebuilt: journal, spool and effects are gone.
    Rebuild { server: u8 },
    /// A machine is rebuilt, the hub sends again what was there, and only then old messages come back.
    RebuildAndReplay { server: u8, which: u8 },
    /// A message is there twice.
    Duplicate { queue: u8, which: u8 },
    /// A message that was acked long ago is there again: the ack was lost with a node of the broker.
    Replay { queue: u8, which: u8 },
    /// A message falls behind all others.
    Delay { queue: u8, which: u8 },
    /// A queue is deleted with what is in it.
    DeleteQueue { queue: u8 },
    /// The hub declares what is missing.
    Declare,
}

/// How a worker's taking of tasks ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The broker has the ack.
    Acked,
    /// The connection broke before the ack; the worker lives on.
    Lost,
    /// The worker dies before its journal has them.
    DiesBefore,
    /// The worker dies between journal and ack.
    DiesAfter,
}

/// Mostly nothing goes wrong.
fn mask() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0_u8), 2 => any::<u8>()]
}

fn ack() -> impl Strategy<Value = Ack> {
    prop_oneof![
        6 => Just(Ack::Acked),
        1 => Just(Ack::Lost),
        1 => Just(Ack::DiesBefore),
        1 => Just(Ack::DiesAfter),
    ]
}

/// Any action, by weight.
pub fn action() -> impl Strategy<Value = Action> {
    let n = any::<u8>;
    let few = || 1..6_u8;
    let server = || 0..2_u8;
    let rarely = prop::bool::weighted;
    Union::new_weighted(vec![
        (
            12,
            (server(), n(), n(), 0..5_u8, 0..4_u8)
                .prop_map(|(server, kind, object, steps, finals)| Action::Create {
                    server,
                    kind,
                    object,
                    steps,
                    // Most tasks can be rolled back to the end.
                    finals: finals / 2 * 2,
                })
                .boxed(),
        ),
        (4, n().prop_map(|task| Action::Cancel { task }).boxed()),
        (6, n().prop_map(|task| Action::Retry { task }).boxed()),
        (9, few().prop_map(|most| Action::RelayTake { most }).boxed()),
        (
            9,
            (mask(), mask())
                .prop_map(|(lost, unsure)| Action::RelayPublish { lost, unsure })
                .boxed(),
        ),
        (8, Just(Action::RelayNote).boxed()),
        (
            14,
            (server(), few())
                .prop_map(|(server, most)| Action::Carry { server, most })
                .boxed(),
        ),
        (
            10,
            (few(), rarely(0.05))
                .prop_map(|(most, dies)| Action::Inbox { most, dies })
                .boxed(),
        ),
        (4, Just(Action::Ask).boxed()),
        (4, Just(Action::RetryDue).boxed()),
        (1, Just(Action::HubCrash).boxed()),
        (
            10,
            (server(), few(), ack())
                .prop_map(|(server, most, end)| Action::Intake { server, most, end })
                .boxed(),
        ),
        (
            7,
            (server(), few(), rarely(0.85))
                .prop_map(|(server, most, acked)| Action::Control {
                    server,
                    most,
                    acked,
                })
                .boxed(),
        ),
        (
            34,
            (server(), n(), few(), rarely(0.2))
                .prop_map(|(server, which, times, fails)| Action::Work {
                    server,
                    which,
                    times,
                    fails,
                })
                .boxed(),
        ),
        (
            3,
            (server(), n())
                .prop_map(|(server, which)| Action::Line { server, which })
                .boxed(),
        ),
        (
            9,
            (server(), few(), mask(), mask())
                .prop_map(|(server, most, lost, unsure)| Action::Send {
                    server,
                    most,
                    lost,
                    unsure,
                })
                .boxed(),
        ),
        (
            2,
            (server(), n())
                .prop_map(|(server, which)| Action::RetryUndo { server, which })
                .boxed(),
        ),
        (
            1,
            (server(), n())
                .prop_map(|(server, which)| Action::Abandon { server, which })
                .boxed(),
        ),
        (
            1,
            server().prop_map(|server| Action::Stop { server }).boxed(),
        ),
        (
            3,
            server()
                .prop_map(|server| Action::WorkerCrash { server })
                .boxed(),
        ),
        (
            1,
            server()
                .prop_map(|server| Action::Rebuild { server })
                .boxed(),
        ),
        (
            2,
            (server(), n())
                .prop_map(|(server, which)| Action::RebuildAndReplay { server, which })
                .boxed(),
        ),
        (
            4,
            (n(), n())
                .prop_map(|(queue, which)| Action::Duplicate { queue, which })
                .boxed(),
        ),
        (
            8,
            (n(), n())
                .prop_map(|(queue, which)| Action::Replay { queue, which })
                .boxed(),
        ),
        (
            3,
            (n(), n())
                .prop_map(|(queue, which)| Action::Delay { queue, which })
                .boxed(),
        ),
        (
            2,
            n().prop_map(|queue| Action::DeleteQueue { queue }).boxed(),
        ),
        (3, Just(Action::Declare).boxed()),
    ])
}
