//! How many messages wait in the queues that a task's way leads through.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::World;
use crate::hub::broker;
use crate::stack::Stack;

/// A connection that is kept from one look to the next.
#[derive(Default)]
pub(super) struct Broker(Option<lapin::Connection>);

impl Broker {
    pub(super) async fn note(&mut self, world: &mut World, stack: &Stack, server: &str) {
        let connection = match self.0.take().filter(|kept| kept.status().connected()) {
            Some(kept) => kept,
            None => broker(stack).await,
        };
        // Not the heartbeats: there may be one at any time.
        for queue in [
            format!("tasks.{server}"),
            format!("control.{server}"),
            "hub.reports".to_owned(),
            "kolga.dead".to_owned(),
        ] {
            // A queue that is not there closes the channel, so each has its own.
            let channel = connection.create_channel().await.expect("a channel");
            let only_look = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let found = channel
                .queue_declare(queue.as_str().into(), only_look, FieldTable::default())
                .await;
            let shape = match found {
                Ok(found) => format!("{} messages", found.message_count()),
                Err(_) => "not there".to_owned(),
            };
            drop(channel.close(200, "done".into()).await);
            world.note(format!("queue {queue}"), shape, String::new());
        }
        self.0 = Some(connection);
    }
}
