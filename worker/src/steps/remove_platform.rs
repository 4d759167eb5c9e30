//! Final step `remove_platform`: removes for good what [`super::trash_platform`] moved aside.

use kolga_protocol::id::Run;
use kolga_protocol::names::PlatformName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::step::FinalStep;

/// Removes a platform's folder.
pub struct RemovePlatform(pub PlatformName);

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    run: Run,
}

impl FinalStep for RemovePlatform {
    const NAME: &'static str = "remove_platform";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            platform: self.0.clone(),
            run: cx.run,
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let platforms = layout::platforms(&cx.spoke.config)?;
        let aside = layout::gone_platform(&record.platform, record.run);
        blocking(move || platforms.remove_tree(aside)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn only_what_this_run_moved_aside_goes() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let platforms = layout::platforms(&cx.spoke.config).expect("there");
        let step = RemovePlatform("app-1".parse().expect("a name"));
        let aside = layout::gone_platform(&step.0, cx.run);
        for name in ["app-1", &aside, ".app-1.gone-another"] {
            platforms.make_dir(name, 0o755).expect("a folder");
        }
        let record = FinalStep::inspect(&step, &cx).await.expect("looked");
        RemovePlatform::finish(&cx, &record).await.expect("removed");
        RemovePlatform::finish(&cx, &record).await.expect("twice");
        assert_eq!(
            platforms.names().expect("read"),
            [".app-1.gone-another", "app-1"]
        );
    }
}
