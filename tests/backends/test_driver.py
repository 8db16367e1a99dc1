"""The real cuda-core on a stand-in for NVIDIA's driver: late streams in any order, strict recordings."""

from __future__ import annotations

import subprocess
import sys

import pytest
import stand_in

pytest.importorskip("cuda.core", reason="needs cuda-core")
pytestmark = [
    pytest.mark.driver,
    pytest.mark.skipif(sys.platform != "linux", reason="the driver is played on Linux only"),
]

OPENED = """
import ctypes, gc
import numpy as np
from genn_delays.backends.cuda.device import KernelError
from genn_delays.backends.cuda.real import CudaDevice, CudaGraph

SOURCE = 'extern "C" __global__ void add_one(int* x) { atomicAdd(x, 1); }'

def counts():
    "Bytes, pieces of page-locked memory, streams and modules that were not given back."
    numbers = [ctypes.c_uint64() for _ in range(4)]
    ctypes.CDLL("libcuda.so.1").stand_in_counts(*map(ctypes.byref, numbers))
    return [number.value for number in numbers]

def works(device, module):
    "A recording, launched twice after what was launched before."
    x = device.allocate("x", 1, np.int32)
    module.launch("add_one", 1, 5, x=x)
    with device.graph() as graph:
        module.launch("add_one", 1, 10, x=x)
    graph.launch()
    graph.launch()
    assert x.download()[0] == 25
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return stand_in.build(tmp_path_factory.mktemp("driver"))


def runs(library, code):
    done = stand_in.python(library, OPENED + code)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# --- the tests that need a GPU ---------------------------------------------------------------------------------------

TRAINING = (
    "tests/learning/test_separate_delays.py",
    "tests/backends/test_reproducible.py",
    "tests/training/test_checkpoints.py::test_going_on_gives_the_same_bits",
)


@pytest.mark.parametrize(
    ("seed", "tests"),
    [
        (0, ["tests/backends/test_cuda_device.py", "-k", "not more_elements"]),
        (2, ["tests/backends/test_cuda_device.py", "-k", "not more_elements"]),
        (0, [*TRAINING[:2]]),
        (3, [*TRAINING[1:], "-k", "reproducible or (kernel_count and gradient)"]),
        (1, ["tests/simulation/test_cuda_simulations.py", "-k", "28"]),
        (3, ["tests/ops/test_ops_cuda.py", "-k", "copied or default"]),
    ],
    ids=["device, late", "device, mixed", "training, late", "training, mixed", "simulation", "passes"],
)
def test_what_needs_a_gpu(library, seed, tests):
    """Tests with the marker `cuda`; more of them by ``python tests/stand_in.py SEED ...``."""
    plugins = ["-p", "stand_in", "-p", "no:cacheprovider", "-n", "0"]
    command = [sys.executable, "-m", "pytest", *plugins, "-m", "cuda", *tests]
    environ = stand_in.environment(library, seed)
    root = stand_in.TESTS.parent
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environ, cwd=root, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_what_nobody_wrote_is_told_by_its_name(library):
    done = stand_in.python(library, "from cuda.bindings import driver\ndriver.cuCtxGetLimit(driver.CUlimit(0))")
    assert done.returncode < 0 and "stand-in for the driver: cuCtxGetLimit is not written" in done.stderr


def test_engines_find_what_was_compiled_ahead(library, tmp_path):
    done = stand_in.python(
        library,
        """
from genn_delays import CUDA
from genn_delays.selftest import selftest
from genn_delays.selftest.cases import CASES
case = next(case for case in CASES if case.name == "optimiser Adam")
CUDA().compile_ahead([case.plan()])
with case.compile("cuda") as compiled:
    assert not compiled.engine.module.compiled
report = selftest("cuda", only=[case.name])
assert report.ok and report.compiling < report.seconds
""",
        GENN_DELAYS_CACHE=str(tmp_path),
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- recordings ------------------------------------------------------------------------------------------------------


def test_kernels_are_loaded_before_a_recording(library):
    """Their first launch may fall into one."""
    runs(
        library,
        """
with CudaDevice() as device:
    module, x = device.load(SOURCE), device.allocate("x", 1, np.int32)
    with device.graph() as graph:
        module.launch("add_one", 1, 10, x=x)
    graph.launch()
    assert x.download()[0] == 10
""",
    )


def test_a_recording_that_the_driver_gives_up_ends_nothing_else(library):
    """As it does where a kernel was not loaded: an error, no crash when builders are collected; the stream goes on."""
    runs(
        library,
        """
import faulthandler
faulthandler.enable()
load, CudaDevice.load_function = CudaDevice.load_function, lambda *_: None
for inside in (True, False):
    with CudaDevice() as device:
        source = SOURCE + f"// {inside}"
        module, x = device.load(source), device.allocate("x", 1, np.int32)
        try:
            with device.graph() as graph:
                try:
                    module.launch("add_one", 1, 1, x=x)
                except KernelError as error:
                    if inside:
                        raise
                    assert "STREAM_CAPTURE" in str(error)
        except KernelError as error:
            assert ("STREAM_CAPTURE_UNSUPPORTED" if inside else "the driver gave up") in str(error), error
        else:
            raise AssertionError("nothing was raised")
        gc.collect()
        assert x.download()[0] == 0
        works(device, module)
""",
    )


def test_a_recording_that_fails_leaves_a_device_that_works(library):
    runs(
        library,
        """
with CudaDevice() as device:
    module, x = device.load(SOURCE), device.allocate("x", 1, np.int32)
    for _ in range(3):
        try:
            with device.graph():
                module.launch("add_one", 1, 1, x=x)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
        gc.collect()
        assert gc.isenabled() and x.download()[0] == 0
        works(device, module)
""",
    )


def test_no_garbage_is_collected_while_recording(library):
    """Of another library, for instance: what frees memory then ends the recording."""
    runs(
        library,
        """
class Cycle:
    def __init__(self, memory):
        self.me, self.memory = self, memory

with CudaDevice() as device, CudaDevice() as other:
    module, x = device.load(SOURCE), device.allocate("x", 1, np.int32)
    garbage = Cycle(other.core_device.allocate(8, stream=other.stream))
    with device.graph() as graph:
        before = counts()[0]
        del garbage
        kept = [[] for _ in range(10_000)]  # many a reason to collect
        module.launch("add_one", 1, 10, x=x)
    kept += [[] for _ in range(10_000)]
    assert counts()[0] == before - 8, "it was not collected afterwards"
    graph.launch()
    assert x.download()[0] == 10
    gc.disable()
    with device.graph():
        pass
    assert not gc.isenabled()
""",
    )


# --- what is given back ----------------------------------------------------------------------------------------------


def test_a_closed_device_gives_back_what_it_had(library):
    """But for modules, which cuda-core does not unload: each is loaded once, however often it is asked for."""
    runs(
        library,
        """
assert counts() == [0, 0, 0, 0]
for _ in range(3):
    with CudaDevice() as device:
        module = device.load(SOURCE)
        works(device, module)
        x = device.allocate("y", 5, np.int32)
        x.upload(np.ones(5, np.int32), after=device.mark())
        assert counts() == [4 + 20, 2, 2, 1]
    assert counts() == [0, 0, 0, 1]
""",
    )


def test_page_locked_memory_is_copied_in_order_and_given_back(library):
    """What goes to the device may come back in the same memory, and a larger one takes its place."""
    runs(
        library,
        """
for size in (6, 60):
    with CudaDevice() as device:
        module, x = device.load(SOURCE), device.allocate("x", 1, np.int32)
        for room in (1, size):
            memory = device.page_locked(4 * room).view(np.int32)
            memory[0] = 10
            x.give(memory[:1])
            module.launch("add_one", 1, 5, x=x)
            x.fetch(memory[-1:])
            device.synchronise()
            assert memory[-1] == 15
            assert counts()[1] == 2
    assert counts()[:3] == [0, 0, 0]
""",
    )
