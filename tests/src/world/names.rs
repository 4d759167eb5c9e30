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

#[cfg(test)]
mod tests {
    use super::*;

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
