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
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measures
import proofs
from part import HERE, ROOT, SKIPPED, Part, PartError, SkippedError, Where

PARTS = {
    "versions": Part(proofs.versions, 40),
    "selftest": Part(proofs.selftest, 180),
    "tests": Part(proofs.tests, 300, gpu=True),
    "sanitizer": Part(proofs.sanitizer, 120, gpu=True),
    "bits": Part(proofs.bits, 60),
    "accuracy": Part(proofs.accuracy, 90),
    "simulation": Part(proofs.simulation, 90),
    "microcircuit": Part(measures.microcircuit, 240),
    "torch_layer": Part(measures.torch_layer, 120),
    "ahead": Part(measures.ahead, 60),
    "steps-whole": Part(measures.steps(0), 30),
    "steps": Part(measures.steps(1), 40),
    "steps-rawhd": Part(measures.steps(2), 40),
    "steps-long": Part(measures.long_steps, 90),
    "steps-8192": Part(measures.steps(3), 60, gpu=True),
    "steps-4096-4096": Part(measures.steps(4), 120, gpu=True),
    "bandwidth": Part(measures.bandwidth, 30, gpu=True),
    "profile": Part(measures.profile, 60, gpu=True),
    "kernels": Part(measures.kernels, 60, gpu=True),
    "genn": Part(proofs.genn, 300, gpu=True),
    "steps-genn": Part(measures.genn_steps, 120, gpu=True),
    "smoke": Part(proofs.smoke, 90),
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
            keep(skipped=str(error))
            raise SystemExit(SKIPPED) from error


def start(name: str, arguments: argparse.Namespace, limit: float) -> dict[str, Any]:
    """Do a part in a process of its own; how it ended."""
    options = ["--part", name, "--backend", arguments.backend, "--out", str(arguments.out)]
    command = [sys.executable, str(Path(__file__)), *options]
    begin = time.perf_counter()
    environment = {"PYTHONUNBUFFERED": "1", "CUDA_MODULE_LOADING": "EAGER"}
    if arguments.backend == "cuda":  # what one part compiles others find, and what was compiled before none does
        environment["GENN_DELAYS_CACHE"] = str(arguments.out.resolve() / "cache")
    paths = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    with (arguments.out / "first_light.log").open("a") as log:
        log.write(f"\n===== {name} =====\n")
        log.flush()
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env=os.environ | environment | {"PYTHONPATH": paths},
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
    for package in proofs.refused(proofs.installed()):
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
