//! Rows of the outbox as messages. Tasks that lie in the outbox together and are for the same server share
//! one: what a message costs at the broker, and to consume and to ack, is the same for one task and for many.
//! Nothing waits for company: one that is alone travels alone.

use std::collections::HashMap;

use kolga_protocol::envelope::{Message, seal};
use kolga_protocol::link::{Address, Outgoing};
use kolga_protocol::message::{Control, TaskMessage, Tasks};
use kolga_protocol::names::ServerName;
use kolga_protocol::task::Params;
use kolga_protocol::topology::{control_queue, tasks_queue};

use crate::store::outbox::{Item, Sort};

/// Tasks in one message at most: the worker bounds what it holds by messages.
const MOST_TASKS: usize = 64;
/// About how many bytes of parameters, after which no further task is added.
const MOST_BYTES: usize = 256 * 1024;

/// What to publish, in order.
#[derive(Debug)]
pub struct Packed {
    /// The messages.
    pub parcels: Vec<Parcel>,
    /// What can never be sent, and why.
    pub unreadable: Vec<(Item, String)>,
}

/// A message, and the rows that are done with once the broker has it.
#[derive(Debug)]
pub struct Parcel {
    /// The message. Its identity follows from what it holds: the same rows are sent again under the same.
    pub message: Outgoing,
    /// The rows.
    pub items: Vec<Item>,
}

/// A message to which tasks may be added yet.
#[derive(Default)]
struct Open {
    tasks: Vec<TaskMessage>,
    bytes: usize,
    items: Vec<Item>,
}

impl Open {
    fn is_full(&self) -> bool {
        self.tasks.len() >= MOST_TASKS || self.bytes >= MOST_BYTES
    }
}

enum Draft {
    Tasks(Open),
    Word(Parcel),
}

/// Packs rows, in their order for each server's queue.
#[must_use]
pub fn pack(items: Vec<Item>) -> Packed {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut unreadable = Vec::new();
    let mut open: HashMap<ServerName, usize> = HashMap::new();
    for item in items {
        if let Sort::Cancel = item.sort {
            drafts.push(Draft::Word(Parcel {
                message: cancel(&item),
                items: vec![item],
            }));
            continue;
        }
        let task = match task(&item) {
            Ok(task) => task,
            Err(reason) => {
                unreadable.push((item, reason));
                continue;
            }
        };
        let at = open.get(&item.server).copied();
        let draft = match at.and_then(|at| drafts.get_mut(at)) {
            Some(Draft::Tasks(draft)) if !draft.is_full() => draft,
            _ => {
                open.insert(item.server.clone(), drafts.len());
                drafts.push(Draft::Tasks(Open::default()));
                let Some(Draft::Tasks(draft)) = drafts.last_mut() else {
                    continue;
                };
                draft
            }
        };
        draft.bytes += task.payload.body.len();
        draft.tasks.push(task);
        draft.items.push(item);
    }
    let parcels = drafts.into_iter().filter_map(|draft| match draft {
        Draft::Word(parcel) => Some(parcel),
        Draft::Tasks(open) => Some(Parcel {
            message: together(open.tasks)?,
            items: open.items,
        }),
    });
    Packed {
        parcels: parcels.collect(),
        unreadable,
    }
}

/// The message of one row, alone.
///
/// # Errors
/// A sentence, when what the store holds is no task of this release.
pub fn outgoing(item: &Item) -> Result<Outgoing, String> {
    match item.sort {
        Sort::Task { .. } => task(item).map(alone),
        Sort::Cancel => Ok(cancel(item)),
    }
}

fn task(item: &Item) -> Result<TaskMessage, String> {
    let Sort::Task {
        kind,
        params,
        issued_at,
    } = &item.sort
    else {
        return Err("this is no task".to_owned());
    };
    let params = serde_json::from_str(params)
        .map_err(|error| format!("the stored parameters are not JSON: {error}"))?;
    let params = Params::from_json(kind, params)
        .map_err(|error| format!("the stored parameters cannot be sent: {error}"))?;
    Ok(TaskMessage {
        run: item.run,
        server: item.server.clone(),
        issued_at: *issued_at,
        expires_at: None,
        requested_by: item.requested_by.clone(),
        payload: params.to_payload(),
    })
}

fn alone(task: TaskMessage) -> Outgoing {
    Outgoing {
        to: Address::Queue(tasks_queue(&task.server)),
        message_id: task.run.to_string(),
        kind: TaskMessage::KIND,
        body: seal(&task),
        persistent: true,
    }
}

/// Nothing for no tasks.
fn together(mut tasks: Vec<TaskMessage>) -> Option<Outgoing> {
    if tasks.len() == 1 {
        return tasks.pop().map(alone);
    }
    let first = tasks.first()?;
    Some(Outgoing {
        to: Address::Queue(tasks_queue(&first.server)),
        // No two messages begin with the same attempt.
        message_id: format!("{}+{}", first.run, tasks.len() - 1),
        kind: Tasks::KIND,
        body: seal(&Tasks { items: tasks }),
        persistent: true,
    })
}

fn cancel(item: &Item) -> Outgoing {
    let message = Control::Cancel {
        run: item.run,
        requested_by: item.requested_by.clone(),
    };
    Outgoing {
        to: Address::Queue(control_queue(&item.server)),
        message_id: format!("cancel.{}", item.run),
        kind: Control::KIND,
        body: seal(&message),
        persistent: true,
    }
}

#[cfg(test)]
mod tests {
    use kolga_protocol::envelope::open;
    use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};

    use super::*;

    fn item(seq: i64, server: &str, kind: &str, params: &str) -> Item {
        Item {
            seq,
            server: server.parse().expect("a name"),
            run: Run::new(TaskId::generate(), Attempt::FIRST),
            sort: Sort::Task {
                kind: kind.to_owned(),
                params: params.to_owned(),
                issued_at: UnixMillis(1),
            },
            requested_by: "a test".to_owned(),
        }
    }

    fn ping(seq: i64, server: &str) -> Item {
        item(seq, server, "ping", "{}")
    }

    fn rows(parcel: &Parcel) -> Vec<i64> {
        parcel.items.iter().map(|item| item.seq).collect()
    }

    #[test]
    fn tasks_of_one_server_share_a_message_in_their_order_and_no_message_is_too_long() {
        let items: Vec<Item> = (0..150).map(|seq| ping(seq, "web1")).collect();
        let runs: Vec<Run> = items.iter().map(|item| item.run).collect();
        let packed = pack(items);
        let sizes: Vec<usize> = packed.parcels.iter().map(|p| p.items.len()).collect();
        assert_eq!(sizes, [64, 64, 22]);
        let mut told = Vec::new();
        for parcel in &packed.parcels {
            assert_eq!(parcel.message.to, Address::Queue("tasks.web1".to_owned()));
            let tasks: Tasks = open(&parcel.message.body).expect("tasks");
            assert_eq!(tasks.items.len(), parcel.items.len());
            told.extend(tasks.items.iter().map(|task| task.run));
        }
        assert_eq!(told, runs);
    }

    #[test]
    fn one_that_is_alone_travels_alone_under_its_own_name() {
        let packed = pack(vec![ping(1, "web1"), ping(2, "web2")]);
        assert_eq!(packed.parcels.len(), 2);
        for parcel in &packed.parcels {
            let task: TaskMessage = open(&parcel.message.body).expect("a task");
            assert_eq!(parcel.message.message_id, task.run.to_string());
            let same = outgoing(&parcel.items[0]).expect("a message");
            assert_eq!(same.body, parcel.message.body);
        }
    }

    #[test]
    fn the_same_rows_have_the_same_identity_and_others_have_another() {
        let items = vec![ping(1, "web1"), ping(2, "web1"), ping(3, "web1")];
        let id = |items: &[Item]| pack(items.to_vec()).parcels[0].message.message_id.clone();
        assert_eq!(id(&items), id(&items));
        assert_ne!(id(&items), id(&items[1..]));
        assert_ne!(id(&items), id(&items[..2]));
    }

    #[test]
    fn large_parameters_fill_a_message_before_there_are_many() {
        let value = "x".repeat(1_000);
        let options: std::collections::BTreeMap<String, &String> =
            (0..60).map(|n| (format!("a{n}"), &value)).collect();
        let params = serde_json::json!({
            "site": "a.test", "profile": "static", "aliases": [], "options": options,
        });
        let params = params.to_string();
        let items = (0..12).map(|seq| item(seq, "web1", "site.install", &params));
        let packed = pack(items.collect());
        assert!(packed.unreadable.is_empty());
        let sizes: Vec<usize> = packed.parcels.iter().map(|p| p.items.len()).collect();
        assert_eq!(sizes, [5, 5, 2]);
    }

    #[test]
    fn cancels_and_what_cannot_be_read_are_apart_from_the_rest() {
        let mut cancelled = ping(2, "web1");
        cancelled.sort = Sort::Cancel;
        let unknown = item(3, "web1", "site.fly", "{}");
        let packed = pack(vec![ping(1, "web1"), cancelled, unknown, ping(4, "web1")]);
        let all: Vec<Vec<i64>> = packed.parcels.iter().map(rows).collect();
        assert_eq!(all, [vec![1, 4], vec![2]]);
        assert_eq!(packed.unreadable.len(), 1);
        assert!(packed.unreadable[0].1.contains("site.fly"));
    }
}
