//! A path on a spoke that the hub may name: where a platform's code lies.

use super::name_type;

name_type!(
    /// An absolute path on a spoke, of at most 1,024 bytes, without `.` and `..`, empty parts or
    /// control characters. Whether it may be read is the spoke's decision (its `platform_sources`).
    SpokePath,
    "path",
    check
);

fn check(text: &str) -> Result<String, String> {
    if text.len() > 1024 {
        return Err("it is longer than 1024 bytes".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a control character".to_owned());
    }
    let Some(below_root) = text.strip_prefix('/') else {
        return Err("it must be absolute, beginning with /".to_owned());
    };
    if below_root
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("it must not hold empty parts, '.' or '..'".to_owned());
    }
    Ok(text.to_owned())
}
