//! `server.print`: a child of the worker prints so many lines, so that an operator can try the way of a log,
//! and measure it.

use serde::{Deserialize, Deserializer, Serialize};

use super::Task;
use crate::message::LOG_LINE_BYTES;
use crate::object::{Claim, Lane};

/// The most lines of one task.
pub const MOST_LINES: u32 = 10_000_000;
/// The shortest line: each is a number with leading zeros, and all numbers fit.
pub const LEAST_BYTES: u32 = 8;
/// The longest line: what a log keeps whole.
#[allow(clippy::cast_possible_truncation)]
pub const MOST_BYTES: u32 = LOG_LINE_BYTES as u32;

/// How much to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many lines, numbered from 1.
    #[serde(deserialize_with = "within::<_, 1, MOST_LINES>")]
    pub lines: u32,
    /// How long each is, without its line end.
    #[serde(
        default = "a_usual_line",
        deserialize_with = "within::<_, LEAST_BYTES, MOST_BYTES>"
    )]
    pub line_bytes: u32,
}

/// What was printed. How much of it a log keeps is the worker's to say, in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// How many lines.
    pub lines: u32,
    /// How many bytes, line ends included.
    pub bytes: u64,
    /// Microseconds from the start of the child until the worker had read all of it.
    pub micros: u64,
}

fn a_usual_line() -> u32 {
    80
}

fn within<'de, D: Deserializer<'de>, const LEAST: u32, const MOST: u32>(
    deserializer: D,
) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (LEAST..=MOST).contains(&number) {
        Ok(number)
    } else {
        Err(serde::de::Error::custom(format_args!(
            "{number} is not between {LEAST} and {MOST}"
        )))
    }
}

impl Task for Params {
    const VERSION: u16 = 1;
    const LANE: Lane = Lane::Light;
    const REPEATABLE: bool = true;
    const GROWS: bool = false;
    type Output = Output;

    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use crate::task::{Params, PayloadError};
    use serde_json::json;

    fn read(params: serde_json::Value) -> Result<Params, PayloadError> {
        Params::from_json("server.print", params)
    }

    #[test]
    fn more_than_a_log_can_take_is_refused_in_json_and_on_the_wire() {
        let usual = Params::ServerPrint(super::Params {
            lines: 3,
            line_bytes: 80,
        });
        assert_eq!(read(json!({"lines": 3})).expect("right"), usual);
        for wrong in [
            json!({"lines": 0}),
            json!({"lines": 10_000_001}),
            json!({"lines": 3, "line_bytes": 7}),
            json!({"lines": 3, "line_bytes": 8193}),
            json!({}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let wrong = Params::ServerPrint(super::Params {
            lines: 0,
            line_bytes: 80,
        });
        assert!(Params::from_payload(&wrong.to_payload()).is_err());
    }
}
