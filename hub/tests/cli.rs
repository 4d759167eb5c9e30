//! The binary `kolga` as an operator meets it: exit codes, where output goes, what errors say.

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs `kolga` with nothing of this process's environment that it would heed.
fn kolga(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kolga"))
        .env_remove("KOLGA_HUB")
        .env_remove("KOLGA_TOKEN_FILE")
        .args(arguments)
        .output()
        .expect("the binary under test starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An address where nobody listens: a port that was free a moment ago.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    format!("http://{address}")
}

#[test]
fn a_hub_that_is_not_there_is_exit_code_3_and_the_message_says_what_to_do() {
    let hub = nobody();
    for command in [
        &["server", "list"][..],
        &["task", "show", "0123abcd"],
        &["doctor"],
        &["bench"],
    ] {
        let output = kolga(&[&["--hub", &hub], command].concat());
        assert_eq!(output.status.code(), Some(3), "{command:?}");
        assert!(stdout(&output).is_empty());
        let told = stderr(&output);
        assert!(
            told.contains(&hub) && told.contains("kolga serve"),
            "{told}"
        );
    }
}

#[test]
fn with_json_an_error_is_json_on_stdout_too() {
    let output = kolga(&["--hub", &nobody(), "--json", "site", "list"]);
    assert_eq!(output.status.code(), Some(3));
    let error: serde_json::Value =
        serde_json::from_str(&stdout(&output)).expect("one JSON document");
    assert_eq!(error["error"]["code"], "hub_unreachable");
}

#[test]
fn what_answers_without_being_a_hub_is_no_hub() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let hub = format!("http://{}", listener.local_addr().expect("it is bound"));
    let other = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut caller, _) = listener.accept().expect("kolga calls");
        let mut request = [0; 1024];
        assert!(caller.read(&mut request).expect("a request") > 0);
        caller
            .write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nnope\n",
            )
            .expect("kolga reads the answer");
    });
    let output = kolga(&["--hub", &hub, "doctor"]);
    other.join().expect("one request was answered");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("does not speak as a hub"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_hostile_name_is_exit_code_2_before_anybody_is_asked() {
    let long = "a".repeat(300);
    for name in [
        "../x", "a;b", "a\nb", "", "-web", "wéb", "Web1", "a b", &long,
    ] {
        let output = kolga(&["server", "show", "--", name]);
        assert_eq!(output.status.code(), Some(2), "{name:?}");
    }
    for host in [
        "../x",
        "localhost",
        "10.0.0.1",
        "a;b.example",
        "*.example.org",
        "a\u{202e}.b",
    ] {
        let output = kolga(&["site", "show", host]);
        assert_eq!(output.status.code(), Some(2), "{host:?}");
        assert!(
            stderr(&output).contains("is not a host name"),
            "{}",
            stderr(&output)
        );
    }
    for task in ["../../etc", "xyz", "", "0123/cancel"] {
        let output = kolga(&["task", "show", task]);
        assert_eq!(output.status.code(), Some(2), "{task:?}");
    }
}

#[test]
fn a_wrong_name_is_told_with_the_rule_that_it_breaks() {
    let output = kolga(&["server", "add", "Web_1"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains("is not a server name: use 1 to 40 of a-z"),
        "{told}"
    );
}

#[test]
fn a_hub_by_https_is_exit_code_2_with_a_way_that_works() {
    let output = kolga(&["--hub", "https://hub.example.org", "server", "list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("ssh -L"));
}

#[test]
fn the_manual_and_the_completions_know_every_noun() {
    for arguments in [
        &["man"][..],
        &["completions", "bash"],
        &["completions", "zsh"],
    ] {
        let output = kolga(arguments);
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output);
        for noun in ["server", "platform", "site", "task", "doctor", "bench"] {
            assert!(text.contains(noun), "{arguments:?} without {noun}");
        }
    }
}

#[test]
fn help_teaches_by_examples_and_has_no_escapes_in_a_pipe() {
    let output = kolga(&["site", "install", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    assert!(help.contains("Examples:") && help.contains("kolga site install"));
    assert!(!help.contains('\x1b'));
}
