# shellcheck shell=bash
# Finding cargo and building with it, as the user whom the repository belongs to: sudo must not leave
# files of root's in somebody's target folder. Needs lib/base.sh.

# The Rust that Cargo.toml asks for.
rust_wanted() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$KOLGA_ROOT/Cargo.toml"; }

# Who builds: for root, the repository's owner, unless only root has a cargo. Kept in RUST_BUILDER.
rust_builder() {
    [ -z "${RUST_BUILDER:-}" ] || return 0
    RUST_BUILDER="$(id -un)"
    [ "$RUST_BUILDER" = root ] || return 0
    local owner
    owner="$(stat -c %U "$KOLGA_ROOT")"
    # Files of somebody who has no account here, as in a container.
    [ "$owner" != UNKNOWN ] || return 0
    if ! as_builder cargo --version >/dev/null 2>&1 || run_as "$owner" cargo --version >/dev/null 2>&1; then
        RUST_BUILDER="$owner"
    fi
}

# run_as USER COMMAND...: with the PATH that rustup sets up.
run_as() {
    local user="$1" home
    shift
    if [ "$(id -un)" = "$user" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" "$@"
    else
        home="$(getent passwd "$user" | cut -d: -f6)"
        runuser -u "$user" -- env "HOME=$home" "PATH=$home/.cargo/bin:$PATH" "$@"
    fi
}

as_builder() {
    rust_builder
    run_as "$RUST_BUILDER" "$@"
}

rust_cargo() { (cd "$KOLGA_ROOT" && as_builder cargo "$@"); }

# Debian 12's own Rust is too old for the crates that Kolga uses: it has to be one that rustup brought.
rust_ensure() {
    local wanted found
    rust_builder
    wanted="$(rust_wanted)"
    if found="$(rust_cargo --version 2>/dev/null)"; then
        found="$(cut -d' ' -f2 <<<"$found")"
        [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
            die "cargo is $found, Kolga needs $wanted: run 'rustup update stable'"
        return 0
    fi
    die "Rust is not installed for user $RUST_BUILDER: install Rust $wanted or newer with rustup, then try again"
}

# rust_install FOLDER FROM: copies the programs to where the services' user may run them.
rust_install() {
    local program
    install -d -m 0755 "$1"
    for program in kolga kolga-worker; do
        cmp -s "$2/$program" "$1/$program" && continue
        install -m 0755 "$2/$program" "$1/$program.new"
        mv -f "$1/$program.new" "$1/$program"
    done
}
