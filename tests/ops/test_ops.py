"""The passes over synapses as operations on arrays: equal to their definition, for any input and any threads."""

import multiprocessing

import numpy as np
import pytest

from genn_delays.connectivity import FixedNumber
from genn_delays.delays import GaussianKernel, TriangleKernel, UniformInt
from genn_delays.errors import InvalidValueError
from genn_delays.ops import Activity, Topology, backgather, correlate, gather, reference

PRE, POST, T, B = 13, 17, 30, 5
FORMS = {
    "whole": {},
    "rounded": {"position": True},
    "wide": {"position": True, "kernel": GaussianKernel(), "width": 4.0},
    "narrow": {"position": True, "kernel": GaussianKernel(), "width": 0.5},
    "triangle": {"position": True, "kernel": TriangleKernel(), "width": 1.5},
}


def inputs(kind, shape=(PRE, T, B)):
    rng = np.random.default_rng(3)
    if kind == "mixed":  # rows of few spikes, of many, of real values and of none
        x = (rng.random(shape) < 0.05).astype(np.float32)
        x[::4] = rng.normal(size=x[::4].shape)
        x[1::4] = rng.random(x[1::4].shape) < 0.6
        x[2] = 0
        return x
    return (rng.random(shape) < 0.05).astype(np.float32)


def connection(kernel_count=2, sparsity=0.5):
    s = FixedNumber(sparsity, delay=UniformInt(0, 12), kernel_count=kernel_count).sample(PRE, POST, 1, 0)
    return Topology(s.pre, s.post, s.delay, num_pre=PRE, num_post=POST), s.weight


def spread(form, topology):
    options = dict(FORMS[form])
    if "position" in options:
        options["position"] = (np.random.default_rng(5).random(topology.size) * topology.max_delay).astype(np.float32)
    return options


@pytest.mark.parametrize("kind", ["spikes", "mixed"])
@pytest.mark.parametrize("form", FORMS)
def test_the_passes_equal_their_definition(form, kind):
    """Sums over the synapses of a neuron to the bit, as their order is defined; dot products to rounding."""
    topology, weight = connection()
    x, g = inputs(kind), np.random.default_rng(4).normal(size=(POST, T, B)).astype(np.float32)
    options = spread(form, topology)
    assert np.array_equal(gather(topology, x, weight, **options), reference.gather(topology, x, weight, **options))
    assert np.array_equal(
        backgather(topology, g, weight, **options), reference.backgather(topology, g, weight, **options)
    )
    found = correlate(topology, x, g, weight, **options)
    double = {name: v.astype(np.float64) if name == "position" else v for name, v in options.items()}
    defined = reference.correlate(
        topology, x.astype(np.float64), g.astype(np.float64), weight.astype(np.float64), **double
    )
    assert (found.position is None) == (form == "whole")
    for ours, exact in zip(found, defined, strict=True):
        if exact is not None:
            assert np.abs(ours - exact).max() < 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize("form", ["whole", "wide"])
def test_the_definition_is_the_adjoint_of_itself(form):
    """<g, gather(x)> = <backgather(g), x> = sum of w dL/dw, and the slope by a position is a difference quotient."""
    topology, weight = connection()
    weight, x = weight.astype(np.float64), np.random.default_rng(1).normal(size=(PRE, T, B))
    g, options = np.random.default_rng(2).normal(size=(POST, T, B)), spread(form, topology)
    if "position" in options:
        options["position"] = options["position"].astype(np.float64)
    loss = (g * reference.gather(topology, x, weight, **options)).sum()
    assert np.isclose((x * reference.backgather(topology, g, weight, **options)).sum(), loss)
    gradients = reference.correlate(topology, x, g, weight, **options)
    assert np.isclose((weight * gradients.weight).sum(), loss)
    if gradients.position is not None:
        moved = dict(options, position=options["position"].copy())
        moved["position"][7] += 1e-6
        slope = ((g * reference.gather(topology, x, weight, **moved)).sum() - loss) / 1e-6
        assert np.isclose(slope, gradients.position[7], rtol=1e-3, atol=1e-5)


def results(threads):
    topology, weight = connection()
    x, options = inputs("mixed"), spread("wide", topology)
    g = np.random.default_rng(4).normal(size=(POST, T, B)).astype(np.float32)
    current = gather(topology, x, weight, threads=threads, **options)
    return [current, backgather(topology, g, weight, threads=threads), *correlate(
        topology, x, g, weight, threads=threads, **options
    )]  # fmt: skip


def test_any_number_of_threads_gives_the_same_bits():
    for one, three in zip(results(1), results(3), strict=True):
        assert np.array_equal(one, three)


def in_a_child(queue):
    queue.put(results(3)[0])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    expected = results(3)[0]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_a_child, args=(queue,))
    child.start()
    assert np.array_equal(queue.get(timeout=60), expected)
    child.join()


def test_rows_of_few_spikes_are_listed_and_no_others():
    x = inputs("mixed")
    few = [((row == 0) | (row == 1)).all() and row.sum() <= T * B / 8 for row in x]
    assert Activity(x).num_listed == sum(few)
    assert 0 < sum(few) < PRE


@pytest.mark.parametrize("shape", [(1, 1, 1), (PRE, 1, 200), (PRE, 40, 1)])
def test_any_shape(shape):
    """Longer delays than steps among them."""
    topology, weight = connection()
    topology = Topology(topology.pre, topology.post, topology.delay, num_pre=PRE, num_post=POST)
    x = inputs("spikes", (PRE, *shape[1:]))
    x[0, 0, 0] = 1
    g = np.ones((POST, *shape[1:]), np.float32)
    assert np.array_equal(gather(topology, x, weight), reference.gather(topology, x, weight))
    assert np.array_equal(backgather(topology, g, weight), reference.backgather(topology, g, weight))
    assert np.allclose(correlate(topology, x, g, weight).weight, reference.correlate(topology, x, g, weight).weight)


def test_nothing_of_the_size_of_the_layer_exists():
    """100,000 x 100,000 neurons: 40 GB as a matrix."""
    topology = Topology([5, 99_999], [0, 99_998], [1, 0], num_pre=100_000, num_post=100_000)
    assert topology.nbytes < 2_000_000
    x = np.zeros((100_000, 2, 1), np.float32)
    x[5, 0] = 1
    assert gather(topology, x, np.array([3, 4], np.float32))[0, 1, 0] == 3


BAD = {
    "float32": lambda t, x, w: gather(t, x.astype(np.float64), w),
    "got a list": lambda t, x, w: gather(t, x.tolist(), w),
    r"x must have shape \[neuron, time, batch\] = \(13, any, any\)": lambda t, x, w: gather(t, x[1:], w),
    r"\(17, any, any\)": lambda t, x, w: backgather(t, x, w),
    "contiguous": lambda t, x, w: gather(t, x.transpose(0, 2, 1), w),
    "activity of neuron 4 must be finite, got nan": lambda t, x, w: gather(t, with_nan(x), w),
    "weight must be finite, got nan": lambda t, x, w: gather(t, x, with_nan(w)),
    r"weight must have shape \[synapse\]": lambda t, x, w: gather(t, x, w[1:]),
    r"position must lie in \[0, 12\] time steps, got 13": lambda t, x, w: gather(t, x, w, position=w * 0 + 13),
    r"position must lie in \[0, 12\] time steps, got nan": lambda t, x, w: gather(t, x, w, position=with_nan(w * 0)),
    "needs positions": lambda t, x, w: gather(t, x, w, kernel="gaussian", width=1.0),
    "needs its width": lambda t, x, w: gather(t, x, w, position=w * 0, kernel="gaussian"),
    "width must lie in": lambda t, x, w: gather(t, x, w, position=w * 0, kernel="gaussian", width=0.0),
    "give kernel= too": lambda t, x, w: gather(t, x, w, width=1.0),
    "unknown delay kernel 'gauss'": lambda t, x, w: gather(t, x, w, position=w * 0, kernel="gauss", width=1.0),
    "threads must be": lambda t, x, w: gather(t, x, w, threads=0),
    "sorted by": lambda t, x, w: Topology([1, 0], [0, 0], [0, 0], num_pre=2, num_post=1),
    r"topology pre must lie in \[0, 1\], got 2": lambda t, x, w: Topology([2], [0], [0], num_pre=2, num_post=1),
    r"topology delay must lie in \[0, 65535\], got -1": lambda t, x, w: Topology([0], [0], [-1], num_pre=2, num_post=1),
    "topology delay must have 1 entries": lambda t, x, w: Topology([0], [0], [0, 1], num_pre=2, num_post=1),
    "at least one synapse": lambda t, x, w: Topology([], [], [], num_pre=2, num_post=1),
    "max_delay must be": lambda t, x, w: Topology([0], [0], [4], num_pre=2, num_post=1, max_delay=3),
}


def with_nan(array):
    array = array.copy()
    array[4 % len(array)] = np.nan
    return array


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_one_clear_error(message):
    topology, weight = connection()
    with pytest.raises(InvalidValueError, match=message):
        BAD[message](topology, inputs("spikes"), weight)
