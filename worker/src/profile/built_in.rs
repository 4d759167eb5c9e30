//! The profiles that are part of the worker itself. Each is an ordinary folder under `profiles/`; an
//! operator may copy one and change it. Read by [`super::load`].

/// Their names.
#[must_use]
pub fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// Each profile's name and its files by their path.
pub(super) const BUILT_IN: &[(&str, &[(&str, &str)])] = &[
    (
        "static",
        &[
            (
                "profile.toml",
                include_str!("../../profiles/static/profile.toml"),
            ),
            (
                "index.html",
                include_str!("../../profiles/static/index.html"),
            ),
            (
                "vhost.conf",
                include_str!("../../profiles/static/vhost.conf"),
            ),
        ],
    ),
    (
        "php",
        &[
            (
                "profile.toml",
                include_str!("../../profiles/php/profile.toml"),
            ),
            ("index.php", include_str!("../../profiles/php/index.php")),
            (
                "settings.php",
                include_str!("../../profiles/php/settings.php"),
            ),
            ("vhost.conf", include_str!("../../profiles/php/vhost.conf")),
        ],
    ),
    (
        "wordpress",
        &[
            (
                "profile.toml",
                include_str!("../../profiles/wordpress/profile.toml"),
            ),
            (
                "platform/wp-config.php",
                include_str!("../../profiles/wordpress/platform/wp-config.php"),
            ),
            (
                "install.php",
                include_str!("../../profiles/wordpress/install.php"),
            ),
            (
                "relocate.php",
                include_str!("../../profiles/wordpress/relocate.php"),
            ),
            (
                "commands/cache_clear.php",
                include_str!("../../profiles/wordpress/commands/cache_clear.php"),
            ),
            (
                "commands/cron.php",
                include_str!("../../profiles/wordpress/commands/cron.php"),
            ),
            (
                "commands/update_database.php",
                include_str!("../../profiles/wordpress/commands/update_database.php"),
            ),
            (
                "settings.php",
                include_str!("../../profiles/wordpress/settings.php"),
            ),
            (
                "vhost.conf",
                include_str!("../../profiles/wordpress/vhost.conf"),
            ),
        ],
    ),
    (
        "mediawiki",
        &[
            (
                "profile.toml",
                include_str!("../../profiles/mediawiki/profile.toml"),
            ),
            (
                "platform/LocalSettings.php",
                include_str!("../../profiles/mediawiki/platform/LocalSettings.php"),
            ),
            (
                "install.php",
                include_str!("../../profiles/mediawiki/install.php"),
            ),
            (
                "commands/update_database.php",
                include_str!("../../profiles/mediawiki/commands/update_database.php"),
            ),
            (
                "commands/cron.php",
                include_str!("../../profiles/mediawiki/commands/cron.php"),
            ),
            (
                "settings.php",
                include_str!("../../profiles/mediawiki/settings.php"),
            ),
            (
                "vhost.conf",
                include_str!("../../profiles/mediawiki/vhost.conf"),
            ),
        ],
    ),
];
