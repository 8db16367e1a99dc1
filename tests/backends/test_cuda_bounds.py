"""No kernel touches what lies outside its buffers, not even to read what nobody uses: there the process would end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

PRELUDE = """
import numpy as np
from dataclasses import replace
from cuda_on_host import CUDAOnHost
from networks import Case
from rewired import data, small_network, train
from genn_delays import SET, Adam, DeepR, GaussianKernel, RigL
from genn_delays.backends.cuda.shim import ShimDevice
PAGES = {pages!r}
"""
READS = """
SOURCE = '''extern "C" __global__ void read(const int* x, int* y, int k) { y[0] = x[k] > 5; }'''
with ShimDevice(pages=PAGES) as device:
    module, x, y = device.load(SOURCE), device.allocate("x", 5, np.int32), device.allocate("y", 1, np.int32)
    for k in range(5):
        module.launch("read", 1, 1, x=x, y=y, k=k)
    assert y.download()[0] == 0
    print("inside", flush=True)
    module.launch("read", 1, 1, x=x, y=y, k=5 if PAGES == "behind" else -1)
    print("outside", flush=True)
"""
RULES = """
rules = [None, DeepR(growth="gradient", growth_delay="best"), DeepR(), SET(interval=1), RigL(interval=1)]
for rule in rules:
    for kernel in (None, GaussianKernel(sigma=2.0)):
        network = small_network(kernel=kernel, dropout=0.2, batch_norm=True)
        train(network, rule, CUDAOnHost(pages=PAGES), 4, alpha=0.05, batch=5, delay=Adam(0.1))
print("done")
"""
CASES = """
cases = [Case.numbered(seed) for seed in range(5)] + [Case.published(seed) for seed in range(4)]
cases += [Case.current_based(seed) for seed in range(4)]
for number, case in enumerate(cases):
    case = replace(case, time_steps=(20, 33, 64)[number % 3], longest=(15, 28, 50)[number % 3])
    tape = ("float32", "float16")[number % 2]
    with case.compile(CUDAOnHost(pages=PAGES, tape=tape), dict(clip_norm=1.0)) as compiled:
        x, y = case.data()
        compiled.train(x, y, 1, callbacks=[]) if case.learn_delays else compiled.gradients(x, y)
        compiled.evaluate(x, y)
print("done")
"""


def run(script, pages):
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    source = PRELUDE.format(pages=pages) + script
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("pages", ["behind", "before"])
def test_a_read_outside_a_buffer_ends_the_process(pages):
    found = run(READS, pages)
    assert (found.returncode, found.stdout) == (-signal.SIGSEGV, "inside\n"), found.stderr


@pytest.mark.parametrize("pages", ["behind", "before"])
@pytest.mark.parametrize("script", [RULES, CASES], ids=["rewired", "of every kind"])
def test_training_stays_inside_buffers(script, pages):
    found = run(script, pages)
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr
