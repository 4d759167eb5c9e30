//! What nginx complains of, as a sentence that names the site and the line.

use std::path::{Path, PathBuf};

use kolga_protocol::message::printable;
use kolga_protocol::names::HostName;

/// The site for which nginx was asked, and the two files in which its lines may be.
pub(super) struct Ours<'a> {
    pub(super) host: &'a HostName,
    pub(super) live: PathBuf,
    pub(super) staged: PathBuf,
}

/// The first complaint in what nginx wrote: `nginx: [emerg] <reason> in <file>:<line>`.
pub(super) fn read(said: &str, ours: Option<&Ours<'_>>) -> Option<String> {
    let line = said.lines().find(|line| {
        ["[emerg]", "[alert]", "[crit]", "[error]"]
            .iter()
            .any(|level| line.contains(level))
    })?;
    let text = without_process(line.split_once("] ")?.1);
    let Some((reason, file, number)) = place(text) else {
        return Some(format!("nginx says: {}", printable(text)));
    };
    let reason = printable(reason);
    Some(match ours {
        Some(ours) if file == ours.live || file == ours.staged => format!(
            "nginx does not accept the configuration of {}, line {number}: {reason}",
            ours.host
        ),
        _ => format!(
            "nginx does not accept its own configuration, {}:{number}: {reason}; repair that file, then \
             try again",
            printable(&file.display().to_string())
        ),
    })
}

/// Once it has read where to log, nginx puts `<process>#<thread>: ` before what it says.
fn without_process(text: &str) -> &str {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once(": ") {
        Some((who, said))
            if who
                .split_once('#')
                .is_some_and(|(p, t)| digits(p) && digits(t)) =>
        {
            said
        }
        _ => text,
    }
}

/// Splits `<reason> in <file>:<line>`.
fn place(text: &str) -> Option<(&str, &Path, u32)> {
    let (reason, place) = text.rsplit_once(" in ")?;
    let (file, number) = place.rsplit_once(':')?;
    Some((reason, Path::new(file), number.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &str) -> String {
        format!(
            "nginx: [emerg] unknown directive \"rot\" in {file}:7\nnginx: configuration file {file} test failed\n"
        )
    }

    #[test]
    fn a_line_of_the_site_itself_is_named_with_the_site() {
        let host = "www.example.org".parse().expect("a host");
        let ours = Ours {
            host: &host,
            live: "/etc/kolga/www.example.org.conf".into(),
            staged: "/etc/kolga/staged.conf.site".into(),
        };
        for file in [
            "/etc/kolga/www.example.org.conf",
            "/etc/kolga/staged.conf.site",
        ] {
            assert_eq!(
                read(&said(file), Some(&ours)).as_deref(),
                Some(
                    "nginx does not accept the configuration of www.example.org, line 7: unknown directive \"rot\""
                )
            );
        }
        let other = read(&said("/etc/nginx/nginx.conf"), Some(&ours)).expect("a complaint");
        assert!(
            other.contains("/etc/nginx/nginx.conf:7") && other.contains("repair"),
            "{other}"
        );
    }

    #[test]
    fn what_names_no_line_is_passed_on_and_warnings_are_not() {
        let text =
            "nginx: [warn] a\nnginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\n";
        assert_eq!(
            read(text, None).as_deref(),
            Some("nginx says: bind() to 0.0.0.0:80 failed (13: Permission denied)")
        );
        assert_eq!(read("nginx: [warn] a\n", None), None);
        let text = "2026/11/24 03:00:00 [emerg] 58#58: duplicate upstream \"a\" in /x.conf:1\n";
        let said = read(text, None).expect("a complaint");
        assert!(said.contains("/x.conf:1: duplicate upstream"), "{said}");
    }
}
