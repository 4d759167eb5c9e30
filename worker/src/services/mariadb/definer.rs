//! Who a view, a trigger, a routine or an event runs as: taken out of a dump, line by line, so that all of it
//! belongs to whoever imports it. A dump names accounts that may not be there, or may be somebody else by then.
//!
//! Only lines that mariadb-dump itself begins so are touched; rows stand on lines that begin otherwise.

use std::io::{self, Write};

/// How the lines begin that name a definer right behind it.
const BEGINNINGS: &[&[u8]] = &[
    b"/*!50013 ",
    b"/*!50003 CREATE*/ /*!50017 ",
    b"/*!50003 CREATE*/ /*!50020 ",
    b"/*!50106 CREATE*/ /*!50117 ",
    b"CREATE ",
    b"CREATE OR REPLACE ",
];
const DEFINER: &[u8] = b"DEFINER=";
/// Longer than a beginning with the longest account (80 + 255 characters of 4 bytes, each perhaps doubled).
const HEAD: usize = 4096;

/// Passes a dump on without its definers.
pub(super) struct WithoutDefiners<W> {
    to: W,
    /// The beginning of a line, until it is long enough to be judged.
    head: Vec<u8>,
    /// In a line whose beginning has been passed on.
    judged: bool,
}

impl<W: Write> WithoutDefiners<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            to,
            head: Vec::new(),
            judged: false,
        }
    }

    /// The next bytes of the dump.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|&b| b == b'\n');
            let room = match self.judged {
                true => bytes.len(),
                false => HEAD - self.head.len(),
            };
            let ends = end.is_some_and(|end| end < room);
            let count = end.map_or(bytes.len(), |end| end + 1).min(room);
            let (part, rest) = bytes.split_at(count);
            bytes = rest;
            if self.judged {
                self.to.write_all(part)?;
            } else {
                self.head.extend_from_slice(part);
                if ends || self.head.len() == HEAD {
                    self.judge()?;
                }
            }
            self.judged = self.judged && !ends;
        }
        Ok(())
    }

    /// After the last.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.judge()?;
        Ok(self.to)
    }

    fn judge(&mut self) -> io::Result<()> {
        let head = std::mem::take(&mut self.head);
        self.judged = true;
        match definer(&head) {
            Some((from, to)) => {
                self.to.write_all(&head[..from])?;
                self.to.write_all(&head[to..])
            }
            None => self.to.write_all(&head),
        }
    }
}

/// Where in this line a definer stands.
fn definer(line: &[u8]) -> Option<(usize, usize)> {
    let begins = |from: &&&[u8]| {
        line.strip_prefix(**from)
            .is_some_and(|rest| rest.starts_with(DEFINER))
    };
    let from = BEGINNINGS.iter().find(begins)?.len();
    let mut at = from + DEFINER.len();
    at += quoted(&line[at..])?;
    if line.get(at) == Some(&b'@') {
        at += 1 + quoted(&line[at + 1..])?;
    }
    Some((from, at))
}

/// How long the name in backquotes is that this begins with.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut at = text.strip_prefix(b"`").map(|_| 1)?;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'`', Some(b'`')) => at += 2,
            (b'`', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without(dump: &[u8], piece: usize) -> Vec<u8> {
        let mut stripped = WithoutDefiners::new(Vec::new());
        for piece in dump.chunks(piece) {
            stripped.take(piece).expect("memory");
        }
        stripped.finish().expect("memory")
    }

    #[test]
    fn what_mariadb_dump_says_of_accounts_goes_and_nothing_else() {
        let dump = "/*!50013 DEFINER=`a`@`localhost` SQL SECURITY DEFINER */\n\
            /*!50003 CREATE*/ /*!50017 DEFINER=`we``ird`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON x\n\
            CREATE DEFINER=`a`@`b` PROCEDURE `p`()\n\
            /*!50106 CREATE*/ /*!50117 DEFINER=`a`@`b`*/ /*!50106 EVENT `e`\n\
            INSERT INTO `x` VALUES ('CREATE DEFINER=`a`@`b`');\n\
            SELECT 1 -- CREATE DEFINER=`a`@`b`\nno end";
        let wanted = "/*!50013  SQL SECURITY DEFINER */\n\
            /*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER t BEFORE INSERT ON x\n\
            CREATE  PROCEDURE `p`()\n\
            /*!50106 CREATE*/ /*!50117 */ /*!50106 EVENT `e`\n\
            INSERT INTO `x` VALUES ('CREATE DEFINER=`a`@`b`');\n\
            SELECT 1 -- CREATE DEFINER=`a`@`b`\nno end";
        for piece in [1, 7, 5000] {
            let got = without(dump.as_bytes(), piece);
            assert_eq!(String::from_utf8_lossy(&got), wanted, "pieces of {piece}");
        }
    }

    proptest! {
        #[test]
        fn any_other_bytes_pass_as_they_are(
            lines in proptest::collection::vec("[a-z`@=]{0,9000}", 0..4),
            piece in 1_usize..6000,
        ) {
            let dump = lines.join("\n");
            prop_assert_eq!(without(dump.as_bytes(), piece), dump.as_bytes());
        }
    }
}
