//! A spoke with recipes of an operator's own, a folder for them to work on, and what its tests ask again and again.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use kolga_tests::hub::{Hub, Settings};
use kolga_tests::orders::Hand;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::Worker;
use kolga_tests::world::{Watcher, World, clear};
use rustix::process::Signal;
use serde_json::{Value, json};

pub const HOST: &str = "recipes.kolga.test";
pub const SOON: Duration = Duration::from_secs(60);

pub struct Scene {
    pub stack: Stack,
    pub hub: Hub,
    pub worker: Worker,
    pub hand: Hand,
    /// Where the operator's recipes lie.
    pub recipes: PathBuf,
    /// What they work on.
    pub work: PathBuf,
}

/// Where the recipes of `deploy/recipes` lie.
pub fn shipped(stack: &Stack) -> PathBuf {
    Path::new(stack.text("/dir")).join("recipes")
}

impl Scene {
    pub async fn new(recipes: &[(&str, &str)]) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let config = stack.spoke(SERVER, "config");
        let home = config.parent().expect("a folder");
        let (own, work) = (home.join("recipes-own"), home.join("work"));
        for folder in [&own, &work] {
            drop(std::fs::remove_dir_all(folder));
            std::fs::create_dir(folder).expect("made");
            mode(folder, 0o755);
        }
        chown(&work, Some(stack.uid()), Some(stack.uid())).expect("the worker's");
        let directories = vec![shown(&shipped(&stack)), shown(&own)];
        let stack = stack.with_setting(SERVER, "recipes", "directories", directories.into());
        let mut hand = Hand::new();
        hand.calm();
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let mut scene = Self {
            worker: Worker::spawn(&stack, SERVER, &hand.orders()),
            stack,
            hub,
            hand,
            recipes: own,
            work,
        };
        for (name, text) in recipes {
            scene.write(name, text);
        }
        // With its recipes read.
        scene.worker.terminate().await;
        scene.start().await;
        scene
    }

    pub async fn start(&mut self) {
        self.worker = Worker::start(&self.stack, SERVER, &self.hand.orders()).await;
    }

    /// A recipe of this name in the operator's folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let text = format!("name = \"{name}\"\ndescription = \"x\"\n{text}");
        let file = self.recipes.join(format!("{name}.toml"));
        std::fs::write(&file, text.replace("WORK", &shown(&self.work))).expect("written");
        mode(&file, 0o644);
        file
    }

    pub async fn ask(&self, recipe: &str, params: Value) -> String {
        let path = format!("/v1/servers/{SERVER}/recipes/{recipe}");
        let answer = self.hub.post(&path, &params).await;
        answer["task"]["id"].as_str().expect("an id").to_owned()
    }

    pub async fn run(&self, recipe: &str, params: Value) -> Value {
        let task = self.ask(recipe, params).await;
        self.hub.ended(&task).await
    }

    pub async fn listed(&self) -> Value {
        let answer = self
            .hub
            .post(&format!("/v1/servers/{SERVER}/recipes"), &json!({}))
            .await;
        let task = answer["task"]["id"].as_str().expect("an id").to_owned();
        self.hub.succeeds(&task).await["output"].clone()
    }

    /// Has the worker read its recipes anew, and waits until `seen` of what it lists then.
    pub async fn reload(&self, what: &str, seen: impl Fn(&Value) -> bool) {
        self.worker.signal(Signal::HUP);
        until(what, SOON, async || {
            seen(&self.listed().await).then_some(())
        })
        .await;
    }

    pub async fn world(&self) -> World {
        self.worker.rests().await;
        World::of(&self.stack, SERVER, &[HOST]).await
    }

    /// What a program has open for a moment longer may close meanwhile.
    pub async fn nothing_differs(&self, what: &str, before: &World) {
        self.worker.rests().await;
        let mut watcher = Watcher::new(&self.stack, SERVER, &[HOST]);
        let (_, left) = watcher.settle(|now| before.compare(now)).await;
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        assert!(left.is_empty(), "{what}:\n{}", left.join("\n"));
    }

    pub async fn dies(&mut self, order: &str) {
        let status = self.worker.end(SOON).await;
        assert!(self.worker.was_killed(), "{order} never fired: {status}");
    }

    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = self.stack.program("kolga");
        command.args(["--hub", &self.hub.url, "--token-file"]);
        let output = command.arg(self.hub.token_file()).args(arguments).output();
        output.expect("kolga runs")
    }

    /// An old folder with something in it, as before any try.
    pub fn old_data(&self) {
        drop(std::fs::remove_dir_all(&self.work));
        std::fs::create_dir_all(self.work.join("data/deep")).expect("made");
        std::fs::write(self.work.join("data/deep/file"), "old").expect("written");
        let uid = Some(self.stack.uid());
        for path in ["", "data", "data/deep", "data/deep/file"] {
            chown(self.work.join(path), uid, uid).expect("the worker's");
        }
    }

    pub async fn end(self) {
        self.worker.stop().await;
        drop(std::fs::remove_dir_all(&self.recipes));
        drop(std::fs::remove_dir_all(&self.work));
    }
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

pub fn said(shown: &Value) -> String {
    shown["failure"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
