//! Makes and removes what [`crate::topology`] names, and asks how much waits.

use lapin::options::{
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::connect::{LinkConfig, LinkError, close};
use crate::topology::Declaration;

/// Declares everything in `topology`; what is there already stays as it is.
///
/// # Errors
/// [`LinkError`]: no connection, no right, or something of that name is there in another shape.
pub async fn declare(config: &LinkConfig, topology: &[Declaration]) -> Result<(), LinkError> {
    let connection = config.connect().await?;
    let done = async {
        let channel = connection.create_channel().await?;
        for declaration in topology {
            one(&channel, declaration).await?;
        }
        Ok(())
    }
    .await;
    close(&connection).await;
    done.map_err(config.failed("refuses to declare exchanges and queues"))
}

async fn one(channel: &Channel, declaration: &Declaration) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    match declaration {
        Declaration::Queue { name, queue_type } => {
            let mut arguments = FieldTable::default();
            arguments.insert(
                "x-queue-type".into(),
                AMQPValue::LongString(queue_type.as_str().into()),
            );
            channel
                .queue_declare(
                    name.as_str().into(),
                    QueueDeclareOptions::durable(),
                    arguments,
                )
                .await?;
        }
        Declaration::Topic(name) => {
            channel
                .exchange_declare(
                    (*name).into(),
                    ExchangeKind::Topic,
                    durable,
                    FieldTable::default(),
                )
                .await?;
        }
        Declaration::Fanout(name) => {
            channel
                .exchange_declare(
                    (*name).into(),
                    ExchangeKind::Fanout,
                    durable,
                    FieldTable::default(),
                )
                .await?;
        }
        Declaration::Binding { exchange, queue } => {
            channel
                .queue_bind(
                    (*queue).into(),
                    (*exchange).into(),
                    "#".into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
    }
    Ok(())
}

/// How many messages wait in each of these queues, over one connection; `None` where there is no such queue.
///
/// # Errors
/// [`LinkError`] when the broker cannot be asked.
pub async fn queue_depths(
    config: &LinkConfig,
    queues: &[String],
) -> Result<Vec<Option<u32>>, LinkError> {
    const NOT_FOUND: u16 = 404;
    let connection = config.connect().await?;
    let found = async {
        let mut channel = connection.create_channel().await?;
        let mut depths = Vec::with_capacity(queues.len());
        for queue in queues {
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::durable()
            };
            let declared = channel
                .queue_declare(queue.as_str().into(), passive, FieldTable::default())
                .await;
            match declared {
                Ok(queue) => depths.push(Some(queue.message_count())),
                Err(error) if reply_code(&error) == Some(NOT_FOUND) => {
                    depths.push(None);
                    // The broker has closed the channel with its answer.
                    channel = connection.create_channel().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(depths)
    }
    .await;
    close(&connection).await;
    found.map_err(config.failed("cannot be asked about a queue"))
}

/// Removes queues with all that is in them; one that is not there is as good.
///
/// # Errors
/// [`LinkError`]: no connection, or no right.
pub async fn remove(config: &LinkConfig, queues: &[String]) -> Result<(), LinkError> {
    let connection = config.connect().await?;
    let done = async {
        let channel = connection.create_channel().await?;
        for queue in queues {
            channel
                .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
                .await?;
        }
        Ok(())
    }
    .await;
    close(&connection).await;
    done.map_err(config.failed("refuses to remove queues"))
}

/// How many messages wait in a queue; `None` when there is no such queue.
///
/// # Errors
/// [`LinkError`] when the broker cannot be asked.
pub async fn queue_depth(config: &LinkConfig, queue: &str) -> Result<Option<u32>, LinkError> {
    let depths = queue_depths(config, &[queue.to_owned()]).await?;
    Ok(depths.into_iter().next().flatten())
}

fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}
