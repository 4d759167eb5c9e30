//! Recipes that are right are read; each that is wrong is refused with its reason.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::recipe::argv;
use crate::testing::Scratch;

const GOOD: &str = r#"name = "mark"
description = "Makes a file"
[params.word]
type = "string"
allow = ["lower", "dash", "dot", "punctuation"]
max = 20
[params.count]
type = "integer"
min = -3
max = 3
default = "1"
[params.file]
type = "path"
below = "/srv/marks"
[[steps]]
name = "make"
do = ["/bin/touch", "{{ params.word }}", "x={{ params.word }}", "--", "{{ params.count }}", "{{ params.file }}"]
undo = ["/bin/rm", "-f", "--", "{{ params.file }}"]
timeout_seconds = 5
"#;

fn placed(scratch: &Scratch, text: &str) -> PathBuf {
    let folder = scratch.path().join("recipes");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("set");
    let file = folder.join("mark.toml");
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    file
}

fn refused(file: &Path) -> String {
    format!("{:#}", read(file).expect_err("refused"))
}

#[test]
fn values_become_single_arguments_and_never_options() {
    let scratch = Scratch::new();
    let recipe = read(&placed(&scratch, GOOD)).expect("right");
    let command = |word: &str, count: &str, file: &str| {
        let given = [("word", word), ("count", count), ("file", file)];
        let given = given.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let values = recipe.values(&given)?;
        argv::render(&recipe.manifest.steps[0].action, &values)
    };
    let word = "$(id);`{{params.x}}`";
    let argv = command(word, "-2", "a/b").expect("allowed");
    let embedded = format!("x={word}");
    assert_eq!(
        argv,
        ["/bin/touch", word, &embedded, "--", "-2", "/srv/marks/a/b"]
    );
    for (word, count, file, reason) in [
        ("-rf", "1", "a", "taken for an option"),
        ("a\nb", "1", "a", "not allowed"),
        ("a b", "1", "a", "not allowed"),
        ("", "1", "a", "empty"),
        ("a", "1x", "a", "no whole number"),
        ("a", "4", "a", "not between"),
        ("a", "1", "../a", "no path"),
        ("a", "1", "/etc/passwd", "no path"),
    ] {
        let error = format!("{:#}", command(word, count, file).expect_err("refused"));
        assert!(error.contains(reason), "{error}");
    }
    let unknown = [("other".to_owned(), "a".to_owned())].into();
    let error = format!("{:#}", recipe.values(&unknown).expect_err("refused"));
    assert!(
        error.contains("no parameter \"other\"") && error.contains("word is missing"),
        "{error}"
    );
}

#[test]
fn a_recipe_that_others_could_have_written_is_refused() {
    let scratch = Scratch::new();
    let file = placed(&scratch, GOOD);
    let folder = file.parent().expect("a folder");
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    mode(&file, 0o666);
    assert!(refused(&file).contains("go-w"), "{}", refused(&file));
    mode(&file, 0o644);
    mode(folder, 0o777);
    assert!(refused(&file).contains("its folder"), "{}", refused(&file));
    mode(folder, 0o755);
    std::fs::rename(&file, folder.join("elsewhere")).expect("moved");
    symlink("elsewhere", &file).expect("linked");
    assert!(
        refused(&file).contains("symbolic link"),
        "{}",
        refused(&file)
    );
}

#[test]
fn a_broken_recipe_names_file_and_line_and_stops_no_other() {
    let scratch = Scratch::new();
    let file = placed(&scratch, GOOD);
    for (from, to, line, reason) in [
        ("\"/bin/touch\"", "\"touch\"", 16, "absolute path"),
        (
            "\"/bin/touch\"",
            "\"/bin/{{ params.word }}\"",
            16,
            "absolute path",
        ),
        (
            "params.file }}\"]\nundo",
            "params.nothing }}\"]\nundo",
            16,
            "no parameter nothing",
        ),
        (
            "undo = [\"/bin/rm\", \"-f\", \"--\", \"{{ params.file }}\"]",
            "",
            16,
            "irreversible",
        ),
        ("\"mark\"", "\"other\"", 1, "but its file"),
        (
            "default = \"1\"",
            "default = \"9\"",
            7,
            "default is refused",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        placed(&scratch, &GOOD.replacen(from, to, 1));
        let error = refused(&file);
        assert!(
            error.contains(&format!("mark.toml:{line}: ")) && error.contains(reason),
            "{error}"
        );
    }
    let other = file.with_file_name("other.toml");
    std::fs::write(&other, GOOD.replace("\"mark\"", "\"other\"")).expect("written");
    let all = Recipes::load(&[file.parent().expect("a folder").to_owned()]);
    assert_eq!(all.good.keys().collect::<Vec<_>>(), ["other"]);
    assert_eq!(all.broken.len(), 1, "{:?}", all.broken);
}
