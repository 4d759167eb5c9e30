#!/usr/bin/env bash
# What a broker's container runs: RabbitMQ, with the users and rights of deploy/images/make-secrets.
set -euo pipefail

install -d -o rabbitmq -g rabbitmq /etc/rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
install -m 0400 -o rabbitmq -g rabbitmq /run/secrets/definitions /etc/rabbitmq/kolga.json
cat >/etc/rabbitmq/rabbitmq.conf <<'CONF'
load_definitions = /etc/rabbitmq/kolga.json
listeners.tcp.default = 5672
log.console = true
log.file = false
CONF
echo '[].' >/etc/rabbitmq/enabled_plugins
cd /var/lib/rabbitmq
# RUNNING_UNDER_SYSTEMD: the wrapper becomes the Erlang machine, which then gets the engine's signals.
exec setpriv --reuid rabbitmq --regid rabbitmq --init-groups \
    env HOME=/var/lib/rabbitmq RUNNING_UNDER_SYSTEMD=true /usr/lib/rabbitmq/bin/rabbitmq-server
