"""From CUDA C++ to machine code without a GPU, its cache, and what is said where something is missing."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from genn_delays.backends.cuda import compiler, real
from genn_delays.backends.cuda.compiler import Nvcc, Nvrtc, compile_cubin, cubin_file, find_compiler
from genn_delays.errors import BackendUnavailableError, CompileError

SOURCE = """
typedef long long i64;
extern "C" __global__ void scale(float* __restrict__ x, const float by, i64 n) {
    const i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (k < n) x[k] = x[k] * by + 1.0f;
}
"""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def no_nvrtc(monkeypatch, error: Exception) -> None:
    monkeypatch.setattr(compiler, "_nvrtc", lambda: error)


@pytest.fixture(params=["nvrtc", "nvcc"])
def tool(request, cache, monkeypatch) -> Nvrtc | Nvcc:
    """Each of the two compilers, where it is there."""
    if request.param == "nvcc":
        if shutil.which("nvcc") is None:
            pytest.skip("nvcc is not on PATH")
        no_nvrtc(monkeypatch, ModuleNotFoundError("for this test"))
    elif not isinstance(compiler._nvrtc(), Nvrtc):
        pytest.skip("NVRTC is not installed: pip install 'genn-delays[cuda]'")
    return find_compiler()


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_machine_code_for_both_architectures(tool, arch):
    path, compiled = cubin_file(SOURCE, arch, warnings_are_errors=True)
    assert compiled and path.read_bytes().startswith(b"\x7fELF") and b"scale" in path.read_bytes()
    assert not cubin_file(SOURCE, arch, warnings_are_errors=True)[1]
    assert compile_cubin(SOURCE, arch, warnings_are_errors=True) == path.read_bytes()


def test_an_entry_for_each_architecture_compiler_and_set_of_flags(tool, monkeypatch):
    paths = {cubin_file(SOURCE, arch)[0] for arch in ("sm_80", "sm_90")} | {
        cubin_file(SOURCE, "sm_90", warnings_are_errors=True)[0]
    }
    assert len(paths) == 3
    other = type(tool)(*(getattr(tool, name) for name in list(vars(tool))[:-1]), version="another")
    monkeypatch.setattr(compiler, "find_compiler", lambda: other)
    assert cubin_file(SOURCE, "sm_90")[0] not in paths


def test_a_compile_failure_says_all(tool):
    with pytest.raises(CompileError) as caught:
        compile_cubin(SOURCE + "broken;\n", "sm_90")
    error = caught.value
    assert error.stage == "compile" and "broken" in error.log and "(7)" in error.log
    assert Path(error.source).read_text() == SOURCE + "broken;\n" and error.source in error.log
    with pytest.raises(CompileError):  # nothing was kept
        compile_cubin(SOURCE + "broken;\n", "sm_90")


def test_warnings_are_errors_where_they_are_to_be(tool):
    source = SOURCE.replace("{\n", "{\n    int unused = 3;\n", 1)
    assert compile_cubin(source, "sm_80")
    with pytest.raises(CompileError, match="unused"):
        compile_cubin(source, "sm_80", warnings_are_errors=True)


def test_an_architecture_that_the_compiler_does_not_know(tool):
    with pytest.raises((BackendUnavailableError, CompileError), match="sm_9999"):
        compile_cubin(SOURCE, "sm_9999")


def test_a_damaged_entry_is_rebuilt(tool):
    path, _ = cubin_file(SOURCE, "sm_80")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert cubin_file(SOURCE, "sm_80") == (path, True) and path.read_bytes() == whole
    path.with_suffix(".sha256").unlink()
    assert cubin_file(SOURCE, "sm_80")[1] and not cubin_file(SOURCE, "sm_80")[1]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_machine_code_is_not_taken_from_a_folder_that_others_can_write(tool, cache):
    cubin_file(SOURCE, "sm_80")
    (cache / "cubins").chmod(0o777)
    with pytest.raises(BackendUnavailableError, match="others can write"):
        cubin_file(SOURCE, "sm_80")


# --- what is missing -------------------------------------------------------------------------------------------------


def test_no_compiler_at_all(cache, monkeypatch):
    no_nvrtc(monkeypatch, ModuleNotFoundError("No module named 'cuda'"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendUnavailableError, match=r"genn-delays\[cuda\].*nvcc.*not on PATH.*No module named") as e:
        compile_cubin(SOURCE, "sm_80")
    assert isinstance(e.value.__cause__, ModuleNotFoundError)


def test_an_nvcc_that_does_not_run(cache, tmp_path, monkeypatch):
    no_nvrtc(monkeypatch, RuntimeError("libnvrtc is damaged"))
    (tmp_path / "nvcc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailableError, match=r"nvcc and does not run.*libnvrtc is damaged"):
        compile_cubin(SOURCE, "sm_80")


def test_an_nvcc_that_fails(cache, tmp_path, monkeypatch):
    no_nvrtc(monkeypatch, ModuleNotFoundError("for this test"))
    (tmp_path / "nvcc").write_text('#!/bin/sh\n[ "$1" = --version ] && echo 1.0 && exit\necho no room >&2\nexit 3\n')
    (tmp_path / "nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompileError, match=r"--fmad=false.*\nno room"):
        compile_cubin(SOURCE, "sm_80")


@pytest.mark.parametrize("missing", real.PACKAGES)
def test_a_package_that_is_missing(monkeypatch, missing):
    def version(package: str) -> str:
        if package == missing:
            raise metadata.PackageNotFoundError(package)
        return "99.0"

    monkeypatch.setattr(metadata, "version", version)
    real._packages.cache_clear()
    with pytest.raises(BackendUnavailableError, match=rf"{missing}, which is not installed.*genn-delays\[cuda\]") as e:
        real.gpus()
    assert isinstance(e.value.__cause__, metadata.PackageNotFoundError)


def test_a_package_that_cannot_be_imported(monkeypatch):
    """Spikingjelly 459: "not installed" is not said of what is installed."""

    def broken(name: str) -> None:
        raise OSError("libsomething.so: wrong ELF class")

    monkeypatch.setattr(metadata, "version", lambda package: "99.0")
    monkeypatch.setattr(real.importlib, "import_module", broken)
    real._packages.cache_clear()
    with pytest.raises(BackendUnavailableError, match="cannot be imported: OSError: libsomething"):
        real.gpus()


class Status(int):
    name = "CUDA_ERROR_SOMETHING"


@pytest.mark.parametrize(
    ("version", "status", "message"),
    [
        (RuntimeError("libcuda.so.1 not found"), 0, "no NVIDIA driver is installed here.*nvidia-smi"),
        (12_040, 0, r"supports CUDA 12\.4.* are for CUDA 13: update it to 580.*genn-delays\[cuda12\]"),
        (13_000, 100, "sees no GPU.*CUDA_VISIBLE_DEVICES"),
        (13_000, 804, "cannot be used: CUDA_ERROR_SOMETHING"),
    ],
)
def test_a_driver_that_is_missing_too_old_or_without_a_gpu(monkeypatch, version, status, message):
    def driver_version():
        if isinstance(version, Exception):
            raise version
        return Status(0), version

    driver = SimpleNamespace(
        cuDriverGetVersion=driver_version, cuInit=lambda flags: (Status(status),),
        CUresult=SimpleNamespace(CUDA_ERROR_NO_DEVICE=100),
    )  # fmt: skip
    monkeypatch.setattr(real, "_packages", lambda: (None, driver))
    monkeypatch.setattr(metadata, "version", lambda package: "13.5.0")
    with pytest.raises(BackendUnavailableError, match=message):
        real.gpus()


@pytest.mark.skipif(sys.platform != "linux", reason="libraries are called differently elsewhere")
def test_another_copy_of_nvrtc_without_the_rest_of_it(cache, tmp_path):
    """As PyTorch or a toolkit may have loaded it before: no compile error of ours, but what to do."""
    if not isinstance(compiler._nvrtc(), Nvrtc):
        pytest.skip("needs NVRTC")
    nvrtc = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("nvrtc")
    copy = tmp_path / Path(nvrtc.abs_path).name
    copy.symlink_to(nvrtc.abs_path)
    code = f"""
import ctypes
ctypes.CDLL({str(copy)!r}, ctypes.RTLD_GLOBAL)
from genn_delays.backends.cuda.compiler import compile_cubin
from genn_delays.errors import BackendUnavailableError
try:
    compile_cubin('extern "C" __global__ void k(float* x) {{ x[0] = sqrtf(x[1]); }}', "sm_90")
except BackendUnavailableError as error:
    assert "does not find the rest of itself, libnvrtc-builtins" in str(error), error
else:
    raise AssertionError("it found it")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
