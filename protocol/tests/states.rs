//! The table in `docs/STATES.md` and the function that judges say the same, cell by cell.

use kolga_protocol::state::{Event, Next, State};

/// The rows below the head of the table, as cells.
fn table() -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/STATES.md");
    let text = std::fs::read_to_string(path).expect("the document is there");
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| event ╲ state |"));
    rows.take_while(|line| line.starts_with('|'))
        .filter(|line| !line.starts_with("|---"))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// An event by the name of its variant.
fn event(name: &str) -> Event {
    let all = [
        Event::Sent,
        Event::Accepted,
        Event::Started,
        Event::RollingBack,
        Event::Stuck,
        Event::Resumed,
        Event::Succeeded,
        Event::Failed,
        Event::Cancelled,
        Event::Interrupted,
        Event::Rejected,
    ];
    let found = all.into_iter().find(|event| format!("{event:?}") == name);
    found.unwrap_or_else(|| panic!("no event {name}"))
}

#[test]
fn the_table_of_states_in_the_documentation_is_what_the_function_does() {
    let mut rows = table().into_iter();
    let head = rows.next().expect("the table has a head");
    let mut cells = 0;
    for row in rows {
        let event = event(&row[0]);
        for (column, cell) in head.iter().zip(&row).skip(1) {
            let ended = column.starts_with("ended");
            let states = State::ALL
                .into_iter()
                .filter(|state| state.is_terminal() == ended)
                .filter(|state| ended || column == state.as_str());
            for state in states {
                let wanted = match cell.as_str() {
                    "" => None,
                    "·" => Some(Next::Stale),
                    // Only in the state of the same name.
                    "· ²" => (event.to_string() == state.as_str()).then_some(Next::Stale),
                    to => Some(Next::To(
                        to.trim_start_matches("→ ").parse().expect("a state"),
                    )),
                };
                assert_eq!(state.on(event).ok(), wanted, "{state} --{event}-->");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 11 * State::ALL.len(), "every pair is in the table");
}
