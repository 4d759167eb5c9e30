# shellcheck shell=bash
# Test programs that deploy/test leaves out, since they need what not every machine has: each is a feature of kolga-tests and
# the test of the same name. Sourced, never run.

# The features of deploy/test, so that nearly everything is compiled once.
APART_FEATURES=kolga-worker/faults,kolga/faults

# apart NAME VARIABLE=VALUE... -- ARGUMENT...: builds the program and runs its tests against services of its own, in
# /var/tmp/kolga-NAME, which end with it.
apart() {
    local name="$1" program target environment=()
    local flags=(--workspace --locked --features "$APART_FEATURES,kolga-tests/$name")
    shift
    while [ "$1" != -- ]; do environment+=("$1") && shift; done
    shift
    rust_ensure
    rust_cargo build "${flags[@]}" --bins
    program="$(rust_cargo test "${flags[@]}" --test "$name" --no-run --message-format=json-render-diagnostics |
        jq -r 'select(.reason == "compiler-artifact" and .profile.test and .executable != null) | .executable')"
    target="$(rust_cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)"
    APART=/var/tmp/kolga-$name
    trap 'exit 130' INT TERM
    as_root "$KOLGA_ROOT/deploy/stack" fresh --dir "$APART" --spokes web1 --for $$
    trap 'as_root "$KOLGA_ROOT/deploy/stack" down --dir "$APART"' EXIT
    # shellcheck disable=SC2016 # expanded by the inner shell
    as_root bash -c '. "$1/deploy/lib/base.sh"; . "$1/deploy/lib/rust.sh"; rust_install "$2" "$3"' \
        install "$KOLGA_ROOT" "$APART/bin" "$target/debug"
    as_root env "PATH=$PATH" "CARGO_MANIFEST_DIR=$KOLGA_ROOT/tests" "KOLGA_TEST_STACK=$APART/stack.json" \
        "KOLGA_TEST_BIN_DIR=$APART/bin" "${environment[@]}" \
        "$program" --ignored --test-threads=1 --show-output "$@" </dev/null
}
