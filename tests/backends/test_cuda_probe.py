"""The line of CUDA that `genn-delays info` compiles and runs: what is broken is named there."""

from __future__ import annotations

import pytest
from refused import refused

from genn_delays.backends.cuda import compiler, probe
from genn_delays.backends.cuda.device import KernelError
from genn_delays.backends.cuda.real import gpus
from genn_delays.backends.cuda.shim import ShimDevice
from genn_delays.errors import BackendUnavailableError, CompileError
from genn_delays.runs.info import report

try:
    compiler.find_compiler()
    missing = ""
except BackendUnavailableError as error:
    missing = str(error)
needs_compiler = pytest.mark.skipif(bool(missing), reason=missing or "there is one")


def test_the_line_runs():
    with ShimDevice() as device:
        probe.run_line(device)


def test_a_device_that_computes_something_else(monkeypatch):
    monkeypatch.setattr(probe, "SOURCE", probe.SOURCE.replace("+ 1", "+ 2"))
    with ShimDevice() as device, refused("2, 5, 8", "in place of [1, 4, 7", error=KernelError):
        probe.run_line(device)


@needs_compiler
def test_info_says_who_compiles_and_that_it_is_no_gpu_or_which():
    told = probe.probe()
    assert "compiles a kernel for sm_" in told[-1]
    try:
        assert f"and {gpus()[0].name} runs it" in told[-1]
    except BackendUnavailableError:
        assert "there is no GPU to run it" in told[-1]
    assert told[-1] in report()


@needs_compiler
def test_nothing_comes_from_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path))
    probe.compile_line(probe.ARCH)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@needs_compiler
def test_a_compiler_that_refuses_the_line_is_named(monkeypatch):
    monkeypatch.setattr(probe, "SOURCE", 'extern "C" __global__ void probe(int* x) { nonsense }\n')
    with pytest.raises(CompileError):
        probe.compile_line(probe.ARCH)
    assert "does not compile a kernel for sm_" in probe.probe()[-1]
    assert "nonsense" in report()


def test_nvrtc_that_is_installed_and_broken_is_named(monkeypatch):
    monkeypatch.setattr(compiler, "_nvrtc", lambda: OSError("libnvrtc.so.13: wrong ELF class"))
    monkeypatch.setattr(probe, "_installed", lambda package: True)
    first = probe.probe()[0]
    assert first.startswith("NVRTC does not work: OSError: libnvrtc.so.13: wrong ELF class")
    assert "pip install" in first and first in report()


def test_where_nothing_of_cuda_is_installed_nothing_is_said(monkeypatch):
    monkeypatch.setattr(compiler, "_nvrtc", lambda: ModuleNotFoundError("No module named 'cuda'"))
    monkeypatch.setattr(probe, "_installed", lambda package: False)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    assert probe.probe() == []
