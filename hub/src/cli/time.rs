//! Instants and spans as people read them.

use kolga_protocol::id::UnixMillis;

/// `2026-11-24 03:04:05 UTC`
pub(super) fn instant(at: UnixMillis) -> String {
    let seconds = at.0.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02} UTC")
}

/// `03:04:05`, for lines of a log.
pub(super) fn clock(at: UnixMillis) -> String {
    let of_day = at.0.div_euclid(1000).rem_euclid(86_400);
    format!(
        "{:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// How long ago, in one unit: `12s`, `3m`, `5h`, `9d`.
pub(super) fn age(at: UnixMillis) -> String {
    let seconds = (UnixMillis::now().0 - at.0).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long something took: `0.2s`, `1m 05s`, `2h 03m`. Clocks may have been set in between, so never
/// below nothing.
pub(super) fn span(from: UnixMillis, to: UnixMillis) -> String {
    let millis = (to.0 - from.0).max(0);
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{}.{}s", seconds, millis % 1000 / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The date so many days after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_in_utc() {
        assert_eq!(instant(UnixMillis(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(
            instant(UnixMillis(1_709_210_096_789)),
            "2024-02-29 12:34:56 UTC"
        );
        assert_eq!(instant(UnixMillis(-1)), "1969-12-31 23:59:59 UTC");
    }

    #[test]
    fn spans_use_the_unit_that_matters() {
        let span = |millis| span(UnixMillis(0), UnixMillis(millis));
        assert_eq!(span(240), "0.2s");
        assert_eq!(span(65_000), "1m 05s");
        assert_eq!(span(7_380_000), "2h 03m");
        assert_eq!(span(-5), "0.0s");
    }
}
