//! The name of a backup: that of a snapshot of restic, or the beginning of it.

use super::name_type;

name_type!(
    /// A backup: 8 to 64 of `0-9 a-f`, as `backup.list` tells it. So few stand for one only while no other begins
    /// alike; a spoke refuses what does not.
    BackupName,
    "backup",
    check
);

fn check(text: &str) -> Result<String, String> {
    let digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digits && (8..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("use the id that `kolga backup list` shows: 8 to 64 of 0-9 and a-f".to_owned())
    }
}
