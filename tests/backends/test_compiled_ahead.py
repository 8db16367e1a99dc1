"""The code of several plans, compiled at once before their engines are built."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from genn_delays import CPU, CUDA, GeNN
from genn_delays.backends.cache import MOST_AT_ONCE, compile_together
from genn_delays.backends.cpu import compiler
from genn_delays.backends.cuda import real
from genn_delays.backends.cuda.compiler import cubin_file, find_compiler
from genn_delays.codegen.cuda import emit_cuda
from genn_delays.codegen.emit import emit
from genn_delays.errors import BackendUnavailableError
from genn_delays.plan.protocol import CompilesAhead
from genn_delays.selftest.cases import CASES
from genn_delays.selftest.checks import digits_plan

NAMES = ("DEEP R", "DEEP R, a large connection", "surrogate gradient, spike inputs")
"""Features of the self-test; the first two have the same source."""
CHOSEN = [case for case in CASES if case.name in NAMES]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path))
    return tmp_path


def plans(*texts):
    return [SimpleNamespace(text=text) for text in texts]


@pytest.mark.parametrize("processors", [1, 3, 1000])
def test_as_many_at_once_as_there_are_processors(processors):
    """Each waits until so many are at it, which one after the other never would be."""
    count = min(processors, MOST_AT_ONCE)
    together, ended = threading.Barrier(count), []

    def build(source):
        together.wait(20)
        ended.append(source)

    compile_together(plans(*map(str, range(2 * count))), lambda plan: plan.text, build, processors)
    assert sorted(ended) == sorted(map(str, range(2 * count)))


def test_one_that_fails_keeps_no_other(cache):
    def emit(plan):
        if plan.text == "no source":
            raise ValueError(plan.text)
        return plan.text

    def build(source):
        if source == "broken":
            raise RuntimeError(source)
        (cache / source).write_bytes(b"")

    compile_together(plans("no source", "broken", "a", "b", "c"), emit, build, 1)
    assert sorted(path.name for path in cache.iterdir()) == ["a", "b", "c"]


def test_a_source_of_several_is_compiled_once():
    built = []
    compile_together(plans("a", "b", "a", "a"), lambda plan: plan.text, built.append, 2)
    assert sorted(built) == ["a", "b"]


def test_engines_on_cpu_find_theirs(cache, monkeypatch):
    monkeypatch.setattr(compiler, "FLAGS", tuple("-O0" if flag[:2] == "-O" else flag for flag in compiler.FLAGS))
    CPU().compile_ahead([*(case.plan() for case in CHOSEN), digits_plan(few=True)])
    assert len(list((cache / "kernels").glob("*.so"))) == 3
    for case in CHOSEN:
        with case.compile(CPU(threads=1)) as compiled:
            assert not compiled.engine.compiled
    assert not compiler.compile_source(emit(digits_plan()))[1]  # sizes are no part of it


@pytest.mark.parametrize("tape", ["float32", "float16"])
def test_so_do_those_on_a_gpu(cache, monkeypatch, tape):
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(real, "gpus", lambda: [real.GPU(0, "for this test", "sm_90", 1 << 30, "13.0")])
    CUDA(tape=tape).compile_ahead([case.plan() for case in CHOSEN if case.rewiring])
    assert len(list((cache / "cubins").glob("*.cubin"))) == 1
    assert not cubin_file(emit_cuda(CHOSEN[-1].plan(), tape == "float16"), "sm_90")[1]


def test_who_can_do_it():
    assert isinstance(CPU(), CompilesAhead) and isinstance(CUDA(), CompilesAhead)
    assert not isinstance(GeNN(), CompilesAhead)  # GeNN compiles in its own way
