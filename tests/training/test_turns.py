"""Threads, forks, other processes and the end of the interpreter: one after the other, or one clear error."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from networks import Case

from genn_delays import CPU, Callback
from genn_delays.errors import InUseError, InvalidValueError

CASE = Case(seed=5, depth=2, recurrent=True, batch_size=8)
OPTIMISERS = {"all_connections": {"weight": "adam"}}
TESTS = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'training'}"}
posix = pytest.mark.skipif(sys.platform == "win32", reason="no fork")


def compile_for(backend):
    """The network for a backend, with three threads where it has threads."""
    return CASE.compile(CPU(threads=3) if backend == "cpu" else backend, optimisers=OPTIMISERS)


class Doing(Callback):
    """Does something after every batch."""

    def __init__(self, what):
        self.what = what

    def on_batch_end(self, batch, metrics):
        self.what()


def inputs(seed):
    """Inputs of another random draw."""
    x, _ = CASE.data()
    return {"in": np.random.default_rng(seed).permuted(x["in"], axis=0)}


def test_threads_predict_as_if_one_after_the_other(backend):
    """The same numbers for every thread's own data, and gradients between them."""
    with compile_for(backend) as compiled:
        x = [inputs(seed) for seed in range(8)]
        expected = [next(iter(compiled.predict(part)[0].values())) for part in x]
        loss = compiled.gradients(*CASE.data())[0]
        assert any((a != expected[0]).any() for a in expected[1:])
        with ThreadPoolExecutor(4) as pool:
            between = [pool.submit(compiled.gradients, *CASE.data()) for _ in range(2)]
            for _ in range(3):
                found = [next(iter(values.values())) for values, _ in pool.map(compiled.predict, x)]
                for one, other in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(one, other)
            assert [done.result()[0] for done in between] == [loss, loss]


def test_threads_train_their_own_networks_as_if_alone():
    """Compiled and trained at the same time, each gives the bits that it gives alone."""

    def weights(_):
        with compile_for("cpu") as compiled:
            compiled.train(*CASE.data(), 5, callbacks=())
            return np.concatenate([compiled.synapses(c).weight for c in compiled.network.connections])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(weights, range(4)))
    expected = weights(0)
    for one in found:
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_training_is_not_waited_for(backend):
    """Whatever another thread asks meanwhile is an error that says so; training gives what it gives undisturbed."""
    x, y = CASE.data()
    with compile_for(backend) as alone:
        alone.train(x, y, 2, callbacks=())
        expected = alone.synapses(alone.network.connections[0]).weight
    with compile_for(backend) as compiled, ThreadPoolExecutor(1) as pool:
        first = compiled.network.connections[0]
        asked = [
            lambda: compiled.predict(x), lambda: compiled.evaluate(x, y), lambda: compiled.train(x, y, 9),
            lambda: compiled.gradients(x, y), lambda: compiled.synapses(first), lambda: compiled.populations,
        ]  # fmt: skip
        told = []

        def ask():
            for question in asked:
                with pytest.raises(
                    InUseError, match=r"\w+: another thread is training this compiled network"
                ) as caught:
                    pool.submit(question).result()
                told.append(str(caught.value).split(":")[0])
            compiled.synapses(first)  # the thread that trains may ask

        compiled.train(x, y, 2, callbacks=[Doing(ask)])
        assert told[:6] == ["predict", "evaluate", "train", "gradients", "synapses", "populations"]
        np.testing.assert_array_equal(compiled.synapses(first).weight, expected)


def test_closed_by_another_thread_training_ends_with_an_error():
    """Closing waits for the batch at hand, and whoever trains is told."""
    compiled = compile_for("cpu")
    closing = threading.Thread(target=compiled.__exit__, args=(None, None, None))
    started = threading.Event()

    def close():
        if not started.is_set():
            started.set()
            closing.start()
            while not compiled._closed:
                pass

    with pytest.raises(InvalidValueError, match="was closed"):
        compiled.train(*CASE.data(), 50, callbacks=[Doing(close)])
    closing.join()
    assert compiled.epoch == 0


def test_a_compiled_network_is_not_pickled():
    """The error says what can be done in its place."""
    with compile_for("reference") as compiled:
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(InvalidValueError, match=r"cannot be pickled.*compiled\.save"):
                make(compiled)


def run(code: str) -> str:
    """What a process prints that runs this code; it must end by itself, with status 0 and no complaint."""
    begin = "import gc, os, sys, threading\nimport numpy as np\nfrom test_turns import *\n"
    command = [sys.executable, "-c", begin + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr[-3000:])
    return done.stdout


FORKS = """
from cuda_on_host import CUDAOnHost
compiled = compile_for(CUDAOnHost() if BACKEND == "cuda-on-host" else BACKEND)
x, y = CASE.data()
before = next(iter(compiled.predict(x)[0].values()))
for use in USES:
    child = os.fork()
    if child == 0:
        exec(use)
        print("did", flush=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0, use
after = next(iter(compiled.predict(x)[0].values()))
assert (before == after).all()
compiled.train(x, y, 1, callbacks=())
compiled.__exit__(None, None, None)
"""
FREES, CLOSES = "del compiled; gc.collect()", "compiled.__exit__(None, None, None)"
TRAINS = """
compiled.train(x, y, 1, callbacks=())
assert (next(iter(compiled.predict(x)[0].values())) != before).any()
if BACKEND == "cpu" and sys.platform == "linux":
    assert len(os.listdir("/proc/self/task")) >= 3  # threads of its own
compiled.__exit__(None, None, None)
assert compiled.synapses(compiled.network.connections[0]).pre.size
"""
IS_TOLD = """
for ask in (lambda: compiled.predict(x), lambda: compiled.synapses(compiled.network.connections[0])):
    with pytest.raises(InUseError, match="does not survive a fork.*compile the network in this process"):
        ask()
"""


def forked(backend: str, *uses: str) -> str:
    """What children print that do these things with a network that they inherit; the parent goes on."""
    return run(f"BACKEND, USES = {backend!r}, {uses!r}\n{FORKS}")


@posix
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_child_has_a_copy(backend):
    """A process that inherits a network by a fork frees, closes or trains its copy; the parent's is as it was."""
    assert forked(backend, FREES, CLOSES, TRAINS) == "did\n" * 3


@posix
def test_what_a_gpu_keeps_is_not_inherited():
    """A child may free or close a network on a GPU, for which nothing is asked of the driver; using it is an error."""
    broken = "compiled.engine.device.synchronise = compiled.engine.device.memory = None\n"  # nobody calls these
    assert forked("cuda-on-host", *(broken + use for use in (FREES, CLOSES, IS_TOLD))) == "did\n" * 3


@posix
def test_forked_while_another_thread_computes():
    """The copy may be half written: the child is told, and may free it."""
    code = """
compiled, (x, y) = compile_for("cpu"), CASE.data()
inside, go_on = threading.Event(), threading.Event()
def stop():
    inside.set()
    go_on.wait()
thread = threading.Thread(target=compiled.evaluate, args=(x, y), kwargs={"callbacks": [Doing(stop)]})
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    with pytest.raises(InUseError, match=r"another thread was in evaluate\\(\\)"):
        compiled.predict(x)
    compiled.__exit__(None, None, None)
    del compiled
    gc.collect()
    sys.exit(0)
go_on.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0
compiled.predict(x)
"""
    run(code)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_daemon_thread_trains_while_the_interpreter_ends(backend):
    """Twice each: it stops between two batches, and the process ends as if it had not been there."""
    code = f"""
compiled, (x, y) = compile_for({backend!r}), CASE.data()
trained = threading.Event()
def train():
    with compiled:
        compiled.train(x, y, 10**6, callbacks=[Doing(trained.set), "batch_progress_bar"])
sys.stderr = open(os.devnull, "w")
threading.Thread(target=train, daemon=True).start()
trained.wait()
print("trained", flush=True)
"""
    for _ in range(2):
        assert run(code) == "trained\n"


@posix
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_a_pool_train_and_predict(method, tmp_path):
    """As users have them: a network described here is compiled there, and batches are made by other processes while
    this one trains."""
    (tmp_path / "pool_of_processes.py").write_text("""
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np
from genn_delays import CPU, SurrogateCompiler
from test_turns import CASE, OPTIMISERS, compile_for, inputs

def train(network, compiler):
    with compiler.compile(network, optimisers=OPTIMISERS) as compiled:
        compiled.train(*CASE.data(), 2, callbacks=())
        return compiled.synapses(network.connections[0]).weight

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    compiled, y = compile_for("cpu"), CASE.data()[1]
    network, compiler = CASE.network(), SurrogateCompiler(CASE.time_steps, CASE.batch_size, backend=CPU(threads=2))
    expected = train(network, compiler)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for done in [pool.submit(train, network, compiler) for _ in range(3)]:
            assert (done.result() == expected).all()
    with context.Pool(2) as workers, compiled:
        for epoch, x in enumerate(workers.imap(inputs, range(4))):
            compiled.train(x, y, epoch + 1, callbacks=())
    print("trained", compiled.epoch)
""")
    command = [sys.executable, str(tmp_path / "pool_of_processes.py"), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (0, "trained 4\n"), done.stderr[-3000:]
