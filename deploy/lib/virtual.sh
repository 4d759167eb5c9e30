# shellcheck shell=bash
# The machines of lib/machines.sh as one that has a kernel of its own, Debian's: hub, broker and a spoke on a virtual
# machine (qemu), where the kernel's bounds count, a reboot is one, and a power cut loses what was not on the disk. Without
# KVM each instruction is translated, which takes ten times as long and more. Sourced after lib/machines.sh, in whose
# place its functions come.

# shellcheck disable=SC2034 # of deploy/try-debian
SPOKES=(web1)
# How much longer everything takes.
# shellcheck disable=SC2034
SLOW=5

machines_network() { :; }

machines_all() {
    machine_make
    machine_bring "$@"
    machine_start web1
}

machine_address() { echo 127.0.0.1; }

# Packages are installed while the disk is made: that would take an hour on the machine itself.
machine_make() {
    local root="$MACHINES/machines/root" groups=(kernel tools broker far mariadb postgres web)
    mkdir -p "$MACHINES/machines/upper" "$MACHINES/machines/work" "$root"
    mount -t overlay kolga-try -o "lowerdir=$MACHINES/base,upperdir=$MACHINES/machines/upper,workdir=$MACHINES/machines/work,xino=on" "$root"
    mount -t proc proc "$root/proc"
    in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }
    cp -a "$KOLGA_ROOT/deploy" "$root/root/kolga/"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    in_root /root/kolga/deploy/packages "${groups[@]}"
    in_root systemctl enable ssh
    : >"$root/etc/resolv.conf"
    echo hub >"$root/etc/hostname"
    printf '127.0.0.1 localhost hub web1 hub.kolga.test\n::1 localhost\n' >"$root/etc/hosts"
    printf 'auto lo\niface lo inet loopback\nauto ens3\niface ens3 inet dhcp\n' >"$root/etc/network/interfaces"
    echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
    ssh-keygen -q -t ed25519 -N '' -f "$MACHINES/machines/key"
    install -d -m 0700 "$root/root/.ssh"
    install -m 0600 "$MACHINES/machines/key.pub" "$root/root/.ssh/authorized_keys"
    umount "$root/proc"
    cp "$root"/boot/vmlinuz-* "$MACHINES/machines/vmlinuz"
    cp "$root"/boot/initrd.img-* "$MACHINES/machines/initrd.img"
}

machine_bring() {
    local root="$MACHINES/machines/root/root/kolga"
    rm -rf "$root"
    install -d "$root/target/release"
    cp -a "$KOLGA_ROOT/deploy" "$root/"
    install -m 0755 "$@" "$root/target/release/"
    # Debug builds are large, and nothing here reads what makes them so.
    strip --strip-debug "$root"/target/release/* 2>/dev/null || true
    rm -rf "$MACHINES/machines/root"/var/cache/apt/archives/*.deb
    truncate --size=8G "$MACHINES/machines/disk"
    mkfs.ext4 -q -E nodiscard -d "$MACHINES/machines/root" "$MACHINES/machines/disk"
}

# Its port on the host's loopback, where commands come in by ssh.
VIRTUAL_PORT=47722

machine_start() {
    local name="$1" folder="$MACHINES/machines" accel=(-accel "tcg,thread=multi" -cpu max)
    # A virtual machine in one may have /dev/kvm and no such processor.
    ! grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo || accel=(-accel kvm -accel tcg -cpu host)
    mkdir -p "$CGROUP/virtual"
    # shellcheck disable=SC2016 # expanded by the child
    setsid bash -c 'echo 0 >"$1/cgroup.procs"; shift; exec qemu-system-x86_64 "$@"' machine "$CGROUP/virtual" \
        "${accel[@]}" -smp 2 -m 3072 -nographic -nodefaults -serial stdio \
        -kernel "$folder/vmlinuz" -initrd "$folder/initrd.img" -append 'root=/dev/vda rw console=ttyS0 quiet' \
        -drive "file=$folder/disk,if=virtio,format=raw,cache=writeback" \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$VIRTUAL_PORT-:22" -device virtio-net-pci,netdev=net,addr=3 \
        </dev/null >>"$folder/console" 2>&1 9>&- &
    disown $! 2>/dev/null || true
    machine_wait "$name"
}

# Commands come in slowly here, so everything gets more time.
machine_wait() {
    local until=$((SECONDS + 900)) state=''
    until state="$(on "$1" systemctl is-system-running 2>/dev/null || true)" && [[ "$state" =~ ^(running|degraded)$ ]]; do
        [ "$SECONDS" -lt "$until" ] || {
            tail -n 30 "$MACHINES/machines/console" >&2
            die "the machine does not come up (${state:-no answer}); the lines above are its console's"
        }
        sleep 2
    done
    # One connection serves the commands that follow, until the machine goes.
    rm -f "$MACHINES/machines/ssh"
    (echo 0 >"$CGROUP/virtual/cgroup.procs" && exec ssh "${SSH[@]}" -fNM root@127.0.0.1 </dev/null >/dev/null 2>&1 9>&-) || true
}

machine_leader() { echo virtual; }

machine_cut() {
    local tries=200
    echo 1 >"$CGROUP/virtual/cgroup.kill"
    while [ "$tries" -gt 0 ] && grep -qs '^populated 1' "$CGROUP/virtual/cgroup.events"; do
        sleep 0.05
        tries=$((tries - 1))
    done
}

# All names are the one machine.
on() {
    shift
    # shellcheck disable=SC2029 # word by word as it came
    ssh "${SSH[@]}" root@127.0.0.1 "$(printf '%q ' env LANG=C.UTF-8 "$PATH_THERE" "$@")" 9>&-
}

virtual_open() {
    PATH_THERE=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    SSH=(-q -i "$MACHINES/machines/key" -p "$VIRTUAL_PORT" -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o "ControlPath=$MACHINES/machines/ssh")
}
