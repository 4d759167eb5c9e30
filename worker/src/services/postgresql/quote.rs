//! The only place where a name or a text becomes part of a statement: PostgreSQL takes no parameters there.

use kolga_protocol::names::DatabaseName;

/// How many bytes a name has at most (`NAMEDATALEN` of any server that nobody has built otherwise, less one).
const LONGEST: usize = 63;

/// An identifier, of a database or of a role. Only for the type whose alphabet holds nothing to be escaped; in quotes, since a
/// name may be a key word.
pub(super) fn identifier(name: &DatabaseName) -> String {
    format!("\"{name}\"")
}

/// An identifier of whatever letters.
///
/// # Errors
/// When it can be none: too long, and the server would cut it, or with a NUL.
pub(super) fn foreign_identifier(name: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        (1..=LONGEST).contains(&name.len()) && !name.contains('\0'),
        "{name:?} is no name of PostgreSQL's, which have 1 to {LONGEST} bytes"
    );
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A string literal, for a session with `standard_conforming_strings`: between its quotes only a quote means anything.
///
/// # Errors
/// When it holds what no text of PostgreSQL's can.
pub(super) fn literal(text: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        !text.contains('\0'),
        "a NUL cannot stand in a text of PostgreSQL's"
    );
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// One line of a file of passwords (PostgreSQL manual, "The Password File"), for whatever server and database it is.
///
/// # Errors
/// When it holds the end of a line, which nothing stands for there.
pub(super) fn pass_line(user: &str, password: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        !format!("{user}{password}").contains(['\n', '\r', '\0']),
        "a password with several lines cannot be told to PostgreSQL's programs"
    );
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    Ok(format!("*:*:*:{}:{}\n", escaped(user), escaped(password)))
}

/// A value in a connection string (PostgreSQL manual, "Keyword/Value Connection Strings").
pub(super) fn value(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
