//! `composer.json` as composer is told it: without scripts, and with only those settings that say something of the code and
//! nothing of the network, of places elsewhere or of passwords.
//!
//! All else stays as it is written and in its order, since the lock's hash is made of it: so composer itself sees whether
//! the lock is of this very file.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::profile::Place;

/// What installing without running anything has no use for.
const LEFT_OUT: [&str; 3] = ["scripts", "scripts-descriptions", "scripts-aliases"];
/// The settings that are kept.
const KEPT: [&str; 12] = [
    "allow-plugins",
    "apcu-autoloader",
    "autoloader-suffix",
    "bin-compat",
    "bin-dir",
    "classmap-authoritative",
    "optimize-autoloader",
    "platform",
    "platform-check",
    "prepend-autoloader",
    "sort-packages",
    "vendor-dir",
];
const VENDOR: &str = "vendor";

/// It, for composer.
pub(super) struct Manifest {
    pub(super) text: Vec<u8>,
    /// Where packages go.
    pub(super) vendor: Place,
}

/// Reads the code's.
pub(super) fn read(text: &[u8]) -> anyhow::Result<Manifest> {
    let mut vendor = VENDOR.to_owned();
    let mut kept = Vec::new();
    for (name, value) in members(std::str::from_utf8(text)?)? {
        match name.as_str() {
            "config" => kept.push((name, config(value, &mut vendor).context("config")?)),
            name if LEFT_OUT.contains(&name) => {}
            _ => kept.push((name, value.to_owned())),
        }
    }
    Ok(Manifest {
        text: together(&kept)?.into_bytes(),
        vendor: vendor.parse().map_err(anyhow::Error::msg)?,
    })
}

/// The settings that are kept.
fn config(text: &str, vendor: &mut String) -> anyhow::Result<String> {
    let mut kept = Vec::new();
    for (name, value) in members(text)? {
        if !KEPT.contains(&name.as_str()) {
            continue;
        }
        if matches!(name.as_str(), "vendor-dir" | "bin-dir") {
            let place: String = serde_json::from_str(value)?;
            let inside = place.parse::<Place>().map_err(anyhow::Error::msg);
            inside.with_context(|| name.clone())?;
            if name == "vendor-dir" {
                *vendor = place;
            }
        }
        kept.push((name, value.to_owned()));
    }
    together(&kept)
}

/// What an object holds, in the order and by the text in which it is written.
fn members(text: &str) -> anyhow::Result<Vec<(String, &str)>> {
    // Right from its beginning to its end, or it is not taken apart.
    serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text)?;
    let mut found = Vec::new();
    let mut rest = behind(text, '{');
    while rest.starts_with('"') {
        let (name, colon) = first::<String>(rest)?;
        let value = behind(colon, ':');
        let (_, end) = first::<IgnoredAny>(value)?;
        found.push((name, &value[..value.len() - end.len()]));
        rest = behind(end, ',');
    }
    Ok(found)
}

/// The text behind this sign, where it begins with it.
fn behind(text: &str, sign: char) -> &str {
    let text = text.trim_start();
    text.strip_prefix(sign).unwrap_or(text).trim_start()
}

/// The first value of a text, and what stands behind it.
fn first<'a, T: Deserialize<'a>>(text: &'a str) -> anyhow::Result<(T, &'a str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next().context("it ends too early")??;
    Ok((value, &text[values.byte_offset()..]))
}

fn together(members: &[(String, String)]) -> anyhow::Result<String> {
    let member = |(name, value): &(String, String)| {
        anyhow::Ok(format!("{}:{value}", serde_json::to_string(name)?))
    };
    let members: Vec<String> = members.iter().map(member).collect::<anyhow::Result<_>>()?;
    Ok(format!("{{{}}}", members.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_reach_or_lead_elsewhere_is_left_out_and_the_rest_keeps_its_order() {
        let text = r#"{"name": "a/b", "require": {"z/z": "1", "a/a": "^2"},
            "scripts": {"post-install-cmd": "id"},
            "config": {"vendor-dir": "lib/vendor", "disable-tls": true, "secure-http": false, "lock": false,
                       "cafile": "/x", "cache-dir": "/x", "platform": {"php": "8.1"}},
            "extra": {"b": 1, "a": 1.0}}"#;
        let manifest = read(text.as_bytes()).expect("it is right");
        assert_eq!(
            String::from_utf8(manifest.text).expect("text"),
            r#"{"name":"a/b","require":{"z/z": "1", "a/a": "^2"},"config":{"vendor-dir":"lib/vendor","platform":{"php": "8.1"}},"extra":{"b": 1, "a": 1.0}}"#
        );
        assert_eq!(manifest.vendor.as_str(), "lib/vendor");
        for bad in [
            r#"{"config": {"vendor-dir": "../x"}}"#,
            r#"{"config": {"bin-dir": "/usr/local/bin"}}"#,
            r#"{"config": {"vendor-dir": "$HOME/x"}}"#,
            r#"{"config": []}"#,
            "[]",
            "",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
