# shellcheck shell=bash
# What every script under deploy/ starts with: where the repository is, how to speak, how to fail,
# how to become root. Sourced, never run.

# The repository's root, whatever folder the script was called from.
KOLGA_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
export KOLGA_ROOT

# Programs that an ordinary user's PATH leaves out.
PATH="$PATH:/usr/sbin:/sbin"

say() { printf '%s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Runs one command as root, by sudo where the caller is somebody else.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root: run it as root, or install sudo and allow yourself to use it"
    fi
}

# Starts the calling script again as root. Give it the script's own arguments.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null ||
        die "this needs root: run it as root, or install sudo and allow yourself to use it"
    exec sudo -- "$(realpath "$0")" "$@"
}
