"""Where everything lies. Nothing is written outside `benchmarks/.work` and `benchmarks/results`."""

from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent
CONFIGS = HERE / "configs"
AUTH = HERE / "auth"
LOADGEN = HERE / "loadgen"
RESULTS = HERE / "results"
WORK = HERE / ".work"
VENV = WORK / "venv"
RUNS = WORK / "run"
