# shellcheck shell=bash
# Processes that a stack starts and must find again, after a SIGKILL of anything included. A record
# under $STACK/run names pid, start time and boot, so that a reused pid is never mistaken for ours.
# Needs $STACK (the stack's folder). Used by deploy/stack and deploy/demo.

# Reads what the kernel says of a process into PROC_STAT: state, parent, group, session, … The name in
# brackets may hold anything, newlines too, so fields are counted from behind it.
proc_stat() {
    local stat=''
    { IFS= read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null || [ -n "$stat" ] || return 1
    # shellcheck disable=SC2206 # the fields
    PROC_STAT=(${stat##*) })
}

# Prints the start time of a live process in clock ticks since boot; fails for a zombie or for none.
proc_start_time() {
    local PROC_STAT
    proc_stat "$1" || return 1
    case "${PROC_STAT[0]}" in Z | X) return 1 ;; esac
    printf '%s\n' "${PROC_STAT[19]}"
}

# Prints the pid of the named process if it is ours and alive.
proc_pid() {
    local pid start boot
    { read -r pid start boot <"$STACK/run/$1"; } 2>/dev/null || return 1
    [ "$boot" = "$(</proc/sys/kernel/random/boot_id)" ] || return 1
    [ "$(proc_start_time "$pid")" = "$start" ] || return 1
    printf '%s\n' "$pid"
}

proc_alive() { proc_pid "$1" >/dev/null; }

# proc_record NAME PID: makes a process ours that we did not start.
proc_record() {
    printf '%s %s %s\n' "$2" "$(proc_start_time "$2")" "$(</proc/sys/kernel/random/boot_id)" \
        >"$STACK/run/$1.new"
    mv -f "$STACK/run/$1.new" "$STACK/run/$1"
}

# proc_start NAME USER FOLDER [VARIABLE=VALUE...] -- COMMAND...
# Starts a session of its own, without our environment and open files. The record is written by the
# child before it becomes the program: no moment exists in which it runs unrecorded. Where PROC_CGROUP
# names a cgroup's folder, the child goes there first.
proc_start() {
    local name="$1" user="$2" folder="$3" variables=()
    shift 3
    while [ "$1" != -- ]; do
        variables+=("$1")
        shift
    done
    shift
    # shellcheck disable=SC2016 # expanded by the child
    (cd "$folder" && exec setsid bash -c '
        record="$1" cgroup="$2"; shift 2
        [ -z "$cgroup" ] || echo "$$" >"$cgroup/cgroup.procs"
        stat="$(<"/proc/$$/stat")"; fields=(${stat##*) })
        printf "%s %s %s\n" "$$" "${fields[19]}" "$(</proc/sys/kernel/random/boot_id)" >"$record.new"
        mv -f "$record.new" "$record"
        exec "$@"' start "$STACK/run/$name" "${PROC_CGROUP:-}" \
        setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${variables[@]}" "$@" \
        </dev/null >>"$STACK/log/$name.log" 2>&1 9>&-) &
    local child=$!
    disown "$child" 2>/dev/null || true
    until [ "$(cut -d' ' -f1 "$STACK/run/$name" 2>/dev/null)" = "$child" ]; do
        proc_start_time "$child" >/dev/null || break
        sleep 0.02
    done
}

# Prints the pids of a session's members that work inside the stack. A session's number is not given
# away while one of its members lives.
proc_session() {
    local entry pid cwd PROC_STAT
    for entry in /proc/[0-9]*; do
        pid="${entry#/proc/}"
        proc_stat "$pid" || continue
        [ "${PROC_STAT[3]}" = "$1" ] || continue
        cwd="$(readlink "$entry/cwd" 2>/dev/null)" || continue
        case "$cwd/" in "$STACK"/*) printf '%s\n' "$pid" ;; esac
    done
}

# Prints the pids of those that work in this folder.
proc_inside() {
    local entry
    for entry in /proc/[0-9]*; do
        case "$(readlink "$entry/cwd" 2>/dev/null || true)/" in "$1"/*) printf '%s\n' "${entry#/proc/}" ;; esac
    done
}

# proc_stop NAME SIGNAL SECONDS: asks the process to end, then ends what is left of its session.
proc_stop() {
    local name="$1" signal="$2" tries=$(($3 * 20)) pid left
    [ -e "$STACK/run/$name" ] || return 0
    if pid="$(proc_pid "$name")"; then
        kill -s "$signal" "$pid" 2>/dev/null || true
        while [ "$tries" -gt 0 ] && proc_alive "$name"; do
            sleep 0.05
            tries=$((tries - 1))
        done
        [ "$tries" -gt 0 ] || say "$name did not end in $3 seconds; killing it"
    fi
    read -r pid _ <"$STACK/run/$name"
    # The leader's number may belong to somebody else by now; then its session is not ours either.
    if proc_alive "$name" || ! proc_start_time "$pid" >/dev/null; then
        left="$(proc_session "$pid")"
        # shellcheck disable=SC2086
        [ -z "$left" ] || kill -KILL $left 2>/dev/null || true
        tries=100
        while [ "$tries" -gt 0 ] && [ -n "$(proc_session "$pid")" ]; do
            sleep 0.05
            tries=$((tries - 1))
        done
    fi
    rm -f "$STACK/run/$name"
}

# wait_until SECONDS WHAT NAME COMMAND...: polls the command while the named process lives.
wait_until() {
    local tries=$(($1 * 20)) what="$2" name="$3"
    shift 3
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" -le 0 ] || ! proc_alive "$name"; then
            tail -n 20 "$STACK/log/$name.log" >&2 || true
            die "$what did not get ready; the lines above are the end of $STACK/log/$name.log"
        fi
        sleep 0.05
    done
}
