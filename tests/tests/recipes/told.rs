//! What comes from the hub.

use kolga_tests::scenario::SERVER;
use serde_json::json;

use super::scene::*;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_a_recipe_is_told_stays_one_argument_or_is_refused_at_the_border() {
    let say = "[params.word]\ntype = \"string\"\npattern = '.*'\nmin_length = 0\n[params.count]\ntype = \"integer\"\n\
               min = 1\nmax = 3\ndefault = 1\n[[steps]]\nname = \"say\"\n\
               do = [\"/usr/bin/printf\", \"<%s><%s>\\\\n\", \"x{{ params.word }}\", \"{{ params.count }}\"]\n\
               nothing_to_undo = true\n";
    let bare = say.replace("x{{ params.word }}", "{{ params.word }}");
    let scene = Scene::new(&[("say", say), ("bare", &bare)]).await;
    let before = scene.world().await;
    for word in [
        "; touch WORK/x",
        "$(touch WORK/x)",
        "`id`",
        "| id",
        "> /tmp/x",
        "' \" \\",
        "--help",
        "-rf",
        "../x",
        "%s%n%1000000s",
        "{{ run }}",
        "{{ params.count }}",
        "*",
        "~",
        "$HOME",
        "ä\u{202e}€",
        "",
    ] {
        let word = word.replace("WORK", &shown(&scene.work));
        let task = scene.ask("say", json!({"params": {"word": word}})).await;
        scene.hub.succeeds(&task).await;
        let log = scene.hub.log(&task).await;
        let wanted = format!("<x{word}><1>");
        assert!(log.contains(&wanted), "{word:?}: {log:#?}");
    }
    let huge = "a".repeat(1024 * 1024 - 200);
    let long = "a".repeat(1025);
    for word in [
        "a\nb",
        "a\0b",
        "a\rb",
        "\u{1b}[31m",
        long.as_str(),
        huge.as_str(),
    ] {
        let path = format!("/v1/servers/{SERVER}/recipes/say");
        let body = json!({"params": {"word": word}});
        let (status, answer) = scene.hub.request("POST", &path, Some(&body)).await;
        assert!((400..500).contains(&status), "{status} {answer}");
        assert!(
            answer.to_string().len() < 2000,
            "{} bytes",
            answer.to_string().len()
        );
    }
    for recipe in [
        "..%2Fsay",
        "%2Fetc%2Fpasswd",
        "say.toml",
        "say%00",
        "SAY",
        "-say",
        "say;id",
        &"a".repeat(41),
    ] {
        let path = format!("/v1/servers/{SERVER}/recipes/{recipe}");
        let (status, answer) = scene.hub.request("POST", &path, Some(&json!({}))).await;
        assert!((400..500).contains(&status), "{recipe}: {status} {answer}");
    }
    for (recipe, params, reason) in [
        (
            "nothing",
            json!({}),
            "it offers bare, clear-nginx-cache, notice-off, notice-on, say, site-usage",
        ),
        (
            "bare",
            json!({"params": {"word": "--help"}}),
            "would be taken for an option",
        ),
        ("say", json!({}), "the parameter word is missing"),
        (
            "say",
            json!({"params": {"word": "a", "do": "x"}}),
            "there is no parameter do",
        ),
        (
            "say",
            json!({"params": {"word": "a", "count": "4"}}),
            "4 is not 1 to 3",
        ),
        (
            "say",
            json!({"params": {"word": "a", "count": "1; id"}}),
            "no whole number",
        ),
    ] {
        let shown = scene.run(recipe, params).await;
        assert_eq!(shown["state"], "failed", "{shown:#}");
        assert!(said(&shown).contains(reason), "{reason}: {}", said(&shown));
        assert!(
            shown["failure"]["step"].is_null(),
            "nothing was begun: {shown:#}"
        );
    }
    scene.nothing_differs("told", &before).await;
    scene.end().await;
}
