"""`make run`: upstream, NATS, two workers and the gateway, then three lines to try.

`--free-ports` takes free ports instead of 8080, 6192 and 9000, for tests and busy machines. The exit code is that of
`nylon run` (docs/exit-codes.md): 4 where a port is taken.
"""

import argparse
import http.client
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import upstream

from nylon.control.child import Child
from nylon.control.exit_codes import ExitCode

HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 60.0
GRACE_SECONDS = 40.0
UPSTREAM_PORT = 9000
ELSEWHERE = "end what listens there, or take free ports: make run FREE_PORTS=1"
LINES = """
Nylon is running. Try, in another terminal:

  curl -i http://{address}/orders
      401: no token
  curl -i -H 'Authorization: Bearer s3cret' http://{address}/orders
      200: the upstream saw X-Auth-User: alice
  curl -i http://{address}/hello/world
      200: answered by the plugin itself

Ctrl-C ends it all. The plugin is examples/quickstart/auth.py, the configuration nylon.yaml beside it.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--free-ports", action="store_true")
    free = parser.parse_args().free_ports
    try:
        server = upstream.start(0 if free else UPSTREAM_PORT)
    except OSError as error:
        print(
            f"error: listening on 127.0.0.1:{UPSTREAM_PORT} for the demo upstream: {error.strerror}; {ELSEWHERE}",
            file=sys.stderr,
        )
        return ExitCode.ADDRESS
    threading.Thread(target=server.serve_forever, daemon=True).start()
    text = (HERE / "nylon.yaml").read_text()
    if free:
        text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:6192", "127.0.0.1:0")
        text = text.replace(f"port: {UPSTREAM_PORT}", f"port: {server.server_port}")
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "nylon.yaml"
        config.write_text(text)
        command = [sys.executable, "-m", "nylon", "run", "-c", str(config)]
        # Under a guard: it ends with us however we do, and a Ctrl-C reaches it once, through us.
        gateway = Child(command, grace=GRACE_SECONDS, cwd=HERE, stderr=subprocess.PIPE)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            return serve(gateway)
        except KeyboardInterrupt:
            return gateway.stop()


def serve(gateway: Child) -> int:
    addresses: dict[str, str] = {}
    listening = threading.Event()

    def follow() -> None:
        for raw in gateway.stderr or ():
            line = raw.decode(errors="replace")
            sys.stderr.write(line)
            if found := re.search(r"listening listener=(\w+) address=(\S+)", line):
                addresses[found[1]] = found[2]
                if len(addresses) == 2:
                    listening.set()
        listening.set()

    threading.Thread(target=follow, daemon=True).start()
    listening.wait(PATIENCE_SECONDS)
    if len(addresses) == 2 and wait_for_worker(addresses["admin"]):
        print(LINES.format(address=addresses["http"]), flush=True)
    code = gateway.wait()
    if code == ExitCode.ADDRESS:
        print(f"error: the gateway cannot listen, as it says above; {ELSEWHERE}", file=sys.stderr)
    return code


def wait_for_worker(admin: str) -> bool:
    """Look at the metrics until a worker has announced itself: they need a moment to start."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(admin, timeout=10)
        try:
            connection.request("GET", "/metrics")
            if re.search(r"^nylon_workers\{.*\} [1-9]", connection.getresponse().read().decode(), re.MULTILINE):
                return True
        except OSError:
            return False
        finally:
            connection.close()
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    sys.exit(main())
