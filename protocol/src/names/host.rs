//! Host names: what a site answers to. They become file names, nginx `server_name`s and URLs.

use super::name_type;

/// The longest host name, in bytes. DNS allows 253 (RFC 1035 section 2.3.4); a host name also names
/// files such as `<host>.conf.new`, and a file name has at most 255 bytes.
const LONGEST: usize = 230;

name_type!(
    /// A fully qualified host name in its ASCII form, lower case, without a final dot. Unicode is
    /// taken and turned into its IDNA form (UTS 46); addresses, single labels and wildcards are not.
    HostName,
    "host name",
    host
);

name_type!(
    /// Another name of a site: a host name, or `*.` and a host name.
    SiteAlias,
    "site alias",
    alias
);

fn host(text: &str) -> Result<String, String> {
    // Before IDNA, which maps a good deal of Unicode (ideographic dots, ignorable characters) to
    // something else or to nothing: what reads as white space or control is never meant.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it holds white space or a control character".to_owned());
    }
    let ascii = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::STD3)
        .map_err(|_| {
            "write it as letters, digits and hyphens in labels that dots separate, such as \
             www.example.org"
                .to_owned()
        })?
        .into_owned();
    if ascii.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} characters"));
    }
    let labels: Vec<&str> = ascii.split('.').collect();
    if labels.len() < 2 {
        return Err("it needs at least two labels, such as example.org".to_owned());
    }
    for label in &labels {
        let bytes = label.as_bytes();
        let fits = (1..=63).contains(&bytes.len())
            && bytes
                .iter()
                .all(|&b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-';
        if !fits {
            return Err(
                "each label is 1 to 63 letters, digits and hyphens, and neither begins nor ends \
                 with a hyphen"
                    .to_owned(),
            );
        }
    }
    // A last label of digits only makes it an address to a browser (URL standard, "ends in a number").
    if labels[labels.len() - 1].bytes().all(|b| b.is_ascii_digit()) {
        return Err("it is an address, not a name".to_owned());
    }
    Ok(ascii)
}

fn alias(text: &str) -> Result<String, String> {
    match text.strip_prefix("*.") {
        Some(below) => host(below).map(|host| format!("*.{host}")),
        None => host(text),
    }
}

impl SiteAlias {
    /// What lies below it, for `*.` and a host name.
    #[must_use]
    pub fn below(&self) -> Option<&str> {
        self.0.strip_prefix("*.")
    }

    /// Whether some name would be both, as nginx takes them: `*.example.org` is every name below example.org, at any
    /// depth, and not example.org itself.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let holds = |wild: &Self, name: &Self| {
            let name = name.below().unwrap_or(&name.0);
            wild.below().is_some_and(|below| {
                name.strip_suffix(below)
                    .is_some_and(|rest| rest.ends_with('.'))
            })
        };
        self == other || holds(self, other) || holds(other, self)
    }

    /// The wildcards that would hold it, the narrowest first.
    #[must_use]
    pub fn wildcards(&self) -> Vec<Self> {
        let name = self.below().unwrap_or(&self.0);
        let parents = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
        // A wildcard needs two labels below it, as a host name has.
        let parents = parents.filter(|parent| parent.contains('.'));
        parents.map(|parent| Self(format!("*.{parent}"))).collect()
    }
}

impl From<HostName> for SiteAlias {
    fn from(host: HostName) -> Self {
        Self(host.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(text: &str) -> SiteAlias {
        text.parse().expect("a name")
    }

    #[test]
    fn a_wildcard_overlaps_with_what_lies_below_it_and_with_nothing_else() {
        let wild = alias("*.example.org");
        for below in [
            "www.example.org",
            "a.b.example.org",
            "*.example.org",
            "*.b.example.org",
        ] {
            assert!(wild.overlaps(&alias(below)), "{below}");
            assert!(alias(below).overlaps(&wild), "{below}");
        }
        for other in [
            "example.org",
            "anexample.org",
            "www.anexample.org",
            "*.a.org",
            "org.example",
        ] {
            assert!(!wild.overlaps(&alias(other)), "{other}");
            assert!(!alias(other).overlaps(&wild), "{other}");
        }
    }

    #[test]
    fn the_wildcards_that_hold_a_name_are_those_that_overlap_with_it() {
        let wildcards = alias("a.b.example.org").wildcards();
        assert_eq!(
            wildcards,
            [alias("*.b.example.org"), alias("*.example.org")]
        );
        assert_eq!(
            alias("*.b.example.org").wildcards(),
            [alias("*.example.org")]
        );
        assert_eq!(alias("example.org").wildcards(), []);
        for wildcard in wildcards {
            assert!(wildcard.overlaps(&alias("a.b.example.org")));
        }
    }

    #[test]
    fn however_a_name_is_written_it_is_one_name() {
        assert_eq!(alias("*.BÜCHER.example"), alias("*.xn--bcher-kva.example"));
        assert!("*.example.org.".parse::<SiteAlias>().is_err());
        assert!("*.*.example.org".parse::<SiteAlias>().is_err());
        assert!("a.*.example.org".parse::<SiteAlias>().is_err());
    }
}
