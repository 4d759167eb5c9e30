# shellcheck shell=bash
# What systemd does to Kolga, and what comes of it: kills, restarts, reboots and a power cut in the middle of a task,
# cgroups, priorities, the watchdog, logs. Used by deploy/try-debian; needs lib/machines.sh and lib/try_life.sh.

# wait_task SECONDS: begins the recipe on web1, waits until it is in its long step, and prints the task's id.
wait_task() {
    local task
    task="$(kolga --json run try-wait --on web1 --param "seconds=$1" | jq -r .task.id)"
    until_step "$task" 2
    echo "$task"
}

# until_step TASK [POSITION]: until the task is in that step, or in any.
until_step() {
    local until=$((SECONDS + 60)) at=''
    until at="$(kolga --json task show "$1" | jq -r 'select(.state == "running") | .step // empty | "\(.position) \(.name)"')" &&
        [ -n "$at" ] && [ "${at%% *}" = "${2:-${at%% *}}" ]; do
        [ "$SECONDS" -lt "$until" ] || die "task $1 did not come to step ${2:-1} (${at:-none})"
        sleep 0.1
    done
    IN_STEP="$at"
}

# ended TASK STATE ATTEMPTS [FIRST]: how the task ended, after how many attempts, and how the first of them did.
ended() {
    local told
    kolga task wait "$1" >/dev/null || true
    told="$(kolga --json task show "$1" | jq -r '[.state, (.attempts | length), .attempts[0].state] | join(" ")')"
    [ "$told" = "$2 $3 ${4:-$2}" ] || {
        note "task $1 is: $told"
        return 1
    }
}

# Nothing of a recipe that was undone or has ended: neither its file nor what hid.
nothing_left() {
    [ -z "$(on web1 find /srv/kolga -maxdepth 1 -name 'try-*')" ] && ! on web1 pgrep -fx 'sleep 4242' >/dev/null
}

unit() { on "$1" systemctl show --value -p "$3" "$2"; }

# cgroup_of NAME PID: of version 2; the host may have others besides.
cgroup_of() { on "$1" sed -n 's/^0:://p' "/proc/$2/cgroup"; }

# until_active SPOKE UNIT
until_active() {
    local until=$((SECONDS + 60))
    until [ "$(unit "$1" "$2" ActiveState)" = active ]; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}

# What the kernel says of the command that waits, and of what has hidden.
held_together() {
    local task pid leaf hidden nice disk own
    task="$(wait_task 300)"
    pid="$(on web1 pgrep -fx 'sleep 300')"
    leaf="$(cgroup_of web1 "$pid")"
    nice="$(on web1 ps -o ni= -p "$pid" | tr -d ' ')"
    disk="$(on web1 ionice -p "$pid")"
    hidden="$(on web1 pgrep -fx 'sleep 4242')"
    hidden="$(cgroup_of web1 "$hidden")"
    own="$(on web1 ps -o ni= -p "$(unit web1 kolga-worker MainPID)" | tr -d ' ')"
    note "cgroup $leaf; nice $nice, the worker itself $own; disk: $disk"
    [[ "$leaf" =~ ^/system.slice/kolga-worker.service/kolga-[0-9a-f]{16}/.*/[0-9]+$ ]] && [ "$leaf" = "$hidden" ] &&
        [ "$nice" = 10 ] && [ "$own" = 0 ] && [ "$disk" = idle ] || return 1
    kolga task cancel "$task" --wait
    ended "$task" cancelled 1 && nothing_left
}

# killed HOW...: kills within a recipe, which is not tried again by itself, and within an installation, which is.
killed() {
    local task before
    before="$(unit web1 kolga-worker NRestarts)"
    task="$(wait_task 300)"
    on web1 systemctl kill --signal=KILL "$@" kolga-worker
    until_active web1 kolga-worker
    ended "$task" interrupted 1 && nothing_left && [ "$(unit web1 kolga-worker NRestarts)" -gt "$before" ] || return 1
    task="$(kolga --json site install "kill$before.kolga.test" --server web1 --profile wordpress --platform wordpress |
        jq -r .task.id)"
    until_step "$task"
    on web1 systemctl kill --signal=KILL "$@" kolga-worker
    note "an installation was killed in step $IN_STEP"
    ended "$task" succeeded 2 interrupted && page web1 "http://kill$before.kolga.test/" '<html' &&
        kolga site delete "kill$before.kolga.test" --yes --no-backup --wait
}

# systemd gives a service up that ends too often in too short a time, unless it is told not to.
never_given_up() {
    local tries
    for tries in 1 2 3 4 5 6 7 8; do
        until_active web1 kolga-worker && until_active hub kolga-hub || return 1
        on web1 systemctl kill --signal=KILL --kill-who=main kolga-worker
        on hub systemctl kill --signal=KILL --kill-who=main kolga-hub
    done
    until_active web1 kolga-worker && until_active hub kolga-hub && kolga server verify web1 --wait
    note "killed $tries times in a row"
}

# TERM lets what runs finish, and systemd waits for that.
stopped() {
    local task began=$SECONDS
    task="$(wait_task 8)"
    on web1 systemctl stop kolga-worker
    [ "$(unit web1 kolga-worker Result)" = success ] && [ $((SECONDS - began)) -ge 6 ] || return 1
    on web1 systemctl start kolga-worker
    ended "$task" succeeded 1 && nothing_left
}

# Another program in the place of the one that runs, by the way that OPERATIONS says.
updated() {
    local task old
    old="$(unit web1 kolga-worker MainPID)"
    on web1 bash -c "printf x >>$KOLGA_ON/target/release/kolga-worker"
    task="$(wait_task 8)"
    on web1 "$KOLGA_ON/deploy/setup-spoke" web1 --pools "$POOLS" --postgresql </dev/null
    # What begins while the old program runs from a file that is gone.
    kolga server verify web1 --wait || return 1
    on web1 systemctl restart kolga-worker
    ended "$task" succeeded 1 && nothing_left && [ "$(unit web1 kolga-worker MainPID)" != "$old" ] &&
        on web1 cmp "/proc/$(unit web1 kolga-worker MainPID)/exe" "$KOLGA_ON/target/release/kolga-worker"
}

# systemctl reboot within the grace: the task ends, then the machine goes down.
rebooted() {
    local task boot
    boot="$(on web1 cat /proc/sys/kernel/random/boot_id; machine_leader web1)"
    task="$(wait_task 8)"
    on web1 systemctl reboot || true
    machine_restarted web1 "$boot" && all_active web1 && ended "$task" succeeded 1 && nothing_left
}

# Of a container only PID 1 tells that it is another boot: the kernel is the host's.
machine_restarted() {
    local until=$((SECONDS + 120))
    until [ "$(on "$1" cat /proc/sys/kernel/random/boot_id 2>/dev/null; machine_leader "$1")" != "$2" ] && machine_leader "$1" >/dev/null; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.3
    done
    machine_wait "$1"
}

# The plug is pulled in the middle of an installation and of a recipe.
power_cut() {
    local task other
    other="$(wait_task 300)"
    task="$(kolga --json site install cut.kolga.test --server web1 --profile wordpress --platform wordpress | jq -r .task.id)"
    until_step "$task"
    machine_cut web1
    note "the plug was pulled in step $IN_STEP"
    machine_start web1
    { all_active web1 && until_active hub kolga-hub; } || return 1
    ended "$other" interrupted 1 && nothing_left && ended "$task" succeeded 2 interrupted &&
        page web1 "http://cut.kolga.test/" '<html' && kolga site delete cut.kolga.test --yes --no-backup --wait
}

# The hub's machine, with broker and hub, goes down and comes back while a spoke works.
hub_rebooted() {
    local task boot
    boot="$(on hub cat /proc/sys/kernel/random/boot_id; machine_leader hub)"
    task="$(wait_task 15)"
    on hub systemctl reboot || true
    machine_restarted hub "$boot" && until_active hub kolga-hub && sleep 1 && ended "$task" succeeded 1
}

# Everything that was enabled runs without anybody's help, and nothing has failed.
all_active() {
    local name until
    for name in mariadb postgresql kolga-php kolga-nginx kolga-worker kolga-pool@kolga-s01; do
        until_active "$1" "$name" || { note "$name does not run"; return 1; }
    done
    [ -z "$(on "$1" systemctl --failed --plain --no-legend)" ]
}

# A worker that stands still, with a watchdog that waits less long than ours does.
watchdog() {
    local before
    on web1 install -d /run/systemd/system/kolga-worker.service.d
    printf '[Service]\nWatchdogSec=4\n' | on web1 tee /run/systemd/system/kolga-worker.service.d/try.conf >/dev/null
    on web1 systemctl daemon-reload
    on web1 systemctl restart kolga-worker
    # One that has nothing to do is none that stands still.
    sleep 10
    [ "$(unit web1 kolga-worker NRestarts)" = 0 ] || return 1
    before="$(unit web1 kolga-worker MainPID)"
    on web1 systemctl kill --signal=STOP --kill-who=main kolga-worker
    local until=$((SECONDS + 60))
    until [ "$(unit web1 kolga-worker NRestarts)" -gt 0 ] && [ "$(unit web1 kolga-worker MainPID)" != "$before" ]; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.5
    done
    until_active web1 kolga-worker
    on web1 rm -r /run/systemd/system/kolga-worker.service.d
    on web1 systemctl daemon-reload
    on web1 systemctl restart kolga-worker
}

# Each line of ours in the journal is text, and has a level of its own.
logs() {
    local bad levels machine name
    for name in hub:kolga-hub web1:kolga-worker; do
        machine="${name%%:*}"
        bad="$(on "$machine" journalctl --output=json --unit="${name#*:}" --no-pager |
            jq -r 'select(._COMM // "" | startswith("kolga")) | select((.MESSAGE | type) != "string" or (.MESSAGE | test("\u001b"))) | .MESSAGE' | wc -l)"
        levels="$(on "$machine" journalctl --output=json --unit="${name#*:}" --no-pager |
            jq -r 'select(._COMM // "" | startswith("kolga")) | .PRIORITY' | sort | uniq -c | awk '{ printf "%s%s: %s", (NR > 1 ? ", " : ""), $2, $1 }')"
        note "${name#*:}: lines by level: $levels; that are no text: $bad"
        [ "$bad" = 0 ] || return 1
    done
}

# What systemd holds of our units, and whether it understands every line of them.
hardening() {
    local name machine
    for name in hub:kolga-hub.service web1:kolga-worker.service web1:kolga-nginx.service web1:kolga-php.service \
        web1:kolga-pool@kolga-s01.service; do
        machine="${name%%:*}" name="${name#*:}"
        note "$(on "$machine" systemd-analyze security --no-pager "$name" | tail -n 1 | sed 's/^[^O]*//')"
    done
    ! on web1 bash -c 'systemd-analyze verify /etc/systemd/system/kolga-*.service 2>&1 | grep "/etc/systemd/system/kolga"'
}

# Where the host lends the machines controllers at all.
bounds() {
    on web1 systemctl is-active --quiet kolga-pool@kolga-s01
    if ! on web1 grep -qw pids /sys/fs/cgroup/cgroup.controllers; then
        note "this host's controllers are not those of cgroups of version 2, so TasksMax= is not tried"
        return 0
    fi
    [ "$(on web1 cat '/sys/fs/cgroup/system.slice/system-kolga\x2dpool.slice/kolga-pool@kolga-s01.service/pids.max')" = 128 ]
}

# fault WHAT COMMAND...: a check, after which nothing is left open that would be in the next one's way.
fault() {
    local before="${#FAILED[@]}" task
    check "$@"
    [ "${#FAILED[@]}" -gt "$before" ] || return 0
    for task in $(kolga --json task list --limit 20 | jq -r '.items[] | select(.finished | not) | .id'); do
        kolga task cancel "$task" --wait >/dev/null 2>&1 || note "task $task could not be cancelled"
    done
}

faults() {
    fault "a command has a cgroup, and gives way; what hides goes with it" held_together
    fault "SIGKILL of the worker alone, twice" killed --kill-who=main
    fault "SIGKILL of all that belongs to it, twice" killed
    fault "SIGKILL of worker and hub, eight times in a row" never_given_up
    fault "systemctl stop waits for the task" stopped
    fault "another program while a task runs" updated
    fault "reboot within a task" rebooted
    fault "power cut within two tasks" power_cut
    fault "the hub's machine is rebooted" hub_rebooted
    fault "the watchdog: idle is no standstill, standstill is" watchdog
    fault "bounds of a pool" bounds
    fault "the journal" logs
    fault "hardening" hardening
}
