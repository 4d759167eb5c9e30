//! Names: whatever is let in is safe where it ends up, whatever is not is refused with a sentence.

use kolga_protocol::id::{Attempt, Run, TaskId};
use kolga_protocol::names::{
    BackupName, CommandName, DatabaseName, FolderName, GitCommit, GitUrl, HostName, OptionName,
    OptionValue, Origin, ParamName, ParamValue, PlatformName, PlatformSource, ProfileName,
    RecipeName, ServerName, SiteAlias, SpokePath,
};
use proptest::prelude::*;

/// What has hurt other panels, in every field.
const HOSTILE: &[&str] = &[
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a;b",
    "a b",
    "a\nb",
    "a\rb",
    "a\0b",
    "-rf",
    "--help",
    "a'b",
    "a\"b",
    "a`b",
    "a$b",
    "a{b",
    "a}b",
    "a#b",
    "a\\b",
    "a%b",
    "a%2e%2e",
    "a\u{2028}b",
    "a\u{202e}b",
    "а.example.org\u{200b}x y",
    "*",
    "*.*",
    "example.org.",
    ".example.org",
    "exa mple.org",
    "example.org/..",
    "example.org;",
    "[::1]",
    "xn--",
    "_x.example.org",
];

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
        && !text.starts_with(['-', '.', '_'])
        && !text.contains("..")
}

#[test]
fn hostile_names_are_refused_everywhere() {
    for text in HOSTILE {
        assert!(text.parse::<ServerName>().is_err(), "server {text:?}");
        assert!(text.parse::<HostName>().is_err(), "host {text:?}");
        assert!(text.parse::<SiteAlias>().is_err(), "alias {text:?}");
        assert!(text.parse::<PlatformName>().is_err(), "platform {text:?}");
        assert!(text.parse::<ProfileName>().is_err(), "profile {text:?}");
        assert!(text.parse::<DatabaseName>().is_err(), "database {text:?}");
        assert!(text.parse::<OptionName>().is_err(), "option {text:?}");
        assert!(text.parse::<CommandName>().is_err(), "command {text:?}");
        assert!(text.parse::<RecipeName>().is_err(), "recipe {text:?}");
        assert!(text.parse::<ParamName>().is_err(), "parameter {text:?}");
        assert!(text.parse::<BackupName>().is_err(), "backup {text:?}");
        assert!(text.parse::<FolderName>().is_err(), "folder {text:?}");
    }
    for address in ["127.0.0.1", "1.2.3", "example", "a.123"] {
        assert!(address.parse::<HostName>().is_err(), "host {address:?}");
    }
    let long = "a".repeat(300);
    assert!(long.parse::<ServerName>().is_err());
    assert!(format!("{long}.org").parse::<HostName>().is_err());
    assert!(
        format!("{}.org", "ab.".repeat(100))
            .parse::<HostName>()
            .is_err()
    );
}

#[test]
fn the_sentence_about_a_hostile_name_is_itself_harmless() {
    let error = "\u{1b}[31m\u{202e}x"
        .parse::<ServerName>()
        .expect_err("refused")
        .to_string();
    assert!(
        error.chars().all(|c| !c.is_control() && c != '\u{202e}'),
        "{error:?}"
    );
    let error = "x"
        .repeat(10_000)
        .parse::<HostName>()
        .expect_err("refused")
        .to_string();
    assert!(error.len() < 400, "{} bytes", error.len());
}

#[test]
fn paths_and_values_refuse_what_would_leave_their_place() {
    for text in [
        "", "relative", "/a/../b", "/a/./b", "/a//b", "/a\nb", "/a\0",
    ] {
        assert!(text.parse::<SpokePath>().is_err(), "{text:?}");
    }
    assert!("/srv/Änderung 1".parse::<SpokePath>().is_ok());
    for text in ["a\nb", "a\0b", "\u{1b}[0m"] {
        assert!(text.parse::<OptionValue>().is_err(), "{text:?}");
        assert!(text.parse::<ParamValue>().is_err(), "{text:?}");
    }
    assert!(
        "'; DROP TABLE x; --".parse::<OptionValue>().is_ok(),
        "free text is free"
    );
}

#[test]
fn a_repository_is_reached_in_three_ways_and_no_address_is_an_option_or_a_command() {
    for good in [
        "https://git.example.org/shop.git",
        "https://git.example.org:8443/~anna/shop",
        "ssh://git@git.example.org/srv/shop.git",
        "ssh://git.example.org:2222/shop.git",
        "file:///srv/git/shop.git",
    ] {
        assert!(good.parse::<GitUrl>().is_ok(), "{good}");
    }
    for hostile in HOSTILE.iter().copied().chain([
        "http://git.example.org/shop.git",
        "git://git.example.org/shop.git",
        "ext::sh -c 'touch /tmp/x'",
        "git.example.org:shop.git",
        "/srv/git/shop.git",
        "https://anna:secret@git.example.org/shop.git",
        "https://anna@git.example.org/shop.git",
        "ssh://anna:secret@git.example.org/shop.git",
        "ssh://-oProxyCommand=x/shop.git",
        "ssh://git@-oProxyCommand=x/shop.git",
        "ssh://-x@git.example.org/shop.git",
        "https://git.example.org",
        "https://git.example.org/",
        "https:///shop.git",
        "https://git.example.org/../shop.git",
        "https://git.example.org/a//b",
        "https://git.example.org/-shop",
        "https://git.example.org/shop.git#x",
        "https://git.example.org/shop.git?x",
        "https://git.example.org/sh op",
        "https://git.example.org/%2e%2e/x",
        "file://git.example.org/shop",
        "file:///srv/../etc",
        "FILE:///srv/git",
    ]) {
        assert!(hostile.parse::<GitUrl>().is_err(), "{hostile:?}");
    }
}

#[test]
fn only_all_the_digits_of_a_commit_name_it() {
    for good in ["0123456789".repeat(4), "a".repeat(64)] {
        assert!(good.parse::<GitCommit>().is_ok(), "{good}");
    }
    for wrong in [
        "main",
        "v1.0",
        "HEAD",
        "abc1234",
        &"A".repeat(40),
        &"a".repeat(41),
        &"g".repeat(40),
    ] {
        let error = wrong.parse::<GitCommit>().expect_err("refused").to_string();
        assert!(error.contains("another commit tomorrow"), "{error}");
    }
}

#[test]
fn a_source_is_a_path_or_a_commit() {
    let commit = "a".repeat(40);
    let text = format!("git+https://git.example.org/shop.git#{commit}");
    let source: PlatformSource = text.parse().expect("a commit");
    let Origin::Git(url, named) = source.origin() else {
        panic!("a commit");
    };
    assert_eq!(PlatformSource::git(&url, &named), source);
    assert_eq!(named.as_str(), commit);
    let path: PlatformSource = "/srv/a#b".parse().expect("a path");
    assert!(matches!(path.origin(), Origin::Path(_)));
    for wrong in [
        "git+https://git.example.org/shop.git",
        "git+/srv/x#main",
        "relative",
    ] {
        assert!(wrong.parse::<PlatformSource>().is_err(), "{wrong}");
    }
}

#[test]
fn names_of_other_scripts_become_ascii() {
    let host: HostName = "Bücher.Example.org".parse().expect("a good name");
    assert_eq!(host.as_str(), "xn--bcher-kva.example.org");
}

proptest! {
    #[test]
    fn whatever_is_let_in_is_plain(text in "\\PC{0,40}") {
        if let Ok(name) = text.parse::<ServerName>() { prop_assert!(is_plain(name.as_str())); }
        if let Ok(name) = text.parse::<HostName>() { prop_assert!(is_plain(name.as_str())); }
        if let Ok(name) = text.parse::<PlatformName>() { prop_assert!(is_plain(name.as_str())); }
        if let Ok(name) = text.parse::<ProfileName>() { prop_assert!(is_plain(name.as_str())); }
        if let Ok(name) = text.parse::<DatabaseName>() { prop_assert!(is_plain(name.as_str())); }
        if let Ok(name) = text.parse::<SiteAlias>() {
            let text = name.as_str();
            prop_assert!(is_plain(text.strip_prefix("*.").unwrap_or(text)));
        }
    }

    #[test]
    fn a_host_reads_back_as_itself(text in "[a-z0-9]{1,10}(\\.[a-z0-9-]{1,10}){1,4}") {
        if let Ok(host) = text.parse::<HostName>() {
            prop_assert_eq!(host.as_str().parse::<HostName>().expect("it was let in"), host);
        }
    }

    #[test]
    fn a_sites_database_has_a_good_name_of_its_own(
        a in "[a-z]{1,20}(\\.[a-z]{1,20}){1,4}",
        b in "[a-z]{1,20}(\\.[a-z]{1,20}){1,4}",
    ) {
        if let (Ok(a), Ok(b)) = (a.parse::<HostName>(), b.parse::<HostName>()) {
            let (for_a, for_b) = (DatabaseName::for_site(&a), DatabaseName::for_site(&b));
            prop_assert_eq!(for_a.as_str().parse::<DatabaseName>().expect("good"), for_a.clone());
            prop_assert_eq!(a == b, for_a == for_b);
            let run = Run::new(TaskId::generate(), Attempt::FIRST);
            let again = Run::new(run.task, Attempt::FIRST.next());
            let beside = DatabaseName::beside(&a, run);
            prop_assert_eq!(beside.as_str().parse::<DatabaseName>().expect("good"), beside.clone());
            prop_assert_ne!(&beside, &for_a);
            prop_assert_ne!(beside, DatabaseName::beside(&a, again));
        }
    }
}
