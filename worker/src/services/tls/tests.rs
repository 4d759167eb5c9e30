//! Certificates that are right and wrong in every way, made by openssl.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::steps::testing::site_context;
use crate::testing::{Scratch, certificate};

fn names(list: &[&str]) -> BTreeSet<SiteAlias> {
    let names = list.iter().map(|name| name.parse().expect("a name"));
    names.collect()
}

fn of(list: &[&str]) -> Certificate {
    Certificate {
        path: "/c.pem".into(),
        names: names(list),
        from: UnixMillis(10 * DAY),
        until: UnixMillis(100 * DAY),
    }
}

fn scene(scratch: &Scratch) -> (Cx, Tls, HostName) {
    let cx = site_context(scratch);
    let tls = Tls::new(&config::Tls {
        certificates: scratch.path().join("tls"),
        port: 443,
        listen: Vec::new(),
        check_address: "127.0.0.1:443".parse().expect("an address"),
        warn_days: 14,
        challenges: None,
    });
    std::fs::create_dir(scratch.path().join("tls")).expect("a folder");
    (cx, tls, "www.example.org".parse().expect("a host"))
}

#[test]
fn days_are_read_and_told_as_they_were_written() {
    for (text, seconds, day) in [
        ("1970-01-01 00:00:00Z", 0, "1970-01-01"),
        ("2000-02-29 23:59:59Z", 951_868_799, "2000-02-29"),
        ("2024-12-31 12:34:56Z", 1_735_648_496, "2024-12-31"),
        ("2027-03-01 00:00:01Z", 1_803_859_201, "2027-03-01"),
        ("9999-12-31 23:59:59Z", 253_402_300_799, "9999-12-31"),
    ] {
        let read = instant(text).expect("an instant");
        assert_eq!(read.0, seconds * 1000, "{text}");
        assert_eq!(date(read), day);
    }
    assert_eq!(instant("Nov 26 04:42:23 2027 GMT"), None);
}

#[test]
fn a_wildcard_of_a_certificate_stands_for_one_label() {
    let wild = of(&["example.org", "*.example.org"]);
    for good in ["example.org", "www.example.org", "*.example.org"] {
        assert!(wild.covers(&good.parse().expect("a name")), "{good}");
    }
    for bad in [
        "a.b.example.org",
        "*.b.example.org",
        "example.net",
        "anexample.org",
    ] {
        assert!(!wild.covers(&bad.parse().expect("a name")), "{bad}");
    }
}

#[test]
fn what_is_wrong_is_told_with_the_names_and_the_day() {
    let of = of(&["a.org"]);
    let told =
        |names: &[&str], day, warn| of.problems(&self::names(names), UnixMillis(day * DAY), warn);
    assert_eq!(told(&["a.org"], 50, 14), [] as [&str; 0]);
    assert!(
        told(&["a.org", "b.org", "c.org"], 50, 14)[0].ends_with("is not good for b.org, c.org")
    );
    assert!(told(&["a.org"], 5, 14)[0].contains("from 1970-01-11 on"));
    assert!(told(&["a.org"], 90, 14)[0].contains("until 1970-04-11 only, 10 more days"));
    assert!(told(&["a.org"], 101, 14)[0].contains("was good until 1970-04-11"));
    assert_eq!(told(&["b.org"], 101, 14).len(), 2, "all of it is told");
}

#[tokio::test]
async fn a_certificate_is_read_and_its_key_has_to_belong_to_it() {
    let scratch = Scratch::new();
    let (cx, tls, host) = scene(&scratch);
    let refused = async |what: &str| {
        let wanted = names(&["www.example.org"]);
        let refused = tls.need(&cx, &host, &wanted).await.map(drop);
        let told = format!("{:#}", refused.expect_err(what));
        assert!(told.contains(what), "{told}");
    };
    refused("fullchain.pem is not there").await;
    let folder = scratch.path().join("tls");
    certificate(
        &folder,
        "www.example.org",
        &["www.example.org", "*.a.org"],
        30,
    );
    let found = tls
        .need(&cx, &host, &names(&["www.example.org", "x.a.org"]))
        .await;
    let found = found.expect("it is good");
    assert_eq!(found.names, names(&["www.example.org", "*.a.org"]));
    assert_eq!((found.until.0 - found.from.0) / DAY, 30);

    let (path, key) = tls.paths(&host);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("opened");
    refused("chmod o-rwx").await;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o660)).expect("opened");
    refused("chmod go-w").await;
    certificate(&folder, "other.example.org", &["www.example.org"], 30);
    std::fs::rename(folder.join("other.example.org/privkey.pem"), &key).expect("another key");
    refused("is not the key of").await;
    certificate(&folder, "www.example.org", &["other.example.org"], 30);
    refused("is not good for www.example.org").await;
    certificate(&folder, "www.example.org", &["www.example.org"], -1);
    refused("was good until").await;
    std::fs::write(&path, "no certificate").expect("written");
    refused("cannot be read").await;
}
