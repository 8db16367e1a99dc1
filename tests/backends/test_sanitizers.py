"""The generated C++ under the compiler's sanitizers: no data race, no access outside an array, nothing undefined.

Kernels are instrumented, Python is not, so the sanitizer's library is loaded first. Each run is a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
FLAGS = {"thread": "-fsanitize=thread", "address": "-fsanitize=address,undefined -fno-sanitize-recover=undefined"}
OPTIONS = {
    "thread": {"TSAN_OPTIONS": "exitcode=66"},
    "address": {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1", "PYTHONMALLOC": "malloc"},
}
LIBRARIES = {"thread": "libtsan.so", "address": "libasan.so"}
RECURRENT = {"numbered": ("1", "5"), "current_based": ("1", "5")}
"""Seeds of networks on cycles."""


@cache
def _library(sanitizer: str) -> str:
    """The path of g++'s library for a sanitizer, or why there is none."""
    if sys.platform != "linux" or shutil.which("g++") is None or shutil.which("setarch") is None:
        return "sanitizers run with g++ on Linux"
    command = ["g++", f"-print-file-name={LIBRARIES[sanitizer]}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def watched(sanitizer: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of ``sanitized.py`` with kernels that a sanitizer watches."""
    library = _library(sanitizer)
    if not Path(library).is_file():
        pytest.skip(f"no {LIBRARIES[sanitizer]} here: {library}")
    environment = {
        **os.environ, **OPTIONS[sanitizer], "CXX": f"g++ -g {FLAGS[sanitizer]}", "GENN_DELAYS_CACHE": str(folder),
    }  # fmt: skip
    preloaded = ["env", f"LD_PRELOAD={library}", sys.executable, str(TESTS / "sanitized.py"), *arguments]
    # ThreadSanitizer wants memory where it expects it: addresses are not drawn at random
    done = subprocess.run(["setarch", "-R", *preloaded], capture_output=True, text=True, env=environment, timeout=900)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", sorted(RECURRENT))
def test_no_data_race_on_cycles(kind, tmp_path):
    """A few networks on cycles, with four threads; the rest of them is tested where sanitizers are asked for."""
    status, output = watched("thread", tmp_path, kind, *RECURRENT[kind])
    assert "WARNING: ThreadSanitizer" not in output and status == 0, output[-6000:]
    assert output.count("recurrent") == len(RECURRENT[kind])


def test_no_access_outside_and_nothing_undefined(tmp_path):
    """A network on a cycle; the rest is tested where sanitizers are asked for."""
    status, output = watched("address", tmp_path, "numbered", "1")
    assert status == 0 and "runtime error" not in output, output[-6000:]


@pytest.mark.parametrize("sanitizer", sorted(FLAGS))
def test_simulations(sanitizer, tmp_path):
    """Recurrent and feed-forward, with every input; four threads that meet once a block."""
    status, output = watched(sanitizer, tmp_path, "simulated", "0", "1", "4")
    assert status == 0 and "ThreadSanitizer" not in output and "runtime error" not in output, output[-6000:]
    assert output.count("simulated") == 3


@pytest.mark.sanitizers
@pytest.mark.parametrize("sanitizer", sorted(FLAGS))
@pytest.mark.parametrize("first", range(0, 42, 7))
@pytest.mark.parametrize("kind", ["numbered", "published", "current_based"])
def test_a_spread_of_networks(kind, first, sanitizer, tmp_path):
    """Cyclic and acyclic networks of every kind, seven a process."""
    status, output = watched(sanitizer, tmp_path, kind, *map(str, range(first, first + 7)))
    assert status == 0 and "ThreadSanitizer" not in output and "runtime error" not in output, output[-6000:]
