//! nginx, PHP and composer: the very commands that tasks will run.

use anyhow::Context as _;
use kolga_protocol::names::Engine;
use kolga_protocol::task::server_verify::Check;

use super::{check, include};
use crate::config;
use crate::cx::Cx;
use crate::pools::{Pool, Pools};
use crate::process::Command;
use crate::services::composer;
use crate::services::database::Service;
use crate::services::php::Php;

const ID: &str = "/usr/bin/id";
/// What an application that uses such a database cannot do without, and where Debian has it.
fn module(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Mariadb => ("mysqli", "php-mysql"),
        Engine::Postgresql => ("pgsql", "php-pgsql"),
    }
}

pub(super) async fn nginx(cx: &Cx) -> Vec<Check> {
    let nginx = &cx.spoke.nginx;
    let written = nginx.ensure_include();
    let included = written.and_then(|()| include::included(nginx.config()));
    let tested = nginx.test(cx).await;
    let right = tested.is_ok();
    let reloaded = if right {
        nginx.reload(cx).await.map(|()| "works".to_owned())
    } else {
        Err(anyhow::anyhow!(
            "not tried while the configuration is not right"
        ))
    };
    vec![
        check("nginx include", included),
        check(
            "nginx configuration",
            tested.map(|()| "is accepted".to_owned()),
        ),
        check(
            "nginx test aside",
            nginx.test_aside(cx).await.map(|()| "works".to_owned()),
        ),
        check("nginx reload", reloaded),
    ]
}

pub(super) async fn php(cx: &Cx, php: &Php) -> Vec<Check> {
    vec![
        check("PHP", version(cx, php).await),
        check(
            "php-fpm",
            php.ping()
                .await
                .map(|()| format!("answers at {}", php.fpm_socket().display())),
        ),
    ]
}

pub(super) fn composer(config: &config::Composer) -> anyhow::Result<String> {
    composer::installed(config)?;
    let plugins = match config.plugins {
        true => "packages' plugins run",
        false => "no code of packages runs",
    };
    Ok(format!("{}, {plugins}", config.program.display()))
}

/// Each pool: its user, its php-fpm, and that the worker can become that user.
pub(super) async fn pools(cx: &Cx, pools: &Pools, php: &Php) -> Vec<Check> {
    let mut checks = Vec::new();
    for user in pools.names() {
        let found = match pools.get(user) {
            Ok(pool) => probe(cx, &pool, php).await,
            Err(error) => Err(error),
        };
        checks.push(check(&format!("pool {user}"), found));
    }
    checks
}

async fn probe(cx: &Cx, pool: &Pool, php: &Php) -> anyhow::Result<String> {
    php.at(&pool.socket).ping().await?;
    let asked = pool.command(ID).arg("-u").capture(cx).await?;
    let told = asked.success("sudo").with_context(|| {
        format!(
            "the worker may not run anything as {}: see the rule in deploy/lib/web.sh",
            pool.user
        )
    })?;
    let told = String::from_utf8_lossy(&told).trim().to_owned();
    anyhow::ensure!(
        told == pool.uid.to_string(),
        "sudo runs programs as the user {told} in place of {}",
        pool.uid
    );
    let shown = pool.socket.display();
    Ok(format!("answers at {shown}, user number {told}"))
}

async fn version(cx: &Cx, php: &Php) -> anyhow::Result<String> {
    let shown = php.binary().display();
    let told = ask(cx, php, "-v").await?;
    let version = told.lines().next().unwrap_or_default().to_owned();
    let engines: Vec<Engine> = cx.spoke.databases().map(Service::engine).collect();
    if engines.is_empty() {
        return Ok(version);
    }
    let modules = ask(cx, php, "-m").await?;
    for engine in engines {
        let (module, package) = module(engine);
        anyhow::ensure!(
            modules.lines().any(|line| line == module),
            "{shown} has no {module}: install PHP's package for {} ({package})",
            engine.title()
        );
    }
    Ok(version)
}

async fn ask(cx: &Cx, php: &Php, option: &str) -> anyhow::Result<String> {
    let answer = Command::new(php.binary()).arg(option).capture(cx).await?;
    String::from_utf8(answer.success(php.binary())?).context("PHP says something that is not text")
}
