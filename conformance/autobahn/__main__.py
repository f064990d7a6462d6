"""`python -m conformance.autobahn`: the Autobahn suite against plugins that echo, over all transports."""

import argparse
import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from conformance.runner.cases import HERE, CaseError
from conformance.runner.gateway import Gateway
from conformance.runner.programs import Program, Testee, Transport, nats_server

from . import report, suite

LONGEST = 16 << 20
"""What section 9 sends, in bytes."""
ECHO = {"request_filter": [{"do": "websocket", "max_message_bytes": LONGEST, "steps": [{"do": "echo"}]}]}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="autobahn", description=__doc__)
    parser.add_argument("cases", nargs="*", help="such as 9.1.6 or 6.*; all if there is none, which writes the report")
    parser.add_argument("--over", action="append", help="such as python/nats; every transport if there is none")
    return parser.parse_args()


def configuration(transport: Transport, nats: str, group: str) -> dict[str, Any]:
    """A gateway whose only service is the echo."""
    plugin = {"name": "judged", "max_body_bytes": LONGEST, **transport.plugin}
    if plugin["type"] == "messaging":
        plugin |= {"group": group}
    return {
        "http": ["127.0.0.1:0"],
        "metrics": ["127.0.0.1:0"],
        "threads": 1,
        "messaging": [{"name": "bus", "type": "nats", "servers": [nats]}] if "group" in plugin else [],
        "plugins": [plugin],
        "services": [
            {
                "name": "echo",
                "service_type": "plugin",
                "plugin": {"name": "judged", "entry": "plan_async", "payload": ECHO},
            }
        ],
        "routes": [
            {
                "name": "all",
                "route": {"type": "host", "value": "*"},
                "paths": [{"path": "/", "service": {"name": "echo"}}],
            }
        ],
    }


async def judge(options: argparse.Namespace) -> int:
    """Start what is asked for and run the suite; how many cases are bad."""
    python = suite.interpreter()
    suite.install(python)
    async with AsyncExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autobahn-")))
        nats, url = await nats_server()
        stack.push_async_callback(nats.kill)
        gateway, servers = Testee.load("gateway", made), dict[str, str]()
        for testee in (Testee.load(name, made) for name in ("python", "go")):
            for transport in testee.transports:
                name = f"{testee.name}/{transport.name}"
                if options.over and name not in options.over:
                    continue
                if transport.serves:
                    testee.make()
                    told = {"NATS_SERVERS": url, "NATS_GROUP": testee.name}
                    worker = await Program.start(testee.command, {**testee.env, **told})
                    stack.push_async_callback(worker.kill)
                    await worker.line("worker started")
                testee.make_transport(transport)
                running = await Gateway.start(gateway, configuration(transport, url, testee.name))
                stack.push_async_callback(running.stop)
                servers[name] = f"ws://{running.address}/"
        if not servers:
            raise CaseError(f"looking for {', '.join(options.over)}: no such testee and transport")
        seen = await suite.run(python, servers, options.cases or ["*"], made)
    print(report.text(seen))
    if not options.cases and not options.over:
        (HERE / "autobahn" / "REPORT.md").write_text(report.page(seen), encoding="utf-8")
    return sum(report.is_bad(case, one) for cases in seen.values() for case, one in cases.items())


def main() -> int:
    """Exit status 0 if no case has failed."""
    try:
        return min(1, asyncio.run(judge(arguments())))
    except CaseError as error:
        print(error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
