//! How long to wait on a machine that others use too.

use std::time::Duration;

/// However busy it is, more than this many times as long is too long.
const MOST: f64 = 8.0;

/// How many times as long everything may take, from the load of the last minute on each processor.
pub fn factor() -> f64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    scale(&told, u32::try_from(processors).unwrap_or(1))
}

fn scale(loadavg: &str, processors: u32) -> f64 {
    let load = loadavg.split(' ').next().and_then(|load| load.parse().ok());
    let each = load.unwrap_or(0.0) / f64::from(processors);
    each.clamp(1.0, MOST)
}

/// So long on an idle machine, longer on one that is busy now.
pub fn patient(idle: Duration) -> Duration {
    idle.mul_f64(factor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_more_patient_the_more_others_do_but_not_without_end() {
        assert!((scale("0.50 0.40 0.30 1/100 4711", 2) - 1.0).abs() < 1e-9);
        assert!((scale("9.00 4.00 2.00 9/100 4711", 2) - 4.5).abs() < 1e-9);
        assert!((scale("99.0 4.00 2.00 9/100 4711", 2) - MOST).abs() < 1e-9);
        assert!((scale("", 2) - 1.0).abs() < 1e-9);
    }
}
