# shellcheck shell=bash
# Machines of Debian 12 with systemd as PID 1, on a network of their own, made from nothing and taken away again: each a
# systemd-nspawn container over one common base, with cgroups of version 2 whatever the host has. Used by
# deploy/try-debian; needs lib/base.sh, lib/cgroup.sh and root.

# machines_open FOLDER: whose machines.
machines_open() {
    MACHINES="$(realpath -m "$1")"
    [[ "$MACHINES" =~ ^/[A-Za-z0-9/._-]{1,60}$ ]] || die "the folder '$1' must be a path of at most 60 letters, digits and / . _ -"
    mkdir -p "$MACHINES"
    { [ ! -L "$MACHINES" ] && [ "$(stat -c %u "$MACHINES")" = 0 ]; } || die "$MACHINES does not belong to root: name another folder"
    chmod 0711 "$MACHINES"
    # Names of a network and of cgroups, which the whole host shares.
    MACHINES_ID="kolga-try-$(printf '%s' "$MACHINES" | sha256sum | cut -c1-8)"
    CGROUP="$(cgroup_own)" || die "this machine has no cgroups of version 2 that can be seen: mount -t cgroup2 none FOLDER"
    CGROUP="$CGROUP/$MACHINES_ID"
}

# For whoever makes machines or takes them away: one at a time. The lock is the kernel's and ends with the process.
machines_lock() {
    exec 9>"$MACHINES/lock"
    flock -n 9 || { say "Waiting for another run on $MACHINES; --dir gives another folder" && flock 9; }
}

# Ends and takes away all of them, also what a killed run has left. The base stays.
machines_close() {
    local mounted tries=200
    if [ -d "$CGROUP" ]; then
        echo 1 >"$CGROUP/cgroup.kill"
        while [ "$tries" -gt 0 ] && grep -qs '^populated 1' "$CGROUP/cgroup.events"; do
            sleep 0.05
            tries=$((tries - 1))
        done
        find "$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    fi
    while read -r mounted; do
        umount -l "$mounted"
    done < <(awk -v below="$MACHINES/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | tac)
    [ ! -e "/run/netns/$MACHINES_ID" ] || ip netns delete "$MACHINES_ID"
    rm -f "$MACHINES/machines.img"
}

# A Debian as debootstrap makes it, with the packages that the machines will install fetched, not installed: the machines
# see no network but their own. Made once; renewed when its lists of packages are older than half a day.
machines_base() {
    local base="$MACHINES/base"
    if [ ! -e "$MACHINES/base.ready" ]; then
        rm -rf --one-file-system "$base"
        debootstrap --include=dbus,ca-certificates bookworm "$base" ${1:+"$1"} >"$MACHINES/debootstrap.log" 2>&1 || {
            tail -n 20 "$MACHINES/debootstrap.log" >&2
            die "debootstrap failed; see above"
        }
        machines_apt >"$base/etc/apt/sources.list"
        apt-config dump | grep '^Acquire::[^:]*::Proxy\|^Acquire::Check-' >"$base/etc/apt/apt.conf.d/90host" || true
        # Nobody keeps these machines.
        echo force-unsafe-io >"$base/etc/dpkg/dpkg.cfg.d/unsafe-io"
        # Each machine gets its own at its first start.
        : >"$base/etc/machine-id"
        touch "$MACHINES/base.ready"
    fi
    [ -z "$(find "$MACHINES/base.fetched" -mmin -720 -print -quit 2>/dev/null)" ] || return 0
    rm -rf "$base/root/kolga"
    mkdir -p "$base/root/kolga"
    cp -a "$KOLGA_ROOT/deploy" "$base/root/kolga/"
    cp /etc/resolv.conf "$base/etc/resolv.conf"
    chroot "$base" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        /root/kolga/deploy/packages --fetch tools broker backup far mariadb postgres web >"$MACHINES/fetch.log" 2>&1 || {
        tail -n 20 "$MACHINES/fetch.log" >&2
        die "the packages cannot be fetched; see above"
    }
    : >"$base/etc/resolv.conf"
    touch "$MACHINES/base.fetched"
}

# Where this machine gets Debian 12 from, for the machines; Debian's own mirror where it is another system.
machines_apt() {
    local found
    found="$(apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT) \$(ORIGIN)" 'Identifier: Packages' 2>/dev/null |
        awk '$3 ~ /^bookworm/ && $5 == "Debian" { print $1, $2, $3, $4 }' | sort -u)"
    [ -n "$found" ] || found="deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian-security bookworm-security main"
    printf '%s\n' "$found"
}

# A disk of their own: as a file it is gone at once afterwards, and whatever they write stays within it.
machines_disk() {
    mkdir -p "$MACHINES/machines"
    truncate --size=12G "$MACHINES/machines.img"
    mkfs.ext4 -q -E nodiscard "$MACHINES/machines.img"
    mount -o loop,nodiscard "$MACHINES/machines.img" "$MACHINES/machines"
}

SPOKES=(web1 web2)

# machines_all KOLGA KOLGA_WORKER: makes and boots them, with the programs.
machines_all() {
    local number=0 name
    for name in hub "${SPOKES[@]}"; do machine_make "$name" "$((number += 1))"; done
    machines_hosts hub "${SPOKES[@]}"
    machine_bring hub "$1"
    for name in "${SPOKES[@]}"; do machine_bring "$name" "$2"; done
    for name in hub "${SPOKES[@]}"; do machine_start "$name"; done
}

# A network that nobody else is on, and its switch.
machines_network() {
    ip netns add "$MACHINES_ID"
    in_network ip link set lo up
    in_network ip link add switch type bridge
    in_network ip link set switch up
}

# Not `ip netns exec`, which hides the cgroups.
in_network() { nsenter "--net=/run/netns/$MACHINES_ID" "$@"; }

machine_address() { echo "10.77.0.$((10 + $(cat "$MACHINES/machines/$1/number")))"; }

# machine_make NAME NUMBER: as an installer leaves it, with a fixed address; the names of the others come with `hosts`.
machine_make() {
    local name="$1" folder="$MACHINES/machines/$1" root="$MACHINES/machines/$1/root"
    mkdir -p "$folder/upper" "$folder/work" "$root"
    echo "$2" >"$folder/number"
    mount -t overlay kolga-try -o "lowerdir=$MACHINES/base,upperdir=$folder/upper,workdir=$folder/work,xino=on" "$root"
    echo "$name" >"$root/etc/hostname"
    cat >"$root/etc/network/interfaces" <<CONF
auto lo
iface lo inet loopback
auto host0
iface host0 inet static
    address $(machine_address "$name")/24
CONF
}

# machines_hosts NAME...: all of them know each other.
machines_hosts() {
    local name other
    for name in "$@"; do
        {
            printf '127.0.0.1 localhost\n::1 localhost\n'
            for other in "$@"; do printf '%s %s.kolga.test %s\n' "$(machine_address "$other")" "$other" "$other"; done
        } >"$MACHINES/machines/$name/root/etc/hosts"
    done
}

# machine_bring NAME FILE...: the programs and deploy/, as docs/OPERATIONS.md says, below /root/kolga.
machine_bring() {
    local root="$MACHINES/machines/$1/root/root/kolga"
    shift
    rm -rf "$root"
    install -d "$root/target/release"
    cp -a "$KOLGA_ROOT/deploy" "$root/"
    [ $# -eq 0 ] || install -m 0755 "$@" "$root/target/release/"
}

# machine_start NAME: boots it and waits until it has come up. A reboot from within boots it again.
machine_start() {
    local name="$1" folder="$MACHINES/machines/$1"
    mkdir -p "$CGROUP/$name"
    # shellcheck disable=SC2016 # expanded by the child
    setsid bash -c '
        cgroup="$1" network="$2"; shift 2
        echo 0 >"$cgroup/cgroup.procs"
        # A machine is no nicer for being started by somebody who is.
        renice -n 0 -p $$ >/dev/null
        # 133 is a reboot, which nspawn leaves to whoever has started it.
        while nsenter "--net=$network" env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn "$@"; [ $? -eq 133 ]; do :; done
        ' machine "$CGROUP/$name" "/run/netns/$MACHINES_ID" \
        --quiet --boot --register=no --keep-unit --private-users=no --link-journal=no --resolv-conf=off --timezone=off \
        --machine="$name" --directory="$folder/root" --network-bridge=switch --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
        </dev/null >>"$folder/console" 2>&1 9>&- &
    disown $! 2>/dev/null || true
    machine_wait "$name"
}

# machine_wait NAME: until systemd says that it has come up, whole or with a unit that failed.
machine_wait() {
    local until=$((SECONDS + 180)) state=''
    until state="$(on "$1" systemctl is-system-running 2>/dev/null || true)" && [[ "$state" =~ ^(running|degraded)$ ]]; do
        [ "$SECONDS" -lt "$until" ] || {
            tail -n 30 "$MACHINES/machines/$1/console" >&2
            die "the machine $1 does not come up (${state:-no answer}); the lines above are its console's"
        }
        sleep 0.3
    done
}

# Its PID 1, as the host counts.
machine_leader() {
    local pid=''
    read -r pid <"$CGROUP/$1/payload/init.scope/cgroup.procs" 2>/dev/null && [ -n "$pid" ] && echo "$pid"
}

# machine_cut NAME: as if somebody had pulled the plug, but that what was written stays.
machine_cut() {
    local tries=200
    echo 1 >"$CGROUP/$1/cgroup.kill"
    while [ "$tries" -gt 0 ] && grep -qs '^populated 1' "$CGROUP/$1/cgroup.events"; do
        sleep 0.05
        tries=$((tries - 1))
    done
    find "$CGROUP/$1" -depth -mindepth 1 -type d -exec rmdir {} \; 2>/dev/null || true
}

# on NAME COMMAND...: runs a command on a machine as root, in a unit of its own there, as from a login.
on() {
    local leader
    leader="$(machine_leader "$1")" || return 255
    shift
    # systemd puts variables in.
    nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- \
        /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        systemd-run --quiet --wait --pipe --collect --service-type=exec --setenv=HOME=/root --setenv=LANG=C.UTF-8 \
        --setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "${@//\$/\$\$}" 9>&-
}
