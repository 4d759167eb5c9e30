//! How many messages wait in the queues that a task's way leads through.

use std::collections::BTreeMap;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::World;
use crate::hub::broker;
use crate::stack::Stack;

/// A connection, and a channel for each queue, that are kept from one look to the next.
#[derive(Default)]
pub(super) struct Broker {
    connection: Option<lapin::Connection>,
    channels: BTreeMap<String, Channel>,
}

impl Broker {
    pub(super) async fn look(&mut self, stack: &Stack, server: &str) -> World {
        let kept = self.connection.take();
        let connection = match kept.filter(|kept| kept.status().connected()) {
            Some(kept) => kept,
            None => {
                self.channels.clear();
                broker(stack).await
            }
        };
        // Not the heartbeats: there may be one at any time.
        let queues = [
            format!("tasks.{server}"),
            format!("control.{server}"),
            "hub.reports".to_owned(),
            "kolga.dead".to_owned(),
        ];
        let asked = queues.map(|queue| {
            let kept = self.channels.remove(&queue);
            length(&connection, queue, kept)
        });
        let mut world = World::default();
        for (queue, shape, channel) in futures_util::future::join_all(asked).await {
            if let Some(channel) = channel {
                self.channels.insert(queue.clone(), channel);
            }
            world.note(format!("queue {queue}"), shape, String::new());
        }
        self.connection = Some(connection);
        world
    }
}

/// Asks for one. A queue that is not there closes the channel.
async fn length(
    connection: &lapin::Connection,
    queue: String,
    kept: Option<Channel>,
) -> (String, String, Option<Channel>) {
    let channel = match kept {
        Some(kept) => kept,
        None => connection.create_channel().await.expect("a channel"),
    };
    let only_look = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel
        .queue_declare(queue.as_str().into(), only_look, FieldTable::default())
        .await;
    match found {
        Ok(found) => {
            let shape = format!("{} messages", found.message_count());
            (queue, shape, Some(channel))
        }
        Err(_) => (queue, "not there".to_owned(), None),
    }
}
