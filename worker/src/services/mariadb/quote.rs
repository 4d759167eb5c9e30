//! The only place where a name or a text becomes part of a statement: MariaDB takes no parameters there.

use kolga_protocol::names::DatabaseName;

/// An identifier. Only for the type whose alphabet holds nothing to be escaped.
pub(super) fn identifier(name: &DatabaseName) -> String {
    format!("`{name}`")
}

/// A database in a `GRANT`, where `_` stands for any character unless it is escaped.
pub(super) fn grant_pattern(name: &DatabaseName) -> String {
    format!("`{}`", pattern(name))
}

/// The same as the server notes it.
pub(super) fn pattern(name: &DatabaseName) -> String {
    name.as_str().replace('_', "\\_")
}

/// A user that is let in from one machine alone, which is `localhost` or an address.
pub(super) fn account(name: &DatabaseName, client: &str) -> String {
    format!("'{name}'@'{client}'")
}

/// A string literal, for a session without `NO_BACKSLASH_ESCAPES`.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("''"),
            '\\' => quoted.push_str("\\\\"),
            '\0' => quoted.push_str("\\0"),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}
