//! Recipes that are right are read, and what they are told reaches one argument each; each that is wrong is refused
//! with its reason, and so is each value.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use kolga_protocol::task::Params;
use serde_json::{Value, json};

use super::*;
use crate::steps::testing::site_context;
use crate::testing::Scratch;

const GOOD: &str = r#"name = "mark"
description = "Makes a file"
[params.word]
type = "string"
pattern = '[a-z-]+|\$\(id\);`\{\{params\.x\}\}`|a|b\)'
max_length = 20
[params.colour]
type = "string"
choices = ["red", "--help"]
default = "red"
[params.count]
type = "integer"
min = -3
max = 3
default = 1
[params.loud]
type = "bool"
default = false
[params.peer]
type = "host"
default = "a.example.org"
[[steps]]
name = "make"
do = ["/bin/touch", "{{ params.word }}", "x={{ params.word }}/{{run}}", "--", "{{ params.count }}", "{{ params.colour }}"]
undo = ["/bin/rm", "-f", "--", "x"]
"#;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

fn placed(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let folder = scratch.path().join("recipes");
    std::fs::create_dir_all(&folder).expect("made");
    mode(&folder, 0o755);
    let file = folder.join(name);
    std::fs::write(&file, text).expect("written");
    mode(&file, 0o644);
    file
}

fn read_one(file: &Path) -> anyhow::Result<Recipe> {
    read(file, &["www-data".to_owned()])
}

fn refused(file: &Path) -> String {
    format!("{:#}", read_one(file).expect_err("refused"))
}

fn told(params: Value) -> anyhow::Result<kolga_protocol::task::recipe_run::Params> {
    let given = json!({"recipe": "mark", "params": params});
    match Params::from_json("recipe.run", given)? {
        Params::RecipeRun(run) => Ok(run),
        _ => unreachable!(),
    }
}

#[test]
fn values_become_single_arguments_and_never_options() {
    let scratch = Scratch::new();
    let cx = site_context(&scratch);
    let recipe = read_one(&placed(&scratch, "mark.toml", GOOD)).expect("right");
    let command = |given: Value| {
        let values = recipe.values(&told(given)?, &cx)?;
        argv::render(&recipe.manifest.steps[0].action, &values)
    };
    let word = "$(id);`{{params.x}}`";
    let argv = command(json!({"word": word, "count": "-2", "colour": "--help"}));
    let embedded = format!("x={word}/{}", cx.run);
    assert_eq!(
        argv.expect("allowed"),
        ["/bin/touch", word, &embedded, "--", "-2", "--help"]
    );
    let long = "a".repeat(21);
    let huge = "a".repeat(1024 * 1024);
    for (given, reason) in [
        (json!({"word": "-rf"}), "taken for an option"),
        (json!({"word": "--help"}), "taken for an option"),
        (json!({"word": "a;b"}), "does not match"),
        (json!({"word": "$(id)"}), "does not match"),
        // Neither of the alternatives may be all that is matched.
        (json!({"word": "aX"}), "does not match"),
        (json!({"word": "Xb)"}), "does not match"),
        (json!({"word": "a\nb"}), "control character"),
        (json!({"word": "a\u{0}"}), "control character"),
        (json!({"word": "abc\n"}), "control character"),
        (json!({"word": ""}), "0 bytes long"),
        (json!({"word": long}), "21 bytes long"),
        (json!({"word": huge}), "longer than 1024"),
        (
            json!({"word": "a", "colour": "green"}),
            "none of red, --help",
        ),
        (json!({"word": "a", "count": "1x"}), "no whole number"),
        (json!({"word": "a", "count": "4"}), "not -3 to 3"),
        (
            json!({"word": "a", "count": "99999999999999999999"}),
            "no whole number",
        ),
        (
            json!({"word": "a", "loud": "yes"}),
            "neither true nor false",
        ),
        (json!({"word": "a", "peer": "../x"}), "not a host name"),
        (json!({"word": "a", "../x": "1"}), "not a parameter name"),
        (
            json!({"word": "a", "site": "a.example.org"}),
            "named beside them",
        ),
        (json!({"word": 1}), "expected a string"),
    ] {
        let error = format!("{:#}", command(given.clone()).expect_err("refused"));
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(error.len() < 2000, "{} bytes", error.len());
    }
    let error = format!("{:#}", command(json!({"other": "a"})).expect_err("refused"));
    for part in [
        "no parameter other",
        "word is missing",
        "count (integer: -3 to 3, \"1\" unless given)",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_recipe_that_others_could_have_written_is_refused() {
    let scratch = Scratch::new();
    let file = placed(&scratch, "mark.toml", GOOD);
    let folder = file.parent().expect("a folder").to_owned();
    for others in [0o666, 0o664, 0o646] {
        mode(&file, others);
        assert!(refused(&file).contains("go-w"), "{}", refused(&file));
    }
    mode(&file, 0o644);
    mode(&folder, 0o777);
    assert!(refused(&file).contains("its folder"), "{}", refused(&file));
    mode(&folder, 0o755);
    mode(scratch.path(), 0o777);
    assert!(
        refused(&file).contains("the folder /"),
        "{}",
        refused(&file)
    );
    mode(scratch.path(), 0o755);
    read_one(&file).expect("nobody else can write it");
    if rustix::process::geteuid().is_root() {
        chown(&file, Some(65534), None).expect("given away");
        assert!(refused(&file).contains("go-w"), "{}", refused(&file));
        chown(&file, Some(0), None).expect("taken back");
    }
    std::fs::rename(&file, folder.join("elsewhere")).expect("moved");
    symlink("elsewhere", &file).expect("linked");
    assert!(
        refused(&file).contains("symbolic link"),
        "{}",
        refused(&file)
    );
    let other = scratch.path().join("other");
    symlink(&folder, &other).expect("linked");
    let error = refused(&other.join("elsewhere"));
    assert!(error.contains("symbolic link"), "{error}");
    std::fs::remove_file(&file).expect("gone");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &file,
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .expect("a pipe");
    assert!(refused(&file).contains("no ordinary file"));
    let file = placed(&scratch, "long.toml", &"#".repeat(64 * 1024 + 1));
    assert!(refused(&file).contains("longer than 64 KiB"));
}

#[test]
fn a_program_that_others_could_have_written_is_refused() {
    let scratch = Scratch::new();
    let program = placed(&scratch, "program", "#!/bin/sh\n");
    let text = GOOD.replace("/bin/touch", program.to_str().expect("text"));
    let recipe = read_one(&placed(&scratch, "mark.toml", &text)).expect("right");
    let missing = || recipe.missing().join("; ");
    assert!(missing().contains("is no program"), "{}", missing());
    mode(&program, 0o755);
    assert_eq!(missing(), "");
    mode(&program, 0o775);
    assert!(missing().contains("written by others"), "{}", missing());
    mode(&program, 0o755);
    mode(program.parent().expect("a folder"), 0o777);
    assert!(missing().contains("written by others"), "{}", missing());
    std::fs::remove_file(&program).expect("gone");
    assert!(missing().contains("is not there"), "{}", missing());
}

#[test]
fn a_broken_recipe_names_file_and_line_and_stops_no_other() {
    let scratch = Scratch::new();
    let file = placed(&scratch, "mark.toml", GOOD);
    let undo = "undo = [\"/bin/rm\", \"-f\", \"--\", \"x\"]";
    let both = format!("{undo}\nfinal = true");
    let more = |text: &str| format!("{undo}\n{text}");
    for (from, to, line, reason) in [
        ("\"/bin/touch\"", "\"touch\"", 24, "absolute path"),
        (
            "\"/bin/touch\"",
            "\"/bin/{{ params.word }}\"",
            24,
            "absolute path",
        ),
        (
            "{{run}}",
            "{{ params.nothing }}",
            24,
            "no parameter nothing",
        ),
        (
            "{{run}}",
            "{{ site.folder }}",
            24,
            "site.folder is for recipes",
        ),
        (
            "{{run}}",
            "{{ params.word | upper }}",
            25,
            "all that can stand there",
        ),
        ("{{run}}", "{{ env.HOME }}", 25, "all that can stand there"),
        ("{{run}}", "{{ run", 25, "without }}"),
        (undo, "", 24, "one of undo"),
        (undo, &both, 24, "one of undo"),
        (undo, &more("run_as = \"root\""), 24, "run as root"),
        (
            undo,
            &more("confined_to_site = true"),
            24,
            "confined_to_site",
        ),
        (undo, &more("timeout_seconds = 0"), 24, "timeout_seconds"),
        (undo, &more("shell = true"), 27, "unknown field"),
        ("\"mark\"", "\"other\"", 1, "but its file"),
        ("\"mark\"", "\"../mark\"", 1, "not a recipe name"),
        ("default = 1\n", "default = 9\n", 11, "default is refused"),
        ("max = 3\n", "maximum = 3\n", 11, "unknown field `maximum`"),
        (
            "max = 3\n",
            "max = 3\npattern = \"x\"\n",
            11,
            "for type = \"string\"",
        ),
        ("max_length = 20", "max_length = 2000", 3, "not above 1024"),
        ("'[a-z-]+|", "'(|[a-z-]+|", 3, "cannot be read"),
        ("'[a-z-]+|", "'a)|(b|", 3, "cannot be read"),
        (
            "type = \"host\"",
            "type = \"secret\"",
            20,
            "unknown variant",
        ),
        (
            "[params.peer]\ntype = \"host\"\ndefault = \"a.example.org\"",
            "[params.peer]\ntype = \"site\"",
            19,
            "is called site",
        ),
        (
            "[[steps]]",
            "[needs]\npaths = [\"etc\"]\n[[steps]]",
            22,
            "begins with /",
        ),
        (
            "[[steps]]",
            "[needs]\nunits = [\"../x.service\"]\n[[steps]]",
            22,
            "no unit's name",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        placed(&scratch, "mark.toml", &GOOD.replacen(from, to, 1));
        let error = refused(&file);
        assert!(error.contains(reason), "{reason}: {error}");
        let at = error
            .split_once("mark.toml:")
            .and_then(|(_, rest)| rest.split(':').next());
        let at: i64 = at.expect("a line").parse().expect("a number");
        assert!((at - line).abs() <= 3, "line {at}, not {line}: {error}");
    }
    placed(
        &scratch,
        "other.toml",
        &GOOD.replace("\"mark\"", "\"other\""),
    );
    placed(&scratch, "third.toml~", "nonsense");
    let directories = vec![
        file.parent().expect("a folder").to_owned(),
        PathBuf::from("/nonexistent"),
    ];
    let users = Vec::new();
    let all = Recipes::load(&crate::config::Recipes { directories, users });
    let names: Vec<&str> = all.good.keys().map(AsRef::as_ref).collect();
    assert_eq!(names, ["other"]);
    assert_eq!(all.broken.len(), 2, "{:?}", all.broken);
    let error = all.get(&"mark".parse().expect("a name"));
    let error = error.expect_err("broken").to_string();
    assert!(error.contains("offers other; 2 are broken"), "{error}");
}

#[test]
fn what_a_recipe_needs_is_looked_at_before_anything_is_done() {
    let scratch = Scratch::new();
    let cx = site_context(&scratch);
    let there = scratch.path().join("there");
    let needs = format!(
        "[needs]\nprograms = [\"/bin/nothing\"]\npaths = [\"{there}\"]\nabsent = [\"{there}-not/{{{{ params.word }}}}\"]\n\
         units = [\"kolga-no-such.service\"]\n[[steps]]",
        there = there.display()
    );
    let text = GOOD.replacen("[[steps]]", &needs, 1);
    let recipe = read_one(&placed(&scratch, "mark.toml", &text)).expect("right");
    let values = recipe.values(&told(json!({"word": "a"})).expect("told"), &cx);
    let values = values.expect("allowed");
    let error = format!("{:#}", recipe.ready(&values, &cx).expect_err("missing"));
    for part in [
        "/bin/nothing is not there",
        "there is not there",
        "kolga-no-such.service is not installed",
        "nothing was done",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    std::fs::create_dir_all(scratch.path().join("there-not/a")).expect("made");
    let error = format!("{:#}", recipe.ready(&values, &cx).expect_err("in the way"));
    assert!(error.contains("there-not/a is there already"), "{error}");
    // What runs as another user could not be ended without cgroups.
    let other = GOOD.replace("undo =", "run_as = \"www-data\"\nundo =");
    let recipe = read_one(&placed(&scratch, "mark.toml", &other)).expect("right");
    let error = format!("{:#}", recipe.ready(&values, &cx).expect_err("no cgroups"));
    assert!(error.contains("needs cgroups"), "{error}");
}

#[test]
fn recipes_are_alone_unless_they_say_otherwise() {
    let scratch = Scratch::new();
    placed(&scratch, "mark.toml", GOOD);
    let text = GOOD.replace("\"mark\"", "\"twin\"");
    let parallel = text.replacen("[params", "parallel = true\n[params", 1);
    placed(&scratch, "twin.toml", &parallel);
    let directories = vec![scratch.path().join("recipes")];
    let users = Vec::new();
    let recipes = Recipes::load(&crate::config::Recipes { directories, users });
    assert_eq!(recipes.broken, Vec::<String>::new());
    let claims_of = |name: &str, site: Option<&str>| {
        let params = json!({"recipe": name, "site": site});
        let params = Params::from_json("recipe.run", params).expect("right");
        let claims = claims(&params, &recipes).into_iter();
        let told = claims.map(|claim| format!("{} {:?}", claim.object, claim.access));
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        claims_of("mark", None),
        ["recipe:mark Exclusive", "recipes Exclusive"]
    );
    assert_eq!(
        claims_of("twin", Some("a.example.org")),
        [
            "site:a.example.org Exclusive",
            "recipe:twin Shared",
            "recipes Shared"
        ]
    );
    assert_eq!(claims_of("unknown", None)[1], "recipes Exclusive");
}

#[test]
fn the_shipped_recipes_and_the_one_in_the_documentation_are_right() {
    let scratch = Scratch::new();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    for entry in std::fs::read_dir(top.join("deploy/recipes")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let text = std::fs::read_to_string(&path).expect("text");
        let recipe = read_one(&placed(&scratch, name.expect("a name"), &text));
        let recipe = recipe.unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(recipe.missing(), Vec::<String>::new(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 3, "{count} recipes");
    let adding = std::fs::read_to_string(top.join("docs/ADDING.md")).expect("text");
    let (_, from) = adding
        .split_once("`restart-cache.toml`:\n\n```toml\n")
        .expect("is there");
    let (text, _) = from.split_once("```").expect("ends");
    let text = text.replace("run_as = \"root\"", "run_as = \"www-data\"");
    read_one(&placed(&scratch, "restart-cache.toml", &text)).expect("right");
}
