//! What the tests of steps share: a spoke on a scratch folder, and a site that is to be made there.

use std::sync::Arc;

use crate::cx::Cx;
use crate::site::Site;
use crate::testing::{Scratch, config, context};

/// A context whose folders are there and whose nginx always agrees.
pub(crate) fn site_context(scratch: &Scratch) -> Cx {
    for folder in ["state", "sites", "platforms", "vhosts", "sources"] {
        std::fs::create_dir(scratch.path().join(folder)).expect("a folder");
    }
    let mut config = config(scratch.path());
    config.sites.platform_sources = vec![scratch.path().join("sources")];
    context(config).0
}

/// A static site.
pub(crate) fn site(cx: &Cx) -> Arc<Site> {
    let params = serde_json::from_str(r#"{"site": "www.example.org", "profile": "static"}"#);
    let params = params.expect("parameters");
    Arc::new(Site::new(&params, &cx.spoke, cx.run).expect("a site"))
}
