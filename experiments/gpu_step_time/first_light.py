"""Everything that is to be proven and measured on a GPU, as one command that loses nothing when it is cut off.

    python experiments/gpu_step_time/first_light.py --minutes 8 --out DIR

Parts run one after the other in order of worth, each in a process of its own with its own time limit. What a part finds
is appended to DIR/first_light.jsonl as soon as it is found, what it prints to DIR/first_light.log; a table of all parts
comes last. It begins by saying which of the versions it finds the library would refuse. It needs no network and fetches
nothing. Spoken digits lie where GENN_DELAYS_DATA says, else the parts that train on them say so. `--backend cpu` runs
at the smallest sizes what needs no GPU and lists the rest as skipped; the exit status is 0 where no part failed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE_VARIABLE = "GENN_DELAYS_CACHE"
PACKAGES = (
    "numpy", "scipy", "sympy", "jinja2", "safetensors", "platformdirs", "tomli-w", "tqdm", "matplotlib", "scikit-learn",
    "pooch", "cuda-core", "cuda-bindings", "cuda-pathfinder", "nvidia-cuda-nvrtc", "torch", "pygenn", "pytest",
)  # fmt: skip


class Where(NamedTuple):
    """What a part is told: the backend, a folder of its own, and a function that keeps a row of what it found."""

    backend: str
    folder: Path
    keep: Callable[..., None]


class PartError(Exception):
    """What a part was to show does not hold."""


class SkippedError(Exception):
    """What a part needs is not here."""


SKIPPED = 77
"""Exit status of a part's process that skipped it."""


def _run(*command: str, ok: tuple[int, ...] = (0,), **environment: str) -> str:
    """What a command prints; its output goes to the log, too. An error where it ends otherwise than well."""
    print("$", " ".join(command), flush=True)
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:  # as it comes: of a part that is stopped the log keeps what there was
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode not in ok:
        raise PartError(f"{' '.join(command[:6])} … ended with status {process.returncode}")
    return "".join(lines)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "genn_delays", *arguments]


def _digests(run: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((run / "checkpoints").iterdir())}


def _recordings(where: Where) -> None:
    """The spoken digits must be there; without them a GPU has not shown what it was to show."""
    if not os.environ.get("GENN_DELAYS_DATA"):
        error = PartError if where.backend == "cuda" else SkippedError
        raise error("no recordings: GENN_DELAYS_DATA does not say where they are")


def _installed() -> dict[str, str | None]:
    """Versions of the packages that matter here, None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def refused(installed: dict[str, str | None]) -> list[str]:
    """Which of these versions pyproject.toml does not allow, and what is wanted in their place."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return ["versions cannot be compared: package packaging is not installed"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    allowed: dict[str, list[Requirement]] = {}  # of extras that exclude each other any will do
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate():
            allowed.setdefault(requirement.name, []).append(requirement)
    allowed["python"] = [Requirement(f"python{project['requires-python']}")]
    return [
        f"{name} {version} (wanted: {' or '.join(sorted({str(r.specifier) for r in allowed[name]}))})"
        for name, version in installed.items()
        if version is not None and name in allowed
        if not any(r.specifier.contains(version, prereleases=True) for r in allowed[name])
    ]


# --- parts -----------------------------------------------------------------------------------------------------------


def versions(where: Where) -> None:
    """What is installed here, which of it the library would refuse, and whether a kernel runs."""
    where.keep(machine=platform.platform(), packages=_installed())
    where.keep(refused=refused(_installed()))
    _run(*_command("info"))
    if where.backend == "cuda":
        from genn_delays.backends.cuda.compiler import find_compiler
        from genn_delays.backends.cuda.real import gpus

        where.keep(gpus=[gpu._asdict() if hasattr(gpu, "_asdict") else vars(gpu) for gpu in gpus()])
        where.keep(compiler=find_compiler().version)


def selftest(where: Where) -> None:
    """The library's own self-test, cold and warm cache."""
    environment = {CACHE_VARIABLE: str(where.folder / "cache")}
    options = ["--backend", where.backend, "--json", *(["--quick"] if where.backend == "cpu" else [])]
    for cache in ("cold", "warm"):
        start = time.perf_counter()
        printed = _run(*_command("selftest", *options), ok=(0, 1), **environment)
        seconds = time.perf_counter() - start
        found = next((json.loads(line) for line in printed.splitlines() if line.startswith('{"backend"')), None)
        if found is None:
            raise PartError(f"the self-test printed no result: {printed.strip()[-300:]}")
        where.keep(cache=cache, seconds=seconds, result=found)
        if not found["ok"]:
            raise PartError("; ".join(row["name"] for row in found["rows"] if row["ok"] is False))


def smoke(where: Where) -> None:
    """`digits` for two epochs, twice, cold and warm cache: ends well, with equal bits."""
    digests, seconds = [], []
    for attempt in ("cold", "warm"):
        out = where.folder / attempt
        start = time.perf_counter()
        _run(*_command("train", "digits", "--epochs", "2", "--backend", where.backend, "--quiet", "--out", str(out)))
        seconds.append(time.perf_counter() - start)
        digests.append(_digests(out))
    where.keep(cold_s=seconds[0], warm_s=seconds[1], equal=digests[0] == digests[1], digests=digests[0])
    if digests[0] != digests[1]:
        raise PartError("two runs of one seed differ")


def tests(where: Where) -> None:
    """The tests that need a GPU."""
    workers = str(max(1, min(14, (os.cpu_count() or 2) - 2)))
    report = where.folder / "report.xml"
    # tests of data sets need no GPU, and may need packages that are not here
    options = ["-m", "cuda", "-n", workers, "--maxprocesses", workers, "-p", "no:cacheprovider", "--tb=short"]
    options += ["--ignore=tests/datasets"]
    printed = _run(sys.executable, "-m", "pytest", *options, f"--junitxml={report}", ok=(0, 1))
    last = printed.strip().splitlines()[-1]
    failed = sorted({line.split(" - ")[0] for line in printed.splitlines() if line.startswith(("FAILED", "ERROR"))})
    where.keep(result=last, failed=failed)
    if failed or "passed" not in last:
        raise PartError(last)


def sanitizer(where: Where) -> None:
    """A rewired training step under compute-sanitizer: no invalid access, no race."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(tool).exists():
        raise PartError("compute-sanitizer is not installed here")
    for check in ("memcheck", "racecheck"):
        start = time.perf_counter()
        printed = _run(tool, "--tool", check, "--error-exitcode", "9", sys.executable, str(HERE / "rewired_step.py"))
        where.keep(tool=check, seconds=time.perf_counter() - start, last=printed.strip().splitlines()[-1])


def accuracy(where: Where) -> None:
    """`fsdd_paper` to its accuracy, without a validation set as in the README."""
    _recordings(where)
    out, epochs = where.folder / "run", "60" if where.backend == "cuda" else "1"
    start = time.perf_counter()
    _run(*_command(
        "train", "fsdd_paper", "--validation", "0", "--epochs", epochs, "--backend", where.backend, "--quiet", "--out",
        str(out),
    ))  # fmt: skip
    seconds = time.perf_counter() - start
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    where.keep(seconds=seconds, result=json.loads((out / "result.json").read_text()), last=lines[-1])


def bits(where: Where) -> None:
    """Two runs of one seed of the published configuration give the same files."""
    _recordings(where)
    digests, epochs = [], "3" if where.backend == "cuda" else "1"
    for attempt in ("one", "two"):
        out = where.folder / attempt
        options = ["--epochs", epochs, "--backend", where.backend, "--quiet", "--out", str(out)]
        _run(*_command("train", "fsdd_paper", *options))
        digests.append(_digests(out))
    where.keep(equal=digests[0] == digests[1], digests=digests[0])
    if digests[0] != digests[1]:
        raise PartError("two runs of one seed differ")


def _measured(where: Where, network: str, what: str, measure: Callable[[], dict[str, float]]) -> None:
    """Keep a figure, or why there is none: on a GPU the others are measured all the same."""
    try:
        found: dict[str, Any] = dict(measure())
    except Exception as error:
        if where.backend == "cpu":  # it needs nothing that may be missing
            raise
        found = {"error": f"{type(error).__name__}: {error}"}
    where.keep(network=network, what=what, **found)


def steps(number: int) -> Callable[[Where], None]:
    """Time and memory of training steps of a network beside PyTorch on the same device."""

    def part(where: Where) -> None:
        import benchmark

        shape, gpu = benchmark.SHAPES[number], where.backend == "cuda"
        steps = 1 if not gpu else 4 if number == 4 else 20
        for sparsity in benchmark.SPARSITIES[::-1] if gpu else (benchmark.SPARSITIES[-1],):
            what = f"{100 * sparsity:g} % sparse"
            _measured(where, str(shape), what, partial(benchmark.ours, shape, sparsity, where.backend, steps))
        if gpu and not shape.whole:
            _measured(where, str(shape), "PyTorch, dense", partial(benchmark.dense, shape, "cuda", steps))

    part.__doc__ = steps.__doc__
    return part


def profile(where: Where) -> None:
    """Time and traffic of every kernel of a small network's step, inside its graph, by Nsight Compute."""
    tool = shutil.which("ncu") or "/usr/local/cuda/bin/ncu"
    if not Path(tool).exists():
        raise PartError("Nsight Compute (ncu) is not installed here")
    metrics = ["gpu__time_duration.sum", "dram__bytes.sum", "lts__t_bytes.sum"]
    for number in (0, 1):
        printed = _run(
            tool, "--clock-control", "none", "--graph-profiling", "node", "--metrics", ",".join(metrics), "--csv",
            "--kernel-name-base", "function", sys.executable, str(HERE / "few_steps.py"), str(number),
        )  # fmt: skip
        for name, found in _of_kernels(printed, metrics).items():
            where.keep(shape=number, kernel=name, **found)


def _of_kernels(printed: str, metrics: list[str]) -> dict[str, dict[str, float]]:
    """By kernel, how often it ran and the medians of metrics, out of what Nsight Compute prints."""
    lines = printed.splitlines()
    begin = next((k for k, line in enumerate(lines) if line.startswith('"ID"')), len(lines))
    values: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(lines[begin:]):
        if row.get("Metric Name") in metrics:
            found = values.setdefault(row["Kernel Name"], {})
            found.setdefault(row["Metric Name"], []).append(float(row["Metric Value"].replace(",", "")))
    return {
        name: {"times": len(next(iter(found.values()))), **{m: statistics.median(v) for m, v in found.items()}}
        for name, found in values.items()
    }


def kernels(where: Where) -> None:
    """Time of every kernel of a training step, by CUDA's events around each launch (no graphs)."""
    import benchmark
    from kernel_times import kernel_times

    for shape, sparsity in ((benchmark.SHAPES[3], 0.99), (benchmark.SHAPES[4], 0.99)):
        for name, found in kernel_times(shape, sparsity).items():
            where.keep(network=str(shape), what=f"{100 * sparsity:g} % sparse", kernel=name, **found)


def bandwidth(where: Where) -> None:
    """What a copy on the device reaches."""
    import benchmark

    from genn_delays.runs.build import compile_network

    with compile_network(benchmark.config_of(benchmark.SHAPES[1], 0.875, "cuda")) as compiled:
        rates = [benchmark.copy_bandwidth(compiled.engine.module) for _ in range(3)]  # type: ignore[attr-defined]
    where.keep(gb_per_s=statistics.median(rates))


class Part(NamedTuple):
    """A part, how many seconds it may take, and whether it needs a GPU."""

    work: Callable[[Where], None]
    limit: float
    gpu: bool = False


PARTS = {
    "versions": Part(versions, 40),
    "selftest": Part(selftest, 150),
    "smoke": Part(smoke, 90),
    "tests": Part(tests, 150, gpu=True),
    "accuracy": Part(accuracy, 90),
    "bits": Part(bits, 60),
    "bandwidth": Part(bandwidth, 30, gpu=True),
    "steps-whole": Part(steps(0), 30),
    "steps": Part(steps(1), 40),
    "profile": Part(profile, 60, gpu=True),
    "steps-rawhd": Part(steps(2), 40),
    "steps-8192": Part(steps(3), 60, gpu=True),
    "steps-4096-4096": Part(steps(4), 120, gpu=True),
    "kernels": Part(kernels, 60, gpu=True),
    "sanitizer": Part(sanitizer, 120, gpu=True),
}
"""In order of worth; the versions go before, which take a moment and explain what fails."""


# --- one after the other ---------------------------------------------------------------------------------------------


def work(name: str, backend: str, results: Path) -> None:
    """Do a part in this process."""
    sys.path[:0] = [str(ROOT), str(HERE)]

    def keep(**row: Any) -> None:
        line = json.dumps({"part": name, **row})
        print(line[:400], flush=True)
        with results.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    with tempfile.TemporaryDirectory() as folder:
        try:
            PARTS[name].work(Where(backend, Path(folder), keep))
        except PartError as error:
            raise SystemExit(f"{name}: {error}") from error
        except SkippedError as error:
            print(f"{name}: {error}", flush=True)
            raise SystemExit(SKIPPED) from error


def start(name: str, arguments: argparse.Namespace, limit: float) -> dict[str, Any]:
    """Do a part in a process of its own; how it ended."""
    options = ["--part", name, "--backend", arguments.backend, "--out", str(arguments.out)]
    command = [sys.executable, str(Path(__file__)), *options]
    begin = time.perf_counter()
    paths = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    with (arguments.out / "first_light.log").open("a") as log:
        log.write(f"\n===== {name} =====\n")
        log.flush()
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "CUDA_MODULE_LOADING": "EAGER"},
        )  # fmt: skip
        try:
            ended = {0: "passed", SKIPPED: "skipped"}.get(process.wait(limit), "failed")
        except subprocess.TimeoutExpired:
            ended = f"stopped after {limit:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return {"part": name, "ended": ended, "seconds": round(time.perf_counter() - begin, 1)}


def main() -> None:
    """Run parts, in this order, while there is time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", help="names of parts with commas between: " + ", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=8.0, help="when no part begins any more")
    parser.add_argument("--out", type=Path, required=True, help="folder of first_light.jsonl and first_light.log")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    results = arguments.out / "first_light.jsonl"
    if arguments.part:
        work(arguments.part, arguments.backend, results)
        return
    names = arguments.only.split(",") if arguments.only else list(PARTS)
    for name in names:
        if name not in PARTS:
            parser.error(f"unknown part {name!r}, these are: {', '.join(PARTS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for package in refused(_installed()):
        print(f"the library would refuse {package}", flush=True)
    end, summary = time.monotonic() + 60 * arguments.minutes, []
    for name in names:
        left = end - time.monotonic()
        row = {"part": name, "ended": "no time left", "seconds": 0.0}
        if PARTS[name].gpu and arguments.backend != "cuda":
            row["ended"] = "skipped"
        elif left > 5:
            row = start(name, arguments, min(left, PARTS[name].limit))
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        summary.append(row)
        print(f"{row['part']:12} {row['ended']:20} {row['seconds']:8.1f} s", flush=True)
    for line in results.read_text().splitlines():
        print(line[:300])
    raise SystemExit(0 if all(row["ended"] in ("passed", "skipped") for row in summary) else 1)


if __name__ == "__main__":
    main()
