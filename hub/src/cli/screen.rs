//! The way to the operator's terminal: lines, JSON, colours. Commands hand it text that is already
//! harmless; what comes from a spoke goes through `printable` first.

use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How a text should look where there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Of less interest.
    Dim,
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// It is wrong.
    Bad,
}

/// Where output goes, and what it may look like there.
#[derive(Debug)]
pub(super) struct Screen {
    json: bool,
    colour: bool,
    stderr_colour: bool,
    width: Option<usize>,
}

impl Screen {
    /// Looks at what stdout and stderr are.
    pub(super) fn new(json: bool, no_color: bool) -> Self {
        Self {
            json,
            colour: !no_color && !json && io::stdout().is_terminal(),
            stderr_colour: !no_color && io::stderr().is_terminal(),
            width: width(),
        }
    }

    /// Whether stdout is for a program.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// The columns of the terminal; none where stdout is no terminal.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// A line on stdout.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// Text on stdout as it is, seen at once.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// A JSON document on stdout.
    pub(super) fn json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(value)?)
    }

    /// A JSON document on stdout, in one line.
    pub(super) fn json_line<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// A line on stderr. A closed stderr is nobody's loss.
    pub(super) fn note(&self, text: &str) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// Text for stdout.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        paint(self.colour, style, text)
    }

    /// Text for stderr.
    pub(super) fn paint_stderr(&self, style: Style, text: &str) -> String {
        paint(self.stderr_colour, style, text)
    }
}

fn paint(colour: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Warn => "33",
        Style::Bad => "31",
        Style::Plain => return text.to_owned(),
    };
    if colour && !text.is_empty() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// `NO_COLOR` counts when it is not empty, whatever it says (<https://no-color.org>); "false" is what
/// clap gives for a flag that is not there.
pub(super) fn is_set(text: &str) -> Result<bool, Infallible> {
    Ok(!matches!(text, "" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_escapes_where_there_are_no_colours() {
        assert_eq!(paint(false, Style::Bad, "gone"), "gone");
        assert_eq!(paint(true, Style::Bad, "gone"), "\x1b[31mgone\x1b[0m");
    }

    #[test]
    fn an_empty_no_color_is_as_good_as_none() {
        assert_eq!(is_set(""), Ok(false));
        assert_eq!(is_set("0"), Ok(true));
    }
}
