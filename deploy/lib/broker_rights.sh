# shellcheck shell=bash
# Who may do what at the broker, as `rabbitmqctl import_definitions` reads it: the one description for
# the demo's node, a real one and a container's. Importing it twice changes nothing, and leaves alone
# what it does not name. Needs lib/base.sh and openssl.

# RabbitMQ's own form: salt, then SHA-256 of salt and password, in base64. The salt follows from the
# password, so that the same definitions come out each time; it is random as the password is.
rights_hash() {
    local salt
    salt="$(printf 'salt:%s' "$1" | sha256sum | cut -c1-8)"
    {
        hex_bytes "$salt"
        { hex_bytes "$salt" && printf '%s' "$1"; } | openssl dgst -sha256 -binary
    } | base64 -w0
}

hex_bytes() {
    # shellcheck disable=SC2059 # the escapes are the point
    printf "$(printf '%s' "$1" | sed 's/../\\x&/g')"
}

# Reads lines of NAME PASSWORD and writes definitions. `hub` may do everything in the virtual host. Any
# other name is a spoke: it declares nothing, reads its own two queues, and writes reports under its own
# name only.
rights_definitions() {
    local name password exchange users='' permissions='' topics='' configure write read hash='' hashed=''
    while read -r name password; do
        # Simulated spokes share one, and there may be thousands of them.
        [ "$password" = "$hashed" ] || { hash="$(rights_hash "$password")" && hashed="$password"; }
        users+="${users:+,}{\"name\":\"kolga-$name\",\"password_hash\":\"$hash\""
        users+=',"hashing_algorithm":"rabbit_password_hashing_sha256","tags":""}'
        configure='^$' write='^kolga\\.(reports|heartbeats|dead)$' read="^(tasks|control)\\\\.$name\$"
        if [ "$name" = hub ]; then
            configure='.*' write='.*' read='.*'
        else
            for exchange in kolga.reports kolga.heartbeats; do
                topics+="${topics:+,}{\"user\":\"kolga-$name\",\"vhost\":\"kolga\""
                topics+=",\"exchange\":\"$exchange\",\"write\":\"^$name\$\",\"read\":\"^\$\"}"
            done
        fi
        permissions+="${permissions:+,}{\"user\":\"kolga-$name\",\"vhost\":\"kolga\""
        permissions+=",\"configure\":\"$configure\",\"write\":\"$write\",\"read\":\"$read\"}"
    done
    printf '{"vhosts":[{"name":"kolga"}],"users":[%s],"permissions":[%s],"topic_permissions":[%s]}\n' \
        "$users" "$permissions" "$topics"
}
