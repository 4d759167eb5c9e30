//! `kolga-worker pool`: which pools of php-fpm there are, and whose they are.

use clap::Subcommand;

use crate::config::Config;
use crate::pools::Holder;
use crate::spoke::Spoke;

#[derive(Debug, Subcommand)]
pub(super) enum Pool {
    /// List the pools that sites can have to themselves, and who has them.
    ///
    /// A pool is free again when its site is deleted and nothing of it is in the trash.
    List(super::Form),
}

impl Pool {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let Self::List(form) = self;
        let spoke = Spoke::open(config, None).await?;
        let pools = spoke.need_pools()?;
        let named = pools.named(&spoke)?;
        let mut all = Vec::new();
        for user in pools.names() {
            let holders = named.get(user).map_or(&[][..], Vec::as_slice);
            let mut shown: Vec<String> = holders.iter().map(shown).collect();
            if let (Some(run), true) = (pools.taken_by(user)?, shown.is_empty()) {
                shown.push(format!("taken by task {run}"));
            }
            all.push((user, shown));
        }
        if form.json {
            let list = all
                .iter()
                .map(|(user, held_by)| serde_json::json!({"user": user, "held_by": held_by}));
            say!("{}", serde_json::Value::from_iter(list));
            return Ok(());
        }
        for (user, shown) in all {
            let shown = match shown.is_empty() {
                true => "free".to_owned(),
                false => shown.join(", "),
            };
            say!("{user:<32} {shown}");
        }
        Ok(())
    }
}

fn shown(holder: &Holder) -> String {
    match holder {
        Holder::Site(host, _) => host.to_string(),
        Holder::Trash(run, host) => format!("{host} in the trash (task {})", run.task),
    }
}
