#!/usr/bin/env bash
# What a hub's container runs: deploy/setup-hub at the first start, then the hub.
set -euo pipefail

/kolga/deploy/setup-hub --bin /usr/local/bin </run/secrets/amqp
# The broker's URL stands for a machine of its own here; everything else is as on a server.
exec setpriv --reuid kolga-hub --regid kolga-hub --init-groups --inh-caps=-all \
    /usr/local/bin/kolga serve --config /etc/kolga/hub.toml
