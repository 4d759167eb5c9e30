//! The broker, and the only part of the model that is not the real one: queues that keep what was published
//! until it is acked, and that may hold it twice, in another order, or be deleted with all that is in them.

use std::collections::{BTreeMap, VecDeque};

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// The user for whom the broker vouches.
    pub user: String,
    /// The real bytes.
    pub body: Vec<u8>,
}

/// All queues that there are, by name.
#[derive(Debug, Default)]
pub struct Broker {
    queues: BTreeMap<String, VecDeque<Message>>,
    /// Everything that was ever in them.
    past: BTreeMap<String, Vec<Message>>,
}

impl Broker {
    /// Makes a queue, unless it is there.
    pub fn declare(&mut self, name: &str) {
        self.queues.entry(name.to_owned()).or_default();
    }

    /// Whether a queue took it.
    pub fn publish(&mut self, name: &str, message: Message) -> bool {
        match self.queues.get_mut(name) {
            Some(queue) => {
                let past = self.past.entry(name.to_owned()).or_default();
                past.push(message.clone());
                queue.push_back(message);
                true
            }
            None => false,
        }
    }

    /// The next few. What is not acked has to be given back.
    pub fn deliver(&mut self, name: &str, most: usize) -> Vec<Message> {
        match self.queues.get_mut(name) {
            Some(queue) => queue.drain(..most.min(queue.len())).collect(),
            None => Vec::new(),
        }
    }

    /// Unacked messages return to where they were, unless their queue is gone.
    pub fn give_back(&mut self, name: &str, messages: Vec<Message>) {
        if let Some(queue) = self.queues.get_mut(name) {
            for message in messages.into_iter().rev() {
                queue.push_front(message);
            }
        }
    }

    /// Whether a queue is there and holds nothing.
    pub fn is_empty(&self, name: &str) -> bool {
        self.queues.get(name).is_some_and(VecDeque::is_empty)
    }

    /// A message of it is there once more, behind all others.
    pub fn duplicate(&mut self, name: &str, which: usize) -> bool {
        let Some(queue) = self.queues.get_mut(name).filter(|queue| !queue.is_empty()) else {
            return false;
        };
        let twin = queue[which % queue.len()].clone();
        queue.push_back(twin);
        true
    }

    /// A message that once was in it is there again, behind all others.
    pub fn replay(&mut self, name: &str, which: usize) -> bool {
        let past = self.past.get(name).filter(|past| !past.is_empty());
        let (Some(past), Some(queue)) = (past, self.queues.get_mut(name)) else {
            return false;
        };
        queue.push_back(past[which % past.len()].clone());
        true
    }

    /// A message of it falls behind all others.
    pub fn delay(&mut self, name: &str, which: usize) -> bool {
        let Some(queue) = self.queues.get_mut(name).filter(|queue| queue.len() > 1) else {
            return false;
        };
        let place = which % (queue.len() - 1);
        let moved = queue.remove(place);
        queue.extend(moved);
        true
    }

    /// Deletes it; how many messages are lost, if it was there.
    pub fn delete(&mut self, name: &str) -> Option<usize> {
        self.queues.remove(name).map(|queue| queue.len())
    }
}
