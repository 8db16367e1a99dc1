"""Parts of first light that prove: what is installed, whether it computes what it should, twice the same."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from part import HERE, ROOT, PartError, SkippedError, Where, command, run

if TYPE_CHECKING:
    from genn_delays import GeNN

PACKAGES = (
    "numpy", "scipy", "sympy", "jinja2", "safetensors", "platformdirs", "tomli-w", "tqdm", "matplotlib", "scikit-learn",
    "pooch", "cuda-core", "cuda-bindings", "cuda-pathfinder", "nvidia-cuda-nvrtc", "torch", "pygenn", "pytest",
)  # fmt: skip


def installed() -> dict[str, str | None]:
    """Versions of the packages that matter here, None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def refused(installed: dict[str, str | None]) -> list[str]:
    """The versions that pyproject.toml does not allow, with those that it wants."""
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


def versions(where: Where) -> None:
    """Installed versions, those that the library would refuse, and whether a kernel runs."""
    where.keep(machine=platform.platform(), packages=installed())
    where.keep(refused=refused(installed()))
    run(*command("info"))
    if where.backend == "cuda":
        from genn_delays.backends.cuda.compiler import find_compiler
        from genn_delays.backends.cuda.real import gpus

        where.keep(gpus=[gpu._asdict() if hasattr(gpu, "_asdict") else vars(gpu) for gpu in gpus()])
        where.keep(compiler=find_compiler().version)


def selftest(where: Where) -> None:
    """The library's own self-test, twice: with a new folder of results the cache is cold the first time."""
    options = ["--backend", where.backend, "--json", *(["--quick"] if where.backend == "cpu" else [])]
    for attempt in ("first", "second"):
        start = time.perf_counter()
        printed = run(*command("selftest", *options), ok=(0, 1))
        seconds = time.perf_counter() - start
        found = next((json.loads(line) for line in printed.splitlines() if line.startswith('{"backend"')), None)
        if found is None:
            raise PartError(f"the self-test printed no result: {printed.strip()[-300:]}")
        where.keep(attempt=attempt, seconds=seconds, compiling=found["compiling"], result=found)
        if not found["ok"]:
            raise PartError("; ".join(row["name"] for row in found["rows"] if row["ok"] is False))


def tests(where: Where) -> None:
    """The tests that need a GPU."""
    _marked("cuda", where)


def genn(where: Where) -> None:
    """The tests of backend `genn`, on GeNN's CUDA kernels."""
    genn_on_cuda()
    _marked("genn", where)


def genn_on_cuda() -> GeNN:
    """GeNN's CUDA, or a SkippedError that says what is missing."""
    from genn_delays import GeNN

    backend = GeNN("cuda")
    found = backend.availability()
    if not found.available:
        raise SkippedError(" ".join(found.detail.split()))
    return backend


def _marked(marker: str, where: Where) -> None:
    """The tests with a marker, as many at once as there are processors."""
    workers = str(max(1, min(14, (os.cpu_count() or 2) - 2)))
    report = where.folder / "report.xml"
    # what a worker has not begun another one takes, as some tests take far longer than most
    options = ["-m", marker, "-n", workers, "--maxprocesses", workers, "--dist", "worksteal", "--tb=short"]
    # a line for every test that has ended, for where they are stopped; tests of data sets need no GPU, and may need
    # packages that are not here
    options += ["-vv", "-p", "no:cacheprovider", "--durations=10", "--ignore=tests/datasets"]
    printed = run(sys.executable, "-m", "pytest", *options, f"--junitxml={report}", ok=(0, 1))
    last = printed.strip().splitlines()[-1].strip("= ")
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
        printed = run(tool, "--tool", check, "--error-exitcode", "9", sys.executable, str(HERE / "rewired_step.py"))
        where.keep(tool=check, seconds=time.perf_counter() - start, last=printed.strip().splitlines()[-1])


def smoke(where: Where) -> None:
    """`digits` for two epochs, twice, cold and warm cache: ends well, with equal bits."""
    digests, seconds = [], []
    cache = {"GENN_DELAYS_CACHE": str(where.folder / "cache")}
    options = ["--epochs", "2", "--backend", where.backend, "--quiet"]
    for attempt in ("cold", "warm"):
        out = where.folder / attempt
        start = time.perf_counter()
        run(*command("train", "digits", *options, "--out", str(out)), **cache)
        seconds.append(time.perf_counter() - start)
        digests.append(digests_of(out))
    where.keep(cold_s=seconds[0], warm_s=seconds[1], equal=digests[0] == digests[1], digests=digests[0])
    if digests[0] != digests[1]:
        raise PartError("two runs of one seed differ")


def bits(where: Where) -> None:
    """Two runs of one seed of the published configuration give the same files."""
    recordings(where)
    digests, epochs = [], "3" if where.backend == "cuda" else "1"
    for attempt in ("one", "two"):
        out = where.folder / attempt
        options = ["--epochs", epochs, "--backend", where.backend, "--quiet", "--out", str(out)]
        run(*command("train", "fsdd_paper", *options))
        digests.append(digests_of(out))
    where.keep(equal=digests[0] == digests[1], digests=digests[0])
    if digests[0] != digests[1]:
        raise PartError("two runs of one seed differ")


def accuracy(where: Where) -> None:
    """`fsdd_paper` to its accuracy, without a validation set as in the README."""
    recordings(where)
    out, epochs = where.folder / "run", "60" if where.backend == "cuda" else "1"
    start = time.perf_counter()
    run(*command(
        "train", "fsdd_paper", "--validation", "0", "--epochs", epochs, "--backend", where.backend, "--quiet", "--out",
        str(out),
    ))  # fmt: skip
    seconds = time.perf_counter() - start
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    where.keep(seconds=seconds, result=json.loads((out / "result.json").read_text()), last=lines[-1])


def simulation(where: Where) -> None:
    """Simulations have every bit of the definition: those of the self-test; and Brunel's network that of `cpu`."""
    from genn_delays.selftest import selftest
    from genn_delays.selftest.simulations import SIMULATIONS

    report = selftest(where.backend, only=[case.name for case in SIMULATIONS])
    where.keep(rows=[vars(row) for row in report.rows])
    gpu = where.backend == "cuda"
    small = ["--scale", "0.02", "--duration", "20", "--set", "simulation.transient=0"]
    other, options = ("cpu", ["--duration", "500"]) if gpu else ("reference", small)
    spikes = []
    for backend in (where.backend, other):
        out = where.folder / backend
        run(*command("simulate", "brunel", *options, "--backend", backend, "--quiet", "--out", str(out)))
        spikes.append({path.name: sha256_of(path) for path in sorted((out / "spikes").iterdir())})
    where.keep(network="brunel", backends=[where.backend, other], equal=spikes[0] == spikes[1], digests=spikes[0])
    if not report.ok or spikes[0] != spikes[1] or not spikes[0]:
        raise PartError("; ".join(report.failed()) or f"spikes of {where.backend} and {other} differ")


def sha256_of(path: Path) -> str:
    """A file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each of a run's checkpoints, by file name."""
    return {p.name: sha256_of(p) for p in sorted((folder / "checkpoints").iterdir())}


def recordings(where: Where) -> None:
    """The spoken digits must be there; without them a GPU has not shown what it was to show."""
    if not os.environ.get("GENN_DELAYS_DATA"):
        error = PartError if where.backend == "cuda" else SkippedError
        raise error("no recordings: GENN_DELAYS_DATA does not say where they are")
