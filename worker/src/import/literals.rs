//! What a PHP file of settings says, read without running it: constants and variables that are given a plain text.
//!
//! It is somebody else's file. Whatever is not a plain text (a call, a variable, an included file) is not guessed at but
//! told as [`Value::Unknown`], and what is set twice, by branches that only PHP could choose from, as [`Value::Twice`].
//! Values may be passwords, so nothing here prints itself.

use std::collections::BTreeMap;

/// What a name is given.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// This text; numbers and words such as `true` as they are written.
    Text(String),
    /// What only PHP could tell.
    Unknown,
    /// Different texts at different places.
    Twice,
}

/// Names and what they are given: constants as `DB_NAME`, variables as `$table_prefix`. And what functions are called with.
#[derive(Default)]
pub struct Literals(BTreeMap<String, Value>, Vec<Call>);

/// A call of a function, or the inclusion of a file.
struct Call {
    /// Of the function, as it is written; `require`, `include` and the like.
    name: String,
    /// The plain texts that it is given; none for whatever is not one.
    with: Vec<Option<String>>,
}

/// How a file is included.
const INCLUDES: [&str; 4] = ["require", "require_once", "include", "include_once"];

impl Literals {
    /// Reads such a file.
    #[must_use]
    pub fn read(source: &str) -> Self {
        let tokens = tokens(source);
        let mut found = Self::default();
        for at in 0..tokens.len() {
            if let Some((name, value)) = assigned(&tokens[at..]) {
                found.note(name, value);
            }
            found.1.extend(called(&tokens[at..]));
        }
        found
    }

    /// What these functions are given, and which files are included: plain texts, and none for whatever only PHP could tell.
    pub fn loaded<'a>(&'a self, functions: &'a [String]) -> impl Iterator<Item = Option<&'a str>> {
        // Functions' names are the same in any case.
        let includes = INCLUDES
            .into_iter()
            .chain(functions.iter().map(String::as_str));
        let meant = move |call: &&Call| {
            includes
                .clone()
                .any(|it| it.eq_ignore_ascii_case(&call.name))
        };
        let calls = self.1.iter().filter(meant);
        calls.flat_map(|call| call.with.iter().map(Option::as_deref))
    }

    /// What this name is given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All names that are given something, whatever it is.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn note(&mut self, name: String, value: Value) {
        let known = self.0.entry(name).or_insert_with(|| value.clone());
        if *known != value {
            *known = Value::Twice;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// `define`, `const`, `true`, a number.
    Word(String),
    /// `$name`, with the dollar.
    Variable(String),
    /// A text; none where it holds a variable.
    Text(Option<String>),
    /// Any other character.
    Sign(char),
}

/// A name and its value, where an assignment begins here.
fn assigned(tokens: &[Token]) -> Option<(String, Value)> {
    match tokens {
        [
            Token::Word(word),
            Token::Sign('('),
            Token::Text(Some(name)),
            Token::Sign(','),
            rest @ ..,
        ] if word.eq_ignore_ascii_case("define") => Some((name.clone(), value(rest, ")"))),
        [
            Token::Word(word),
            Token::Word(name),
            Token::Sign('='),
            rest @ ..,
        ] if word.eq_ignore_ascii_case("const") => Some((name.clone(), value(rest, ";,"))),
        // Not a comparison, and not an assignment that adds.
        [Token::Variable(name), Token::Sign('='), rest @ ..]
            if !matches!(rest.first(), Some(Token::Sign('=' | '>'))) =>
        {
            Some((name.clone(), value(rest, ";")))
        }
        // $name .= 'x', $name ??= 'x' and the like: what it is then is not told here.
        [Token::Variable(name), Token::Sign(sign), rest @ ..] if adds(*sign, rest) => {
            Some((name.clone(), Value::Unknown))
        }
        _ => None,
    }
}

/// A call, where one begins here.
fn called(tokens: &[Token]) -> Option<Call> {
    let (Some(Token::Word(name)), rest) = (tokens.first(), tokens.get(1..)?) else {
        return None;
    };
    let with = if INCLUDES.iter().any(|it| it.eq_ignore_ascii_case(name)) {
        let file = match rest {
            [Token::Text(file), Token::Sign(';'), ..]
            | [Token::Sign('('), Token::Text(file), Token::Sign(')'), ..] => file.clone(),
            _ => None,
        };
        vec![file]
    } else if rest.first() == Some(&Token::Sign('(')) {
        given(&rest[1..])
    } else {
        return None;
    };
    let name = name.clone();
    Some(Call { name, with })
}

/// The arguments of a call: texts alone, or texts in a list.
fn given(tokens: &[Token]) -> Vec<Option<String>> {
    let mut with = Vec::new();
    for token in tokens {
        match token {
            Token::Sign(')') => return with,
            Token::Sign(',' | '[' | ']') => {}
            Token::Text(Some(text)) => with.push(Some(text.clone())),
            _ => break,
        }
    }
    with.push(None);
    with
}

fn adds(sign: char, rest: &[Token]) -> bool {
    match (sign, rest) {
        ('.' | '+' | '-' | '*' | '/' | '[', [Token::Sign('='), ..]) => true,
        ('?', [Token::Sign('?'), Token::Sign('='), ..]) => true,
        // An element of it.
        ('[', _) => true,
        _ => false,
    }
}

/// The one text that stands before one of these ends.
fn value(tokens: &[Token], ends: &str) -> Value {
    let ended = |token: Option<&Token>| matches!(token, Some(Token::Sign(c)) if ends.contains(*c));
    match tokens.first() {
        Some(Token::Text(Some(text))) if ended(tokens.get(1)) => Value::Text(text.clone()),
        Some(Token::Word(word)) if ended(tokens.get(1)) => match is_plain(word) {
            true => Value::Text(word.clone()),
            false => Value::Unknown,
        },
        _ => Value::Unknown,
    }
}

/// Whether a word is a number or one of PHP's own, and not a constant that stands for something else.
fn is_plain(word: &str) -> bool {
    let known = ["true", "false", "null"];
    known.iter().any(|it| word.eq_ignore_ascii_case(it)) || word.bytes().all(|b| b.is_ascii_digit())
}

fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    // What stands outside of PHP's marks is a page.
    while let Some(at) = rest.find("<?") {
        rest = &rest[at + 2..];
        rest = rest.strip_prefix("php").unwrap_or(rest);
        rest = rest.strip_prefix('=').unwrap_or(rest);
        rest = inside(rest, &mut tokens);
    }
    tokens
}

/// One stretch of PHP; what stands behind its end.
fn inside<'a>(mut rest: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("?>") {
            return behind;
        }
        if rest.starts_with("//") || (first == '#' && !rest.starts_with("#[")) {
            let line = rest.find('\n').unwrap_or(rest.len());
            // The end of PHP ends such a remark, too.
            let end = rest.find("?>").unwrap_or(rest.len()).min(line);
            rest = &rest[end..];
        } else if let Some(remark) = rest.strip_prefix("/*") {
            rest = remark.split_once("*/").map_or("", |(_, behind)| behind);
        } else if let Some(behind) = rest.strip_prefix("<<<") {
            rest = heredoc(behind, tokens);
        } else if first == '\'' {
            rest = single(&rest[1..], tokens);
        } else if first == '"' || first == '`' {
            rest = double(&rest[1..], first, tokens);
        } else if first == '$' && rest[1..].starts_with(is_name) {
            let end = rest[1..]
                .find(|c| !is_name(c))
                .map_or(rest.len(), |end| end + 1);
            tokens.push(Token::Variable(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if is_name(first) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    rest
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn single<'a>(rest: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => {
                tokens.push(Token::Text(Some(text)));
                return &rest[at + 1..];
            }
            '\\' => match chars.next() {
                Some((_, escaped @ ('\'' | '\\'))) => text.push(escaped),
                Some((_, other)) => text.extend(['\\', other]),
                None => break,
            },
            c => text.push(c),
        }
    }
    tokens.push(Token::Text(None));
    ""
}

fn double<'a>(rest: &'a str, end: char, tokens: &mut Vec<Token>) -> &'a str {
    // What a shell would run is no text.
    let mut text = (end == '"').then(String::new);
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            c if c == end => {
                tokens.push(Token::Text(text));
                return &rest[at + 1..];
            }
            '\\' => {
                chars.next();
                let plain = match next {
                    Some('n') => Some('\n'),
                    Some('t') => Some('\t'),
                    Some('r') => Some('\r'),
                    Some(escaped @ ('\\' | '$' | '"')) => Some(escaped),
                    // A number, or a backslash that stands for itself: nobody writes a password so.
                    _ => None,
                };
                text = text.zip(plain).map(|(mut text, plain)| {
                    text.push(plain);
                    text
                });
            }
            '$' if next.is_some_and(|next| is_name(next) || next == '{') => text = None,
            '{' if next == Some('$') => text = None,
            c => text.iter_mut().for_each(|text| text.push(c)),
        }
    }
    tokens.push(Token::Text(None));
    ""
}

/// A text over several lines: passed over, since nothing that is looked for is written so.
fn heredoc<'a>(rest: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    tokens.push(Token::Text(None));
    let (first, mut below) = rest.split_once('\n').unwrap_or((rest, ""));
    let name = first.trim().trim_matches(['\'', '"']);
    while !below.is_empty() {
        let (line, next) = below.split_once('\n').unwrap_or((below, ""));
        let begun = line.trim_start();
        if let Some(behind) = begun.strip_prefix(name)
            && !behind.starts_with(is_name)
        {
            // What stands behind its end goes on.
            return &below[line.len() - behind.len()..];
        }
        below = next;
    }
    ""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(source: &str, name: &str) -> String {
        match Literals::read(source).get(name) {
            Some(Value::Text(text)) => format!("={text}"),
            Some(Value::Unknown) => "unknown".to_owned(),
            Some(Value::Twice) => "twice".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_plain_text_is_read_however_it_is_written() {
        for (source, said) in [
            ("<?php define('A', 'x');", "=x"),
            ("<?php\nDEFINE ( \"A\" ,\n 'x' ) ;", "=x"),
            (
                "<?php if ( ! defined( 'A' ) ) { define( 'A', 'x' ); }",
                "=x",
            ),
            ("<?php const A = 'x';", "=x"),
            ("<?php define('A', true);", "=true"),
            ("<?php define('A', 3306);", "=3306"),
            (r"<?php define('A', 'it\'s \\ \n \$x');", r"=it's \ \n \$x"),
            (r#"<?php define('A', "a\"b\\c\$d");"#, "=a\"b\\c$d"),
            ("<?php // define('A', 'no');\ndefine('A', 'x');", "=x"),
            ("<?php # define('A', 'no');\ndefine('A', 'x');", "=x"),
            ("<?php /* define('A', 'no'); */ define('A', 'x');", "=x"),
            (
                "<html>define('A', 'no');<?php define('A', 'x'); ?> define('A', 'no');",
                "=x",
            ),
            ("<?php $x = \"define('A', 'no');\"; define('A', 'x');", "=x"),
            ("<?php define('A', 'x'); // it's \"A\"\n", "=x"),
            (
                "<?php $t = <<<END\ndefine('A', 'no');\nEND;\ndefine('A', 'x');",
                "=x",
            ),
            (
                "<?php $t = <<<'END'\n it's define('A', 'no');\n END . 'y';\ndefine('A', 'x');",
                "=x",
            ),
            ("<?php define('A', 'x'); define('A', 'x');", "=x"),
            (
                "<?php define('A', 'pa$$word #1 // ?> /*');",
                "=pa$$word #1 // ?> /*",
            ),
            ("<?php define('A', 'ä€');", "=ä€"),
        ] {
            assert_eq!(told(source, "A"), said, "{source}");
        }
        assert_eq!(
            told("<?php $table_prefix  = 'wp_';", "$table_prefix"),
            "=wp_"
        );
    }

    #[test]
    fn what_functions_are_called_with_is_told_where_it_is_plain() {
        let load = ["load".to_owned()];
        for (source, said) in [
            (
                "<?php load( 'Cite' ); Load(\"Echo\");",
                &[Some("Cite"), Some("Echo")][..],
            ),
            (
                "<?php load([ 'Cite', 'Echo', ]);",
                &[Some("Cite"), Some("Echo")],
            ),
            ("<?php load(\"$x/Cite\");", &[None]),
            ("<?php load('Cite' . 'x');", &[Some("Cite"), None]),
            ("<?php load(array('Cite'));", &[None]),
            ("<?php load('Cite'", &[Some("Cite"), None]),
            (
                "<?php // load('Cite');\nother('Echo'); $load = 'x'; required('x');",
                &[],
            ),
            (
                "<?php require_once '/a.php'; Include(\"b.php\");",
                &[Some("/a.php"), Some("b.php")],
            ),
            (
                "<?php require \"$IP/a.php\"; include 'a' . 'b';",
                &[None, None],
            ),
        ] {
            let literals = Literals::read(source);
            let loaded: Vec<_> = literals.loaded(&load).collect();
            assert_eq!(loaded, said, "{source}");
        }
    }

    #[test]
    fn what_only_php_could_tell_is_not_guessed() {
        for source in [
            "<?php define('A', getenv('A'));",
            "<?php define('A', $_ENV['A']);",
            "<?php define('A', 'x' . 'y');",
            "<?php define('A', \"x$y\");",
            "<?php define('A', \"x{$y}\");",
            "<?php define('A', OTHER);",
            "<?php define('A', `id`);",
            "<?php define('A', <<<X\nx\nX\n);",
            "<?php define('A', 'not ended",
            "<?php define('A',",
        ] {
            assert_eq!(told(source, "A"), "unknown", "{source}");
        }
        let twice = "<?php if (x()) { define('A', 'x'); } else { define('A', 'y'); }";
        assert_eq!(told(twice, "A"), "twice");
        for source in [
            "<?php $a = 'x'; $a .= 'y';",
            "<?php $a = 'x'; $a = y();",
            "<?php $a = 'x'; $a ??= 'y';",
            "<?php $a = 'x'; $a['b'] = 'y';",
        ] {
            assert_eq!(told(source, "$a"), "twice", "{source}");
        }
        for source in ["<?php if ($a == 'x') {}", "define('A', 'x');", "<?php", ""] {
            assert_eq!(told(source, "$a"), "nothing", "{source}");
            assert_eq!(told(source, "A"), "nothing", "{source}");
        }
    }

    proptest! {
        #[test]
        fn any_text_at_all_is_read_to_its_end(source in "(<\\?php )?[ -~\\n€]{0,200}") {
            prop_assert!(Literals::read(&source).0.len() <= source.len());
        }

        #[test]
        fn a_text_that_php_would_read_is_read_as_php_would(text in "[ -~äß]{0,40}") {
            let quoted = text.replace('\\', "\\\\").replace('\'', "\\'");
            let source = format!("<?php define('A', '{quoted}');\ndefine('B', 'b');");
            prop_assert_eq!(told(&source, "A"), format!("={text}"));
            prop_assert_eq!(told(&source, "B"), "=b");
        }
    }
}
