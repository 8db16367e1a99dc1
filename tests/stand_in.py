"""A stand-in for NVIDIA's driver behind the real cuda-core: ``libcuda.so.1``, whose kernels the host runs.

``python tests/stand_in.py 3 tests/learning`` runs tests that need a GPU on it, in the order of seed 3.

As a plugin of pytest (``-p stand_in``) it gives the backend, in the place of a CUBIN, what that library takes for one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from genn_delays.backends.cache import cached, run_compiler
from genn_delays.backends.cpu.compiler import compiler
from genn_delays.backends.cuda import real
from genn_delays.backends.cuda.shim import compile_host
from genn_delays.backends.cuda.signature import signatures

TESTS = Path(__file__).parent
SOURCES = TESTS / "backends" / "driver"
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread")


def build(folder: Path) -> Path:
    """A folder with the library, for LD_LIBRARY_PATH; it is compiled once."""
    tool = compiler()

    def compile_library(text: Path, part: Path) -> None:
        run_compiler([*tool.command, *FLAGS, f"-I{SOURCES}", str(text), "-o", str(part), "-ldl"], text, part)

    source = (SOURCES / "libcuda.cpp").read_text()
    headers = [(SOURCES / name).read_text() for name in ("machine.h", "kernels.h", "graphs.h")]
    key = (*tool.command, tool.version, *FLAGS, *headers)
    (folder / "libcuda.so.1").symlink_to(cached("stand-ins", source, key, (".cpp", ".so"), compile_library)[0])
    return folder


def environment(library: Path, seed: int = 0, **more: str) -> dict[str, str]:
    """Of a process whose driver is the library; `seed`: of the order in which streams do their work, 0: the latest."""
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    given = {"LD_LIBRARY_PATH": str(library), "GENN_DELAYS_STAND_IN_SEED": str(seed), "PYTHONPATH": path}
    return {n: v for n, v in os.environ.items() if not n.startswith(("CUDA", "PYTEST"))} | given | more


def python(library: Path, code: str, seed: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """A program that sees the stand-in, and what became of it."""
    command = [sys.executable, "-W", "error", "-c", "import stand_in; stand_in.pytest_configure(None)\n" + code]
    environ = environment(library, seed, **more)
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environ)


def cubin_file(source: str, arch: str) -> tuple[Path, bool]:
    """In the place of a CUBIN: the library of the host that holds the kernels, and how large their parameters are."""
    assert arch == "sm_90"
    library, compiled = compile_host(source)
    lines = ["stand-in", str(library)]
    for kernel in signatures(source).values():
        sizes = [8 if p.pointer else p.dtype.itemsize for p in kernel.parameters]
        lines.append(" ".join(map(str, (kernel.name, *sizes))))
    text = "\n".join(lines) + "\n\0"
    path, _ = cached("stand-ins", text, (), (".txt", ".cubin"), lambda _, part: part.write_text(text))
    return path, compiled


def pytest_configure(config) -> None:
    real.cubin_file = cubin_file


def main() -> None:
    """``python tests/stand_in.py SEED ...``: pytest with these arguments, of the tests that need a GPU."""
    with TemporaryDirectory() as folder:
        arguments = ["-p", "stand_in", "-m", "cuda", *sys.argv[2:]]
        environ = environment(build(Path(folder)), int(sys.argv[1]))
        done = subprocess.run([sys.executable, "-m", "pytest", *arguments], env=environ, check=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
