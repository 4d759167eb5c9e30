//! Whether a message of the task queue can be taken: is it a task, is it for this spoke, is it still
//! wanted, does this release know its type. A message may hold several tasks, each judged for itself.

use kolga_protocol::envelope;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::message::TaskMessage;
use kolga_protocol::names::ServerName;
use kolga_protocol::task::Params;

/// What a message is.
pub enum Judged {
    /// A task for this spoke: its parameters, or why it is refused.
    Task {
        /// What was asked for.
        message: Box<TaskMessage>,
        /// Whether it is taken.
        verdict: Result<Params, String>,
    },
    /// Nothing that could be answered, and why.
    Dead(String),
}

/// Looks at the bytes of one message, which holds one task or several.
#[must_use]
pub fn judge_all(server: &ServerName, body: &[u8]) -> Vec<Judged> {
    match envelope::open_tasks(body) {
        Ok(tasks) => {
            let tasks = tasks.into_iter();
            tasks.map(|task| judge_task(server, task)).collect()
        }
        Err(error) => vec![Judged::Dead(chain(&error))],
    }
}

fn judge_task(server: &ServerName, message: TaskMessage) -> Judged {
    if message.server != *server {
        // Not a refusal: the hub would not believe this spoke about another one's task.
        return Judged::Dead(format!(
            "the task is for server {}, and this is {server}",
            message.server
        ));
    }
    let verdict = match message.expires_at {
        Some(expires) if expires < UnixMillis::now() => {
            Err("it expired before it reached its server".to_owned())
        }
        _ => Params::from_payload(&message.payload).map_err(|error| chain(&error)),
    };
    Judged::Task {
        message: Box::new(message),
        verdict,
    }
}

/// An error and what it came from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kolga_protocol::id::{Attempt, Run, TaskId};
    use kolga_protocol::message::Tasks;
    use kolga_protocol::task::{Payload, ping};

    use super::*;

    fn message(change: impl FnOnce(&mut TaskMessage)) -> Vec<u8> {
        let mut message = TaskMessage {
            run: Run::new(TaskId::generate(), Attempt::FIRST),
            server: "web1".parse().expect("a name"),
            issued_at: UnixMillis::now(),
            expires_at: None,
            requested_by: "a test".to_owned(),
            payload: Params::Ping(ping::Params {}).to_payload(),
        };
        change(&mut message);
        envelope::seal(&message)
    }

    fn judged(body: &[u8]) -> Judged {
        let mut judged = judge_all(&"web1".parse().expect("a name"), body);
        assert_eq!(judged.len(), 1);
        judged.remove(0)
    }

    fn refusal(body: &[u8]) -> String {
        match judged(body) {
            Judged::Task {
                verdict: Err(reason),
                ..
            } => reason,
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn each_task_of_a_message_is_judged_for_itself() {
        let open = |body: Vec<u8>| envelope::open::<TaskMessage>(&body).expect("a task");
        let items = vec![
            open(message(|_| {})),
            open(message(|m| m.payload.version = 99)),
            open(message(|m| m.server = "web2".parse().expect("a name"))),
            open(message(|_| {})),
        ];
        let server = "web1".parse().expect("a name");
        let judged = judge_all(&server, &envelope::seal(&Tasks { items }));
        let told: Vec<&str> = judged
            .iter()
            .map(|judged| match judged {
                Judged::Task { verdict: Ok(_), .. } => "taken",
                Judged::Task { .. } => "refused",
                Judged::Dead(_) => "dead",
            })
            .collect();
        assert_eq!(told, ["taken", "refused", "dead", "taken"]);
        assert_eq!(judge_all(&server, &message(|_| {})).len(), 1);
        let none = envelope::seal(&Tasks { items: Vec::new() });
        assert!(judge_all(&server, &none).is_empty());
        assert!(matches!(
            judge_all(&server, &none[..none.len() - 1]).as_slice(),
            [Judged::Dead(_)]
        ));
    }

    #[test]
    fn a_good_task_is_taken() {
        assert!(matches!(
            judged(&message(|_| {})),
            Judged::Task {
                verdict: Ok(Params::Ping(_)),
                ..
            }
        ));
    }

    #[test]
    fn an_unknown_kind_or_version_is_refused_by_name() {
        let unknown = message(|m| {
            m.payload = Payload {
                kind: "site.fly".to_owned(),
                version: 1,
                body: Vec::new(),
            };
        });
        assert!(refusal(&unknown).contains("site.fly"));
        assert!(refusal(&message(|m| m.payload.version = 99)).contains("99"));
    }

    #[test]
    fn parameters_that_cannot_be_read_are_refused() {
        assert!(refusal(&message(|m| m.payload.body = vec![1, 2, 3])).contains("ping"));
    }

    #[test]
    fn an_expired_task_is_refused() {
        assert!(refusal(&message(|m| m.expires_at = Some(UnixMillis(1)))).contains("expired"));
    }

    #[test]
    fn what_is_for_another_server_or_no_task_is_put_aside() {
        let other = message(|m| m.server = "web2".parse().expect("a name"));
        for body in [
            other,
            Vec::new(),
            vec![0; 64],
            message(|_| {})[..20].to_vec(),
        ] {
            assert!(matches!(judged(&body), Judged::Dead(_)));
        }
    }
}
