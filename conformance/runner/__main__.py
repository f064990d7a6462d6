"""`python -m conformance.runner`: judge testees, or see whether the judge would catch their bugs."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from . import mutants, plugin_mutants, report, rules, vectors
from .cases import HERE, Case, load
from .likeness import Likeness
from .plugin_runs import run_plugins
from .programs import Testee, nats_server
from .runs import run_testee


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("cases", nargs="*", help="beginnings of case ids; all if there is none")
    parser.add_argument("--testee", action="append", help="a folder of conformance/testees; all if there is none")
    parser.add_argument("--mutants", action="store_true", help="run the deliberate bugs instead")
    parser.add_argument("--rules", choices=["write", "check"], help="only the table of rules and cases")
    parser.add_argument("--json", type=Path, help="write the results as JSON")
    parser.add_argument("--junit", type=Path, help="write the results as JUnit XML")
    parser.add_argument("--slowest", type=int, default=0, help="name so many of the slowest cases")
    return parser.parse_args()


async def judge(options: argparse.Namespace, cases: list[Case]) -> int:
    """Run the cases; how many failed."""
    # the mutants try the judge, so one testee of each kind is enough, if it declares every feature
    every = sorted(path.parent.name for path in HERE.glob("testees/*/testee.toml"))
    names = options.testee or (["gateway", "python"] if options.mutants else every)
    wanted = [case for case in cases if not options.cases or case.id.startswith(tuple(options.cases))]
    results: list[report.Result] = []
    with tempfile.TemporaryDirectory(prefix="conformance-") as made:
        testees = [Testee.load(name, Path(made)) for name in names]
        kinds = {case.kind for case in wanted}
        testees = [one for one in testees if options.mutants or kinds & {one.kind, "plugin" if one.transports else ""}]
        for testee in testees:
            testee.make()
        nats, url = await nats_server()
        likeness, gateway = Likeness(), Testee.load("gateway", Path(made))
        try:
            for testee in testees:
                if options.mutants:
                    results += await mutants.run(testee, url, cases, options.cases)
                    if testee.transports:
                        results += await plugin_mutants.run(testee, gateway, url, cases, options.cases)
                else:
                    results += await run_testee(testee, url, wanted)
                    results += await run_plugins(testee, gateway, url, wanted, likeness)
        finally:
            await nats.kill()
    print(report.table(results))
    for one in sorted(results, key=lambda one: -one.seconds)[: options.slowest]:
        print(f"{one.seconds:6.2f} s  {one.testee} {one.case.id}")
    report.write(results, options.json, options.junit)
    return sum(one.verdict == report.FAILED for one in results)


def main() -> int:
    """Exit status 0 if every testee keeps the protocol."""
    options, begun = arguments(), time.monotonic()
    cases = load()
    wrong = [*vectors.check(), *rules.check(cases, write=options.rules == "write")]
    if wrong:
        print("\n".join(wrong))
        return 1
    if options.rules:
        return 0
    failed = asyncio.run(judge(options, cases))
    print(f"{failed} failed in {time.monotonic() - begun:.0f} s")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
