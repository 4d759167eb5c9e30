//! The statements that the store's source holds, so that none is forgotten.

use std::path::{Path, PathBuf};

use crate::recorder::plain;

/// The pieces of one statement, between the places that are filled in when it is made.
pub struct Written {
    pub file: PathBuf,
    pub pieces: Vec<String>,
}

impl Written {
    /// Whether this may be how `statement` was written.
    pub fn is_in(&self, statement: &str) -> bool {
        let mut rest = statement;
        self.pieces
            .iter()
            .all(|piece| match rest.split_once(piece.as_str()) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
    }
}

/// Every literal in the store's source that is a statement or its beginning.
pub fn statements() -> Vec<Written> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut folders = vec![root];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(&folder).expect("the store's source is here") {
            let path = file.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "connect.rs") {
                // connect.rs asks for versions and sets connections: no tables.
                let text = std::fs::read_to_string(&path).expect("it can be read");
                found.extend(literals(&text).iter().filter_map(|text| {
                    let pieces = pieces(&plain(text))?;
                    Some(Written {
                        file: path.clone(),
                        pieces,
                    })
                }));
            }
        }
    }
    found
}

/// The static pieces of what is a statement or begins with the name of one, `{COLUMNS} WHERE …`.
fn pieces(text: &str) -> Option<Vec<String>> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let named = text.starts_with('{') && text.contains(" WHERE ");
    if !named && !verbs.iter().any(|verb| text.starts_with(verb)) {
        return None;
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        pieces.push(plain(before));
        let (_, after) = after.split_once('}')?;
        rest = after;
    }
    pieces.push(plain(rest));
    pieces.retain(|piece| !piece.is_empty());
    Some(pieces)
}

/// What stands between quotation marks.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                chars.by_ref().find(|c| *c == '\n');
            }
            // A quotation mark alone, as a character.
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
            }
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => {
                            let escaped = chars.next();
                            text.push(if escaped == Some('\n') { ' ' } else { '\\' });
                        }
                        c => text.push(c),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
    }
    found
}

#[test]
fn statements_are_found_however_they_are_written() {
    let source = "// \"SELECT no\"\nlet a = '\"'; q(\"SELECT a\n  FROM b\"); f(\"{HEAD} WHERE {x} LIMIT $1\")";
    let found: Vec<_> = literals(source)
        .iter()
        .filter_map(|text| pieces(&plain(text)))
        .collect();
    assert_eq!(found, [vec!["SELECT a FROM b"], vec!["WHERE", "LIMIT $1"]]);
    assert!(statements().len() > 40, "{}", statements().len());
}
