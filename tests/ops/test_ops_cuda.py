"""The passes on a GPU's arrays, of the host that stands for one, and of a GPU where there is one."""

from contextlib import suppress

import numpy as np
import pytest
from device_arrays import GPUArrays, HostArrays

from genn_delays.backends.cuda import launches
from genn_delays.backends.cuda.compiler import compile_cubin, find_compiler
from genn_delays.backends.cuda.device import Buffer
from genn_delays.codegen.cuda_ops import emit_cuda_ops
from genn_delays.connectivity import FixedNumber
from genn_delays.delays import GaussianKernel, TriangleKernel, UniformInt
from genn_delays.errors import BackendUnavailableError, InvalidValueError
from genn_delays.ops import Topology, cuda, reference
from genn_delays.ops import gather as gather_on_host
from genn_delays.ops.cuda import DeviceActivity, DeviceTopology, Queue, backgather, correlate, gather

PRE, POST, T = 7, 9, 20
FORMS = {
    "whole": {},
    "rounded": {"position": True},
    "wide": {"position": True, "kernel": GaussianKernel(), "width": 4.0},
    "narrow": {"position": True, "kernel": GaussianKernel(), "width": 0.5},
    "triangle": {"position": True, "kernel": TriangleKernel(), "width": 1.5},
}
LARGEST = 1e-6
"""Difference from the definition, of the largest: sums are rounded in another order, or less often."""


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.cuda)])
def arrays(request):
    found = HostArrays() if request.param == "host" else on_gpu()
    yield found
    found.close()


def on_gpu(stream=None):
    try:
        return GPUArrays(stream)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


def connection(kernel_count=2, sparsity=0.5, size=(PRE, POST)):
    s = FixedNumber(sparsity, delay=UniformInt(0, 9), kernel_count=kernel_count).sample(*size, 1, 0)
    return Topology(s.pre, s.post, s.delay, num_pre=size[0], num_post=size[1]), s.weight


def activity(kind, B, size=PRE, steps=T):
    rng = np.random.default_rng(3)
    x = (rng.random((steps, B, size)) < 0.15).astype(np.float32)  # [time, batch, neuron], as PyTorch has it
    if kind == "real":
        x[:, :, ::3] = rng.normal(size=x[:, :, ::3].shape)
    return x.transpose(2, 0, 1)


def gradient(B, size=POST, steps=T):
    return np.random.default_rng(4).normal(size=(size, steps, B)).astype(np.float32)


def spread(form, topology):
    options = dict(FORMS[form])
    if "position" in options:
        options["position"] = (np.random.default_rng(5).random(topology.size) * topology.max_delay).astype(np.float32)
    return options


def close(ours, exact):
    return np.abs(ours - exact).max() <= LARGEST * np.abs(exact).max()


def compare(arrays, topology, weight, x, g, options):
    """All three passes beside their definition."""
    there, put = DeviceTopology(topology, arrays.queue), arrays.put
    given = {name: put(v) if name == "position" else v for name, v in options.items()}
    sent = DeviceActivity(put(x), arrays.queue)
    current = arrays.get(gather(there, sent, put(weight), **given))
    e = arrays.get(backgather(there, put(g), put(weight), **given))
    found = correlate(there, sent, put(g), put(weight), **given)
    x = np.ascontiguousarray(x)
    assert np.array_equal(current, reference.gather(topology, x, weight, **options))
    assert np.array_equal(current, gather_on_host(topology, x, weight, **options))
    assert close(e, reference.backgather(topology, g, weight, **options))
    for ours, exact in zip(found, reference.correlate(topology, x, g, weight, **options), strict=True):
        assert (ours is None) == (exact is None)
        if ours is not None:
            assert close(arrays.get(ours), exact)
    arrays.queue.check(wait=True)


@pytest.mark.parametrize("kind", ["spikes", "real"])
@pytest.mark.parametrize("form", FORMS)
def test_the_passes_equal_their_definition(arrays, form, kind):
    topology, weight = connection()
    compare(arrays, topology, weight, activity(kind, 3), gradient(3), spread(form, topology))


@pytest.mark.parametrize("form", ["whole", "wide"])
@pytest.mark.parametrize(("B", "steps"), [(1, 1), (1, 70), (33, 5)])
def test_any_batch_and_any_time(arrays, form, B, steps):
    """One example, one more than a warp has lanes, longer delays than steps, more steps than a word has."""
    topology, weight = connection(1)
    compare(
        arrays, topology, weight, activity("spikes", B, steps=steps), gradient(B, steps=steps), spread(form, topology)
    )


@pytest.mark.parametrize("form", ["whole", "narrow"])
@pytest.mark.parametrize("kind", ["spikes", "real"])
def test_where_there_are_many_threads(arrays, monkeypatch, form, kind):
    """Large layers take other kernels."""
    monkeypatch.setattr(launches, "FEW_THREADS", 0)
    topology, weight = connection()
    compare(arrays, topology, weight, activity(kind, 2), gradient(2), spread(form, topology))


def test_many_neurons_most_of_them_without_synapses(arrays):
    """More neurons than a tile has; targets without sources and sources without targets."""
    topology, weight = connection(1, 0.998, (70, 65))
    assert topology.size == 9
    x, g = activity("real", 2, 70), gradient(2, 65)
    compare(arrays, topology, weight, x, g, {})


@pytest.mark.cuda
def test_on_the_default_stream():
    """It has no handle, and stays when queues are closed."""
    for _ in range(2):
        arrays = on_gpu(0)
        topology, weight = connection()
        compare(arrays, topology, weight, activity("real", 3), gradient(3), {})
        arrays.close()


def test_one_synapse(arrays):
    topology = Topology([0], [0], [3], num_pre=1, num_post=1)
    compare(arrays, topology, np.array([2], np.float32), activity("spikes", 1, 1), gradient(1, 1), {})


def test_after_rewiring_only_what_changed_is_copied(arrays, monkeypatch):
    copied, upload = [], Buffer.upload

    def watched(buffer, *arguments, **keywords):
        if buffer.name != "given":
            copied.append(buffer.name)
        upload(buffer, *arguments, **keywords)

    topology, weight = connection(1)
    there, put = DeviceTopology(topology, arrays.queue), arrays.put
    x, w, g = put(activity("spikes", 2)), put(weight), put(gradient(2))
    delay = (topology.delay + 1) % 10
    other = Topology(topology.pre, topology.post, delay, num_pre=PRE, num_post=POST, max_delay=10)
    monkeypatch.setattr(Buffer, "upload", watched)
    for now, expected in ((topology, ["delay", "pre", "row_start"]), (topology, []), (other, ["delay"])):
        copied.clear()
        there.topology = now
        found = gather(there, x, w)
        assert sorted(copied) == expected
        expected = reference.gather(now, np.ascontiguousarray(activity("spikes", 2)), weight)
        assert np.array_equal(arrays.get(found), expected)
    copied.clear()
    backgather(there, g, w)
    assert sorted(copied) == ["by_pre_slot", "by_pre_start", "post"]


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("activity of neuron 4 must be finite", {"x": np.nan}),
        ("weight must be finite", {"weight": np.inf}),
        ("position must lie in \\[0, max_delay\\]", {"position": 9.5}),
        ("position must lie in \\[0, max_delay\\]", {"position": np.nan}),
        ("position must lie in \\[0, max_delay\\]", {"position": -1e30}),
    ],
)
def test_numbers_that_may_not_be_are_told_when_they_are_found(arrays, message, change):
    """By this call or a later one, as the GPU may be late. No address depends on them."""
    topology, weight = connection(1)
    x, options = activity("spikes", 2).copy(), spread("wide", topology)
    x[4, 3, 1] = change.get("x", 1)
    weight, options["position"] = weight.copy(), options["position"].copy()
    weight[5] = change.get("weight", 1)
    options["position"][3] = change.get("position", 1)
    there, put = DeviceTopology(topology, arrays.queue), arrays.put
    given = {name: put(v) if name == "position" else v for name, v in options.items()}
    with pytest.raises(InvalidValueError, match=f"{message}.*a pass on this GPU"):
        gather(there, put(x), put(weight), **given)
        correlate(there, put(activity("spikes", 2)), put(gradient(2)), put(weight), **given)
        arrays.queue.check(wait=True)
    with suppress(InvalidValueError):  # of what was queued meanwhile
        arrays.queue.check(wait=True)
    arrays.queue.check(wait=True)


BAD = {
    r"x must have 7 neurons, the topology's num_pre, got 6": lambda t, p, x, w: gather(t, p(x[1:]), w),
    r"g must have 9 neurons, the topology's num_post, got 7": lambda t, p, x, w: backgather(t, p(x), w),
    "activity must be an array of float32, got dtype float64": lambda t, p, x, w: gather(t, p(x.astype(float)), w),
    r"activity must have shape \[neuron, time, batch\], got \(7, 20\)": lambda t, p, x, w: gather(t, p(x[:, :, 0]), w),
    r"weight must have shape \[synapse\]": lambda t, p, x, w: gather(t, p(x), p(np.ones(3, np.float32))),
    "weight must be contiguous": lambda t, p, x, w: gather(t, p(x), p(np.ones((62, 2), np.float32))[:, 0]),
    "g must have 20 time steps and a batch of 2, as x has, got 20 and 3": lambda t, p, x, w: correlate(
        t, p(x), p(gradient(3)), w
    ),
    "must be an array of .*, got a list": lambda t, p, x, w: gather(t, x.tolist(), w),
    "needs positions": lambda t, p, x, w: gather(t, p(x), w, kernel="gaussian", width=1.0),
    "needs its width": lambda t, p, x, w: gather(t, p(x), w, position=w, kernel="gaussian"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_one_clear_error(message):
    arrays, (topology, weight) = HostArrays(), connection()
    with pytest.raises(InvalidValueError, match=message):
        BAD[message](DeviceTopology(topology, arrays.queue), arrays.put, activity("spikes", 2), arrays.put(weight))


def test_one_queue_for_all():
    one, other, (topology, weight) = HostArrays(), HostArrays(), connection()
    x = DeviceActivity(other.put(activity("spikes", 2)), other.queue)
    with pytest.raises(InvalidValueError, match="on one Queue"):
        gather(DeviceTopology(topology, one.queue), x, one.put(weight))
    with pytest.raises(InvalidValueError, match="stream must be a handle"):
        Queue(one.empty, 0, "default")


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_compiles_without_a_warning(arch):
    try:
        find_compiler()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    source = emit_cuda_ops(GaussianKernel())
    assert compile_cubin(source, arch, warnings_are_errors=True).startswith(b"\x7fELF")


def test_what_is_public_has_a_name():
    assert set(cuda.__all__) == {
        "DeviceActivity",
        "DeviceGradient",
        "DeviceTopology",
        "Queue",
        "backgather",
        "correlate",
        "gather",
    }
