# shellcheck shell=bash
# apt-get, with the promise that no service of the system starts because of it. Used by
# deploy/packages; needs lib/base.sh.

POLICY=/usr/sbin/policy-rc.d
POLICY_ASIDE=/usr/sbin/policy-rc.d.kolga-aside
POLICY_MARK='# Written by Kolga for the time of one installation'

# Prints those of the named packages that are not installed, one a line.
apt_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done
}

# Maintainer scripts ask this file before they start a service; 101 means no.
policy_forbid() {
    policy_restore # what a killed run may have left
    if as_root test -e "$POLICY"; then
        as_root mv "$POLICY" "$POLICY_ASIDE"
    fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 0755 "$POLICY"
}

# Removes our file and puts back the one that was there before.
policy_restore() {
    if as_root grep -qsF "$POLICY_MARK" "$POLICY"; then
        as_root rm -f "$POLICY"
    fi
    if as_root test -e "$POLICY_ASIDE"; then
        as_root mv "$POLICY_ASIDE" "$POLICY"
    fi
}

# Package lists older than a day name files that the mirrors may have replaced.
apt_lists_are_fresh() {
    [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print -quit 2>/dev/null)" ] &&
        [ -n "$(find /var/cache/apt/pkgcache.bin /var/lib/apt/lists/partial -maxdepth 0 \
            -mmin -1440 -print -quit 2>/dev/null)" ]
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o APT::Color=0 "$@"
}

# Installs the named packages. The second try is for lists that were fresh and yet out of date.
apt_install() {
    trap policy_restore EXIT
    trap 'exit 130' INT TERM
    policy_forbid
    apt_lists_are_fresh || apt_get update
    if ! apt_get install --no-install-recommends --yes "$@" >&2; then
        say "Trying again with new package lists."
        apt_get update
        apt_get install --no-install-recommends --yes "$@" >&2
    fi
    policy_restore
    trap - EXIT INT TERM
}
