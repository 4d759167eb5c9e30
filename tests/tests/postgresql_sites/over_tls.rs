//! A way to the PostgreSQL that sites are in, with somebody in between who hears what goes by in the clear.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wiretap::{Speech, Wiretap};
use kolga_tests::worker::command;

/// What goes by on the way when a site is made and filled: accounts, statements and rows.
pub const SAID: [&str; 6] = [
    "kolga-remote",
    "make_role",
    "k_far_kolga_test",
    "SCRAM-SHA-256",
    "line\\none",
    "SELECT",
];

pub fn tapped(stack: &Stack) -> Wiretap {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Wiretap::new(
        local,
        stack.remote_address("postgresql"),
        Speech::Postgresql,
    )
}

/// A stack whose spoke comes to its PostgreSQL by this way.
pub fn reached(stack: &Stack, tap: &Wiretap, authority: Option<&Path>) -> Stack {
    let stack = stack.with_remote_database(SERVER);
    stack.with_way_to(SERVER, "postgresql", tap.address(), authority)
}

/// What `kolga-worker check` says of the server.
pub fn checked(stack: &Stack) -> String {
    let said = command(stack, SERVER, &["check"]);
    let said = String::from_utf8([said.stdout, said.stderr].concat()).expect("text");
    let lines = said.lines().filter(|line| line.contains("PostgreSQL"));
    lines.collect::<Vec<_>>().join("\n")
}
