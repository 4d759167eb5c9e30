# shellcheck shell=bash
# An authority of the stack's own, and a certificate of it for its database servers, which offer TLS to whoever wants it: a
# worker's with `ca_file`, and no other's. Needs $STACK and openssl.

AUTHORITY() { printf '%s/authority' "$STACK"; }

authority_make() {
    local home work
    home="$(AUTHORITY)"
    [ ! -e "$home/ready" ] || return 0
    install -d -m 0755 "$home"
    work="$home/work"
    install -d -m 0700 "$work"
    {
        authority_key "$work/ca.key" -x509 -days 3650 -subj "/CN=Authority of a test stack" -out "$home/ca.pem"
        authority_key "$work/server.key" -subj "/CN=databases" -out "$work/server.csr"
        # Clients come by the address, and look for nothing else.
        printf 'subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n' >"$work/server.ext"
        openssl x509 -req -days 3650 -in "$work/server.csr" -CA "$home/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
            -extfile "$work/server.ext" -out "$home/server.pem"
    } 2>>"$STACK/log/authority.log" || die "no certificate could be made; see $STACK/log/authority.log"
    write_for "$STACK_USER" 0600 "$home/server.key" <"$work/server.key"
    chmod 0644 "$home/ca.pem" "$home/server.pem"
    rm -r "$work"
    touch "$home/ready"
}

# authority_key FILE ARGUMENT...: a new key, and what openssl makes with it.
authority_key() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$@"
}

# authority_php: what a php-fpm needs for applications that cannot name the authority themselves.
authority_php() {
    printf 'php_admin_value[openssl.cafile] = %s/ca.pem\n' "$(AUTHORITY)"
    printf 'php_admin_value[openssl.capath] = /etc/ssl/certs\n'
}
