//! Names that differ between two tries that both did right, and what stands in their place.

use kolga_protocol::id::TaskId;

/// The shortest run of hexadecimal digits that is taken for a hash: half of a SHA-256.
const HASH: usize = 32;

/// One name for every run: a UUID and a number behind a dot.
pub(super) fn without_runs(name: &str) -> String {
    const UUID: usize = 36;
    let is_uuid = |at: usize| {
        name.get(at..at + UUID)
            .is_some_and(|text| text.contains('-') && text.parse::<TaskId>().is_ok())
    };
    match (0..name.len()).find(|&at| is_uuid(at)) {
        Some(at) => {
            let rest = &name[at + UUID..];
            let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
            format!("{}this-run{}", &name[..at], without_runs(rest))
        }
        None => name.to_owned(),
    }
}

/// One name for every hash that is a whole part of a path, and for the folder that is named by its beginning.
pub(super) fn without_hashes(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        let is_hash = part.len() >= HASH && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash
            && parts
                .last()
                .is_some_and(|last| last.len() == 2 && part.starts_with(last))
        {
            parts.pop();
        }
        parts.push(if is_hash { "by-its-hash" } else { part });
    }
    parts.join("/")
}

/// How many digits at the end of the name of a site's database tell whose it is, and of which run.
const DIGITS: usize = 10;

/// Where in a name such digits begin, and the name of the database before them.
pub(super) fn databases(name: &str) -> Vec<(usize, String)> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut found = Vec::new();
    for (at, _) in name.match_indices('_') {
        let rest = &name[at + 1..];
        let digits = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        if digits != DIGITS || !rest[..digits].bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        // In grants the underscores are escaped.
        let before = name[..at].rfind(|c: char| !is_part(c) && c != '\\');
        let stem = name[before.map_or(0, |end| end + 1)..at].replace('\\', "");
        if stem.starts_with("k_") {
            found.push((at + 1, stem));
        }
    }
    found
}

/// The digits of a name that [`databases`] has found.
pub(super) fn digits(name: &str, at: usize) -> &str {
    &name[at..at + DIGITS]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_found_in_tables_and_in_grants() {
        let found = |name: &str| {
            let all = databases(name).into_iter();
            all.map(|(at, stem)| format!("{stem} {}", digits(name, at)))
                .collect::<Vec<_>>()
        };
        let table = "table k_php_kolga_test_0123456789.things";
        assert_eq!(found(table), ["k_php_kolga_test 0123456789"]);
        let grant =
            r"grant GRANT ALL ON `k\_php\_x\_abcdef0123`.* TO `k_php_x_abcdef0123`@`localhost`";
        assert_eq!(found(grant), ["k_php_x abcdef0123", "k_php_x abcdef0123"]);
        assert_eq!(
            found("table stranger_data.things_0123456789"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn runs_are_one_name_and_so_are_hashes() {
        let run = "file /state/01a214a7-bdaa-74f4-8186-8cd21acafd27.2/x";
        assert_eq!(without_runs(run), "file /state/this-run/x");
        let hash = "0a".repeat(32);
        let pack = format!("file /backups/data/0a/{hash}");
        assert_eq!(without_hashes(&pack), "file /backups/data/by-its-hash");
        let snapshot = format!("file /backups/snapshots/{hash}");
        assert_eq!(
            without_hashes(&snapshot),
            "file /backups/snapshots/by-its-hash"
        );
        for plain in ["file /sites/deadbeef/a", "file /sites/x/index.html"] {
            assert_eq!(without_hashes(plain), plain);
        }
    }
}
