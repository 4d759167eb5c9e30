//! Tables that fit the terminal. Where a row is too wide, the widest columns are cut first, with `…`;
//! where stdout is no terminal nothing is cut.

use std::io;

use kolga_protocol::message::printable;

use super::screen::{Screen, Style};

/// Columns are cut to the first of these before any is cut to the next, so that names stay names as long
/// as they can.
const NARROWEST: [usize; 3] = [8, 4, 1];
const GAP: &str = "  ";

/// One field of a table.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text in a colour of its own; made harmless here.
    pub(super) fn styled(style: Style, text: impl AsRef<str>) -> Self {
        Self {
            text: printable(text.as_ref()),
            style,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(Style::Plain, text)
    }
}

/// Rows of cells under one heading each.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
    /// What was shown before was so wide.
    least: Vec<usize>,
}

impl Table {
    /// A table with a heading.
    pub(super) fn headed<const N: usize>(headings: [&str; N]) -> Self {
        let heading = headings
            .iter()
            .map(|text| Cell::styled(Style::Bold, text))
            .collect();
        Self {
            rows: vec![heading],
            least: Vec::new(),
        }
    }

    /// Names and values, one pair a line.
    pub(super) fn pairs() -> Self {
        Self {
            rows: Vec::new(),
            least: Vec::new(),
        }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a row of as many cells as there happen to be.
    pub(super) fn cells(&mut self, cells: impl Iterator<Item = Cell>) {
        self.rows.push(cells.collect());
    }

    /// Adds a name and its value.
    pub(super) fn pair(&mut self, name: &str, value: impl Into<Cell>) {
        self.row([Cell::styled(Style::Dim, name), value.into()]);
    }

    /// Adds a name and its value where there is one.
    pub(super) fn pair_if(&mut self, name: &str, value: Option<impl Into<Cell>>) {
        if let Some(value) = value {
            self.pair(name, value);
        }
    }

    /// Shows it.
    pub(super) fn show(&self, screen: &Screen) -> io::Result<()> {
        for line in self.lines(screen.width(), |style, text| screen.paint(style, text)) {
            screen.line(&line)?;
        }
        Ok(())
    }

    /// Shows what has been added since the last time, in columns as wide as those before.
    pub(super) fn show_on(&mut self, screen: &Screen) -> io::Result<()> {
        self.show(screen)?;
        self.least = self.natural_widths();
        self.rows.clear();
        Ok(())
    }

    fn lines(&self, room: Option<usize>, paint: impl Fn(Style, &str) -> String) -> Vec<String> {
        let widths = fit(self.natural_widths(), room);
        let line = |row: &Vec<Cell>| {
            let mut line = String::new();
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let text = cut(&cell.text, width);
                let blank = width - text.chars().count();
                line.push_str(&paint(cell.style, &text));
                if at + 1 < row.len() {
                    line.push_str(&" ".repeat(blank));
                    line.push_str(GAP);
                }
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }

    fn natural_widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let columns = columns.max(self.least.len());
        (0..columns)
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                let widest = cells.map(|c| c.text.chars().count()).max().unwrap_or(0);
                widest.max(self.least.get(at).copied().unwrap_or(0))
            })
            .collect()
    }
}

/// Takes from the widest column, one by one, until all fit or none can give any more.
fn fit(mut widths: Vec<usize>, room: Option<usize>) -> Vec<usize> {
    let Some(room) = room else { return widths };
    let gaps = widths.len().saturating_sub(1) * GAP.len();
    for narrowest in NARROWEST {
        while widths.iter().sum::<usize>() + gaps > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > narrowest => *widest -= 1,
                _ => break,
            }
        }
    }
    widths
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::headed(["HOST", "STATE", "WHY"]);
        table.row([
            "blog.example.org".into(),
            Cell::styled(Style::Bad, "failed"),
            "the database server cannot be reached".into(),
        ]);
        table.row(["a.example".into(), "ready".into(), "".into()]);
        table
    }

    fn plain(table: &Table, room: Option<usize>) -> Vec<String> {
        table.lines(room, |_, text| text.to_owned())
    }

    #[test]
    fn columns_line_up_and_lines_have_no_blanks_at_their_end() {
        assert_eq!(
            plain(&table(), None),
            [
                "HOST              STATE   WHY",
                "blog.example.org  failed  the database server cannot be reached",
                "a.example         ready",
            ]
        );
    }

    #[test]
    fn what_is_shown_later_lines_up_with_what_was_shown_before() {
        let mut table = table();
        table.least = table.natural_widths();
        table.rows.clear();
        table.row(["b.example".into(), "ready".into(), "why not".into()]);
        assert_eq!(plain(&table, None), ["b.example         ready   why not"]);
    }

    #[test]
    fn the_widest_column_is_cut_until_the_table_fits() {
        let lines = plain(&table(), Some(40));
        assert_eq!(lines[1], "blog.example.o…  failed  the database s…");
        assert!(lines.iter().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn a_terminal_that_is_too_narrow_still_shows_the_beginnings() {
        let beginnings = |room| plain(&table(), Some(room)).swap_remove(1);
        assert_eq!(beginnings(26), "blog.ex…  failed  the dat…");
        assert_eq!(beginnings(16), "blo…  fai…  the…");
        assert_eq!(beginnings(3), "…  …  …");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let coloured = table().lines(None, |style, text| match style {
            Style::Bad => format!("\x1b[31m{text}\x1b[0m"),
            _ => text.to_owned(),
        });
        assert_eq!(
            coloured[1],
            "blog.example.org  \x1b[31mfailed\x1b[0m  the database server cannot be reached"
        );
    }

    #[test]
    fn what_a_spoke_sends_cannot_drive_the_terminal() {
        let mut table = Table::pairs();
        table.pair("name", "a\x1b[2Jb\nc");
        assert_eq!(plain(&table, None), ["name  a\\u{1b}[2Jb\\nc"]);
    }
}
