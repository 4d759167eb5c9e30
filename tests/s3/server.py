"""An S3 server for tests: OpenStack's Swift (Debian's python3-swift), all of its servers in one process on the loopback address, with
one copy of everything in one folder, and nothing in the background.

Usage: server.py FOLDER PORT. The folder holds `accounts`, a line for each key: key (account:user), secret, and `admin` where it may make
buckets; and `cert` and `cert.key`, since restic signs what it sends in pieces where there is no TLS, which this Swift does not take.
"""

import os
import sys

import eventlet

eventlet.patcher.monkey_patch()

from eventlet import wsgi  # noqa: E402
from paste.deploy import loadapp  # noqa: E402
from swift.common import storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

# What stands in each of their configurations.
COMMON = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1
log_level = WARNING
user = nobody
"""
# Without fsync, since nothing of it outlives a test.
SERVER = """
[pipeline:main]
pipeline = app
[app:app]
use = egg:swift#{kind}
disable_fallocate = true
"""
PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
"""
POLICY = """
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = only
default = yes
"""


class Cache:
    """What the proxy asks of memcached, of which there is none: time limits are longer than a test."""

    def __init__(self):
        self.all = {}

    def get(self, key, **_):
        return self.all.get(key)

    def set(self, key, value, **_):
        self.all[key] = value

    def delete(self, key, **_):
        self.all.pop(key, None)

    def incr(self, key, delta=1, **_):
        self.all[key] = self.all.get(key, 0) + delta
        return self.all[key]


def cached(app):
    cache = Cache()

    def with_cache(environment, start):
        environment["swift.cache"] = cache
        return app(environment, start)

    return with_cache


def listen(port):
    return eventlet.listen(("127.0.0.1", port), reuse_addr=True)


def ring(folder, name, port):
    builder = RingBuilder(4, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port,
              "device": "one", "weight": 1.0, "meta": ""}
    builder.add_dev(dict(device, replication_ip="127.0.0.1", replication_port=port))
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, name + ".ring.gz"))


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def users(folder):
    """As lines of tempauth's, which knows an account's user by them."""
    with open(os.path.join(folder, "accounts"), encoding="utf-8") as file:
        for line in file:
            key, *rest = line.split()
            account, user = key.split(":")
            groups = " ".join("." + word for word in rest[1:])
            yield f"user_{account}_{user} = {rest[0]} {groups}\n"


def main(folder, port):
    os.makedirs(os.path.join(folder, "devices", "one"), exist_ok=True)
    write(folder, "swift.conf", POLICY)
    utils.set_swift_dir(folder)
    storage_policy.reload_storage_policies()
    common = COMMON.format(folder=folder)
    serving = []

    def serve(name, text, sock):
        path = write(folder, name + ".conf", common + text)
        app = cached(loadapp("config:" + path))
        with_quiet_log = {"log_output": False, "capitalize_response_headers": False}
        serving.append(eventlet.spawn(wsgi.server, sock, app, **with_quiet_log))

    for kind in ("account", "container", "object"):
        sock = listen(0)
        ring(folder, kind, sock.getsockname()[1])
        serve(kind, SERVER.format(kind=kind), sock)
    cert = os.path.join(folder, "cert")
    tls = {"certfile": cert, "keyfile": cert + ".key", "server_side": True}
    sock = eventlet.wrap_ssl(listen(port), **tls)
    serve("proxy", PROXY + "".join(users(folder)), sock)
    for server in serving:
        server.wait()


if __name__ == "__main__":
    main(os.path.realpath(sys.argv[1]), int(sys.argv[2]))
