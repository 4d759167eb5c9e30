//! Links over a network that fails without a word: connections that swallow everything, and connections on
//! which one byte a second comes through, which keeps the client library's heartbeats content.

use std::time::{Duration, Instant};

use kolga_protocol::link::{Address, Consumer, LinkConfig, Outgoing, Publisher, declare};
use kolga_protocol::topology::{Declaration, QueueType};
use kolga_tests::proxy::{Proxy, Way};
use kolga_tests::stack::Stack;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Within which either side has to notice: 25 s of quiet (45 s of a publisher that has nothing to do) and 10 s for an
/// answer, and a busy machine.
const NOTICED: Duration = Duration::from_secs(70);
/// How long it may take to be back: a pause of at most 5 s, and to connect.
const BACK: Duration = Duration::from_secs(30);

fn message(queue: &str, number: u64) -> Outgoing {
    Outgoing {
        to: Address::Queue(queue.to_owned()),
        message_id: number.to_string(),
        kind: "test",
        body: number.to_be_bytes().to_vec(),
        persistent: true,
    }
}

/// What it takes until a publisher, an idle publisher and a consumer have noticed that the way is `way`.
async fn noticed(way: Way) -> Proxy {
    let stack = Stack::load();
    let url = stack.text("/amqp_hub_url");
    let direct = LinkConfig::new(url, "half-open test").expect("a URL");
    let queue = format!("test.{}", uuid::Uuid::now_v7());
    let declaration = Declaration::Queue {
        name: queue.clone(),
        queue_type: QueueType::Classic,
    };
    declare(&direct, &[declaration])
        .await
        .expect("the hub may declare");
    let target = direct.address().parse().expect("an address");
    let proxy = Proxy::start(target).await.expect("a port");
    let through = url.replace(&direct.address(), &proxy.address().to_string());
    let link = LinkConfig::new(&through, "half-open test").expect("a URL");
    let stop = CancellationToken::new();
    let publisher = Publisher::start(link.clone(), stop.clone());
    let idle = Publisher::start(link.clone(), stop.clone());
    let mut consumer = Consumer::start(link, queue.clone(), 10, stop.clone());
    assert_eq!(publisher.publish(vec![message(&queue, 1)]).await, [Ok(())]);
    let batch = consumer.next_batch(1).await.expect("it runs");
    consumer.ack(batch.iter().map(|delivery| delivery.tag).collect());
    let mut states = [publisher.state(), idle.state(), consumer.state()];
    for state in &mut states {
        let up = timeout(BACK, state.wait_for(|state| state.is_up())).await;
        up.expect("up").expect("alive");
    }

    proxy.set(way);
    let began = Instant::now();
    let lost = tokio::spawn({
        let (publisher, queue) = (publisher.clone(), queue.clone());
        async move { publisher.publish(vec![message(&queue, 2)]).await }
    });
    for (state, whose) in states
        .iter_mut()
        .zip(["publisher", "idle publisher", "consumer"])
    {
        let down = timeout(NOTICED, state.wait_for(|state| !state.is_up())).await;
        let reason = down.expect("noticed in time").expect("alive").to_string();
        println!("{way:?}: {whose} after {:?}: {reason}", began.elapsed());
    }
    let outcome = timeout(NOTICED, lost).await.expect("in time");
    assert!(outcome.expect("it ran")[0].is_err(), "nothing confirmed it");

    proxy.set(Way::Open);
    for state in &mut states {
        let up = timeout(BACK, state.wait_for(|state| state.is_up())).await;
        up.expect("up again").expect("alive");
    }
    assert_eq!(publisher.publish(vec![message(&queue, 3)]).await, [Ok(())]);
    let mut came = Vec::new();
    while came.last() != Some(&3) {
        let batch = timeout(BACK, consumer.next_batch(10)).await;
        let batch = batch.expect("it comes").expect("it runs");
        came.extend(batch.iter().map(|delivery| {
            let id = delivery.message_id.as_deref().expect("an id");
            id.parse::<u64>().expect("a number")
        }));
    }
    stop.cancel();
    proxy
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_connection_that_is_dead_or_as_good_as_dead_is_noticed_and_replaced() {
    let (half_open, slow) = tokio::join!(noticed(Way::HalfOpen), noticed(Way::Slow));
    let (swallowed, crawled) = (half_open.swallowed(), slow.crawled());
    println!("bytes swallowed: {swallowed}, bytes one a second: {crawled}");
    assert!(swallowed > 0 && crawled > 0, "the faults never fired");
}
