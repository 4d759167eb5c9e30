# shellcheck shell=bash
# What a stack chooses once and keeps: ports and passwords. Needs $STACK; files there belong to root.

# Whether something listens on this port, on whatever address.
port_taken() {
    local hex
    hex="$(printf '%04X' "$1")"
    awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 }
        END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# Prints the port kept under this name; chooses a free one first where there is none. Below the range
# from which the kernel takes the ports of outgoing connections.
port_for() {
    local file="$STACK/keep/port.$1" port
    if [ ! -s "$file" ]; then
        while port=$((20000 + RANDOM % 10000)); do
            port_taken "$port" || grep -qsx "$port" "$STACK"/keep/port.* || break
        done
        keep "$file" "$port"
    fi
    cat "$file"
}

# Forgets a port that somebody else took while our process was not running.
port_check() {
    if port_taken "$(port_for "$1")"; then
        say "port $(port_for "$1") was taken meanwhile; $1 gets another"
        rm -f "$STACK/keep/port.$1"
    fi
}

# Prints the password kept under this name, 192 random bits.
secret_for() {
    local file="$STACK/keep/secret.$1"
    [ -s "$file" ] || keep "$file" "$(head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n')"
    cat "$file"
}

# keep FILE TEXT: a file of root's, whole or not at all.
keep() {
    (umask 077 && printf '%s\n' "$2" >"$1.new") && mv -f "$1.new" "$1"
}

# write_for OWNER MODE FILE: writes standard input to a file of another user's, whole or not at all.
write_for() {
    install -m "$2" -o "$1" -g "$1" /dev/stdin "$3.new" && mv -f "$3.new" "$3"
}
