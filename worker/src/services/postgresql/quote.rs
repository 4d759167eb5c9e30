//! The only place where a name or a text becomes part of a statement: PostgreSQL takes no parameters there.

use kolga_protocol::names::DatabaseName;

/// An identifier, of a database or of a role. Only for the type whose alphabet holds nothing to be escaped; in quotes, since a
/// name may be a key word.
pub(super) fn identifier(name: &DatabaseName) -> String {
    format!("\"{name}\"")
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
