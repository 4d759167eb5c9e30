//! From a request to the broker: the outbox.

use kolga_hub::store::create::Create;
use kolga_hub::store::outbox::Sort;
use kolga_hub::store::published::{Fate, Unblock};
use kolga_hub::store::{Store, StoreError};
use kolga_protocol::state::{Event, State};

use crate::database::{
    a_ping, event, make, make_many, numbered, publish, run_of, server, take, task, tell,
};

pub async fn a_task_and_its_message_are_made_together(store: &Store) {
    let id = make(store, a_ping()).await;
    assert_eq!(task(store, id).await.state, State::Queued);
    let items = take(store).await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].run.to_string(), format!("{id}.1"));
    assert!(matches!(&items[0].sort, Sort::Task { kind, .. } if kind == "ping"));
    publish(store, items, &Fate::Confirmed).await;
    assert_eq!(task(store, id).await.state, State::Sent);
    assert_eq!(store.totals().await.expect("counted").outbox, 0);
}

pub async fn what_is_refused_leaves_nothing(store: &Store) {
    let create = |name, count| Create {
        server: server(name),
        params: a_ping(),
        count,
        requested_by: "test".to_owned(),
    };
    // Handed over together, so that they are one transaction.
    let (nowhere, good, too_many) = tokio::join!(
        store.write(create("web9", 1)),
        store.write(create("web1", 2)),
        store.write(create("web1", 1_000_000)),
    );
    assert!(
        matches!(nowhere, Err(StoreError::Refused(refusal)) if refusal.code == "server_unknown")
    );
    assert!(matches!(too_many, Err(StoreError::Refused(refusal)) if refusal.code == "bad_count"));
    assert_eq!(good.expect("the other is not in its way").len(), 2);
    assert_eq!(store.totals().await.expect("counted").outbox, 2);
}

pub async fn many_tasks_are_taken_in_the_order_in_which_they_were_made(store: &Store) {
    let mut made = make_many(store, a_ping(), 300).await;
    made.push(make(store, a_ping()).await);
    let taken: Vec<_> = take(store).await.iter().map(|item| item.run.task).collect();
    assert_eq!(taken, made);
}

pub async fn what_the_relay_holds_is_not_given_twice(store: &Store) {
    make(store, a_ping()).await;
    let first = take(store).await;
    assert_eq!(first.len(), 1);
    assert!(take(store).await.is_empty());
    make(store, a_ping()).await;
    let second = take(store).await;
    assert_eq!(second.len(), 1);
    publish(store, second, &Fate::Unsure).await;
    let again = take(store).await;
    assert_eq!(again.len(), 1, "the first is still held: {again:?}");
    publish(store, first, &Fate::Confirmed).await;
    publish(store, again, &Fate::Confirmed).await;
    assert!(take(store).await.is_empty());
}

pub async fn what_may_have_been_sent_is_sent_again(store: &Store) {
    let made = make_many(store, a_ping(), 5).await;
    let items = take(store).await;
    publish(store, items, &Fate::Unsure).await;
    assert_eq!(task(store, made[0]).await.state, State::Queued);
    let again: Vec<_> = take(store).await.iter().map(|item| item.run.task).collect();
    assert_eq!(again, made);
}

pub async fn what_has_no_queue_waits_with_a_reason_and_goes_when_there_is_one(store: &Store) {
    let id = make(store, a_ping()).await;
    let items = take(store).await;
    publish(store, items, &Fate::Blocked("no queue".to_owned())).await;
    let waits = task(store, id).await;
    assert_eq!(waits.state, State::Queued);
    assert_eq!(waits.waiting.as_deref(), Some("no queue"));
    assert!(take(store).await.is_empty());
    let blocked = store.blocked_servers().await.expect("listed");
    assert_eq!(blocked, [(server("web1"), "no queue".to_owned())]);

    let elsewhere = Unblock {
        server: server("web2"),
    };
    assert_eq!(store.write(elsewhere).await.expect("done"), 0);
    let here = Unblock {
        server: server("web1"),
    };
    assert_eq!(store.write(here).await.expect("done"), 1);
    assert_eq!(task(store, id).await.waiting, None);
    assert_eq!(take(store).await.len(), 1);
}

pub async fn a_confirm_that_comes_after_the_end_changes_nothing(store: &Store) {
    let id = make(store, a_ping()).await;
    let items = take(store).await;
    let run = run_of(store, id).await;
    let events = [Event::Accepted, Event::Started, Event::Succeeded];
    tell(store, numbered(run, events.map(event).to_vec())).await;
    publish(store, items, &Fate::Confirmed).await;
    let ended = task(store, id).await;
    assert_eq!(ended.state, State::Succeeded);
    assert!(ended.finished);
    assert_eq!(store.totals().await.expect("counted").outbox, 0);
}
