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

impl From<HostName> for SiteAlias {
    fn from(host: HostName) -> Self {
        Self(host.0)
    }
}
