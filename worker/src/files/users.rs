//! Numbers of this machine's users.

use anyhow::Context as _;

/// The number of a local user, from `/etc/passwd`: a static binary has no name service to ask.
///
/// # Errors
/// When there is none of this name.
pub fn user_id(name: &str) -> anyhow::Result<u32> {
    let text = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    text.lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name)
                .then(|| fields.nth(1)?.parse().ok())
                .flatten()
        })
        .with_context(|| {
            format!(
                "there is no user {name} in /etc/passwd: make it, or name another in the worker's configuration"
            )
        })
}
