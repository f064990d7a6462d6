#!/usr/bin/env python3
"""Measures Nylon and its peers in the same run.

    python3 benchmarks/run.py                        the matrix and all scenarios
    python3 benchmarks/run.py --quick                one round of one second: does everything run?
    python3 benchmarks/run.py --only nginx,nylon-proxy --scenarios none
    python3 benchmarks/run.py --no-matrix --scenarios no_worker,kill_worker
    python3 benchmarks/run.py --table results/FILE.json

Exit codes: 0 every requirement is met, 1 one is not or was not measured, 2 cannot run (says why),
3 refused: the machine is too disturbed.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import scenarios
from bench import tools
from bench.matrix import CELL_FLOOR, Plan, Refused, check_machine, median_of, one_round, refuse_below_floor
from bench.places import WORK
from bench.processes import BenchError, ended_by_signals, free_port
from bench.requirements import judge
from bench.results import Run
from bench.systems.base import System
from bench.systems.nylon import OURS
from bench.systems.nylon_go import GO
from bench.systems.peers import PEERS, Direct, Nginx
from bench.table import markdown

SYSTEMS: tuple[type[System], ...] = (Direct, *PEERS, *OURS, *GO)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measured interval (default 2)")
    parser.add_argument(
        "--quick", action="store_true", help="1 round, 1 s, bare requests, 64 connections; short scenarios"
    )
    parser.add_argument("--only", default="", help="systems, comma-separated: " + ", ".join(s.name for s in SYSTEMS))
    parser.add_argument("--no-matrix", action="store_true", help="scenarios only")
    parser.add_argument("--scenarios", default="all", help="all, none, or names: " + ", ".join(scenarios.NAMES))
    parser.add_argument("--table", type=Path, help="only print the table of an earlier run")
    return parser.parse_args()


def chosen(text: str, known: list[str], what: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"choosing {what}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def say(text: str) -> None:
    print(text, flush=True)


def run_matrix(run: Run, direct: System, plan: Plan, names: list[str]) -> None:
    wanted = [system for system in SYSTEMS if system is not Direct and (not names or system.name in names)]
    for number in range(1, plan.rounds + 1):
        if not names or Direct.name in names:
            run.samples += one_round(number, direct, plan, say)
        # every other round backwards, so that no system always follows the same neighbour
        for kind in wanted if number % 2 else reversed(wanted):
            if kind.name in run.absent:
                continue
            try:
                with kind(direct.port) as system:
                    run.samples += one_round(number, system, plan, say)
            except BenchError as error:
                run.absent[kind.name] = str(error)
                say(f"round {number}  {kind.title:<40} not measured: {error}")
            run.save()
    medians = [median_of(run.samples, name, CELL_FLOOR, lambda sample: sample.load.rps) for name in ("nginx", "direct")]
    if medians[0] is not None and medians[1] is not None:
        refuse_below_floor(medians[0], medians[1])


def run_scenarios(run: Run, direct: System, names: list[str], quick: bool) -> None:
    for name in names:
        try:
            result = scenarios.run(name, direct.port, quick)
        except BenchError as error:
            run.absent[name] = str(error)
            say(f"scenario {name}: not measured: {error}")
        else:
            run.scenarios.append(result)
            verdict = "pass" if result["passed"] else "FAIL"
            say(
                f"scenario {name}: {verdict}: {result['figure']} (required {result['required']}, good {result['good']})"
            )
        run.save()


def measure(options: argparse.Namespace) -> int:
    plan = Plan(rounds=options.rounds, seconds=options.seconds)
    if options.quick:
        plan = Plan(rounds=1, seconds=1.0, connections=(64,), shapes=("bare",))
    systems = chosen(options.only, [system.name for system in SYSTEMS], "systems")
    wanted = {"all": ",".join(scenarios.NAMES), "none": ""}.get(options.scenarios, options.scenarios)
    names = chosen(str(wanted), list(scenarios.NAMES), "scenarios")
    need_nylon = bool(names) or not systems or any(name.startswith("nylon") for name in systems)
    tools.prepare(say, need_nylon=need_nylon)
    run = Run.begin({**plan.__dict__, "quick": options.quick, "scenarios": options.scenarios, "only": options.only})
    run.titles = {system.name: system.title for system in SYSTEMS}
    with Direct(free_port()) as direct:
        try:
            run.nginx_over_direct = check_machine(direct, Nginx, min(3.0, plan.seconds))
            say(f"nginx's proxy ÷ direct: {run.nginx_over_direct:.0%}")
            if not options.no_matrix:
                run_matrix(run, direct, plan, systems)
            run_scenarios(run, direct, names, options.quick)
        except Refused as error:
            run.refused = str(error)
        finally:
            path = run.save()
    report = markdown(run)
    path.with_suffix(".md").write_text(report)
    say(f"\n{report}\nraw results: {path}")
    if run.refused:
        print(f"refused: {run.refused}", file=sys.stderr)
        return 3
    met = all(judged.passed for judged in judge(run.samples)) and all(s["passed"] for s in run.scenarios)
    return 0 if met and not run.absent else 1


def main() -> int:
    options = arguments()
    if options.table:
        print(markdown(Run.load(options.table)))
        return 0
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another run of the benchmark is under way here", file=sys.stderr)
            return 2
        try:
            with ended_by_signals():
                return measure(options)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
