//! The configuration of a spoke on which nothing but children is tried: what the tests of supervision share.

use kolga_worker::config::Config;

/// No folder of it is there, and its nginx always agrees.
pub fn config() -> Config {
    toml::from_str(
        r#"
        server = "web1"
        state_dir = "/nonexistent"
        [broker]
        url = "amqp://kolga-web1:x@127.0.0.1/kolga"
        [sites]
        root = "/nonexistent"
        platforms = "/nonexistent"
        [nginx]
        include = "/nonexistent"
        sites_dir = "/nonexistent"
        staged = "/nonexistent"
        test = ["/bin/true"]
        test_staged = ["/bin/true"]
        reload = ["/bin/true"]
        check_address = "127.0.0.1:80"
        "#,
    )
    .expect("a configuration")
}
