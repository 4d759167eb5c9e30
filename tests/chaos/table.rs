//! What is printed: plain text for a terminal, or Markdown for `docs/RELIABILITY.md`.

use std::time::Duration;

/// Rows under a head, the first column to the left and all others to the right.
pub fn print(head: &[&str], rows: &[Vec<String>], markdown: bool) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<String>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        match markdown {
            true => println!("| {} |", padded.join(" | ")),
            false => println!("{}", padded.join("  ").trim_end()),
        }
    };
    line(head.iter().map(|cell| (*cell).to_owned()).collect());
    line(
        widths
            .iter()
            .enumerate()
            .map(|(column, width)| match (markdown, column) {
                (true, 1..) => format!("{}:", "-".repeat(width.saturating_sub(1))),
                _ => "-".repeat(*width),
            })
            .collect(),
    );
    for row in rows {
        line(row.clone());
    }
    println!();
}

/// `1.2 s`, `34 ms`.
pub fn duration(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{} ms", took.as_millis()),
        seconds => format!("{seconds:.1} s"),
    }
}

/// The value below which so many of a hundred lie.
pub fn percentile(values: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<Duration> = (1..=10).rev().map(Duration::from_secs).collect();
        assert_eq!(percentile(&values, 50), Some(Duration::from_secs(5)));
        assert_eq!(percentile(&values, 99), Some(Duration::from_secs(10)));
        assert_eq!(percentile(&values[..1], 50), Some(Duration::from_secs(10)));
        assert_eq!(percentile(&[], 50), None);
    }
}
