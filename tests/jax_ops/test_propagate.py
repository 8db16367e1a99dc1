"""The function for JAX: equal to its definition and to a dense convolution, and a function like any other."""

import ctypes

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs JAX: pip install 'genn-delays[jax]'")

import jax.numpy as jnp  # noqa: E402
from dense_in_jax import dense_convolution, double_precision  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

from genn_delays import FixedNumber, UniformInt  # noqa: E402
from genn_delays.delays import GaussianKernel, TriangleKernel  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.jax import propagate  # noqa: E402
from genn_delays.ops import Topology, reference  # noqa: E402

pytestmark = pytest.mark.jax

T, B, IN, OUT = 25, 6, 12, 9
OFFSET = {"gaussian": GaussianKernel.offset, "triangle": TriangleKernel.offset}


def layer(seed=1, sparsity=0.6, count=1, empty=()):
    """A topology, weights, and real-valued delays off whole steps, where a triangle has no derivative."""
    s = FixedNumber(sparsity, delay=UniformInt(0, 10), kernel_count=count).sample(IN, OUT, seed, 0)
    kept = ~np.isin(s.post, empty)
    topology = Topology(s.pre[kept], s.post[kept], s.delay[kept], num_pre=IN, num_post=OUT, max_delay=10)
    moved = topology.delay + 0.9 * np.random.default_rng(seed).random(topology.size) + 0.02
    return topology, s.weight[kept], np.clip(moved, 0.02, 9.98).astype(np.float32)


def spikes(seed=0):
    """Rows of spikes and of real values."""
    rng = np.random.default_rng(seed)
    x = (rng.random((T, B, IN)) < 0.1).astype(np.float32)
    x[:, :, ::3] = rng.normal(size=x[:, :, ::3].shape)
    return x


FORMS = {
    "whole": {},
    "rounded": {"delay": True},
    "wide": {"delay": True, "delay_kernel": "gaussian", "sigma": 5.0},
    "narrow": {"delay": True, "delay_kernel": "gaussian", "sigma": 0.23},
    "triangle": {"delay": True, "delay_kernel": "triangle", "sigma": 1.5},
}


def given(form, position):
    return FORMS[form] | ({"delay": position} if "delay" in FORMS[form] else {})


RANDOM = [
    (form, seed, sparsity, count, empty)
    for seed, (sparsity, count, empty) in enumerate([(0.3, 1, ()), (0.8, 3, (0, 4, 8))])
    for form in FORMS
]


@pytest.mark.parametrize(("form", "seed", "sparsity", "count", "empty"), RANDOM)
def test_equals_a_dense_convolution(form, seed, sparsity, count, empty):
    """10 random layers: output to 1e-6, gradients of spikes, weight and delay to 1e-5 of the largest."""
    topology, weight, position = layer(seed, sparsity, count, empty)
    x, target = spikes(seed), np.random.default_rng(3).normal(size=(T, B, OUT)).astype(np.float32)
    options = FORMS[form]
    kernel, sigma = options.get("delay_kernel"), options.get("sigma")
    given_delay = position if "delay" in options else topology.delay.astype(np.float32)

    def ours(x, weight, position):
        y = propagate(topology, x, weight, position if "delay" in options else None, delay_kernel=kernel, sigma=sigma)
        return (target * y).sum(), y

    def dense(x, weight, position):
        y = dense_convolution(topology, x, weight, position, kernel, sigma and sigma + OFFSET[kernel])
        return (target * y).sum(), y

    found, y = jax.jit(jax.grad(ours, (0, 1, 2), has_aux=True))(x, weight, given_delay)
    with double_precision():
        values = (np.asarray(a, np.float64) for a in (x, weight, given_delay))
        exact, z = jax.jit(jax.grad(dense, (0, 1, 2), has_aux=True))(*values)
    found, y, exact, z = jax.tree.map(np.asarray, (found, y, exact, z))
    assert z.dtype == np.float64
    assert np.abs(y - z).max() < 1e-6 * max(1, np.abs(z).max())
    for one, other in list(zip(found, exact, strict=True))[: 3 if kernel else 2]:
        assert 0 < np.abs(one - other).max() < 1e-5 * np.abs(other).max()


@pytest.mark.parametrize("form", FORMS)
def test_equals_the_definition(form):
    """Currents and gradients of spikes to the bit; those of synapses, whose sums have no one order, to rounding."""
    topology, weight, position = layer(count=2)
    x, g = spikes(), np.random.default_rng(4).normal(size=(T, B, OUT)).astype(np.float32)
    options = given(form, position)
    named = {"position": options.get("delay"), "kernel": options.get("delay_kernel")}
    if "sigma" in options:
        named["width"] = float(np.float32(options["sigma"] + OFFSET[named["kernel"]]))
    rest = {name: options[name] for name in ("delay_kernel", "sigma") if name in options}
    y, back = jax.vjp(lambda x, w, d: propagate(topology, x, w, d, **rest), x, weight, options.get("delay"))
    of_x, of_weight, of_delay = back(jnp.asarray(g))
    rows, g_rows = (np.ascontiguousarray(a.transpose(2, 0, 1)) for a in (x, g))
    assert np.array_equal(y, reference.gather(topology, rows, weight, **named).transpose(1, 2, 0))
    assert np.array_equal(of_x, reference.backgather(topology, g_rows, weight, **named).transpose(1, 2, 0))
    exact = reference.correlate(topology, rows, g_rows, weight, **named)
    assert (of_delay is None) == (exact.position is None)
    for one, other in zip((of_weight, of_delay), exact, strict=True):
        if other is not None:
            assert np.abs(one - other).max() < 1e-5 * np.abs(other).max()


@pytest.mark.parametrize("form", ["whole", "wide", "triangle"])
def test_gradients_are_those_of_finite_differences(form):
    """Linear in spikes and weights, smooth in delays: large steps in single precision."""
    topology, weight, position = layer(sparsity=0.8)
    x, options = spikes(), given(form, position)
    position = options.pop("delay", None)

    def loss(x, weight, *position):
        return (propagate(topology, x, weight, *position, **options) ** 2).mean()

    values = (x, weight) if position is None else (x, weight, np.clip(position, 0.1, 9.9).astype(np.float32))
    check_grads(loss, values, order=1, modes=["rev"], eps=1e-2, atol=1e-2, rtol=1e-2)


def steps_of(topology, x, target, rate=0.05):
    """A step of training, and its loss."""

    def step(state, _):
        weight, delay = state

        def loss(weight, delay):
            y = propagate(topology, x, weight, delay, delay_kernel="gaussian", sigma=1.0)
            return ((y - target) ** 2).mean()

        value, (dw, dd) = jax.value_and_grad(loss, (0, 1))(weight, delay)
        return (weight - rate * dw, jnp.clip(delay - rate * dd, 0, topology.max_delay)), value

    return step


def test_compiled_scanned_and_plain_calls_agree():
    """To the bits of the kernels; what XLA makes of the rest may round otherwise."""
    topology, weight, position = layer()
    x = spikes()
    call = lambda w: propagate(topology, x, w, position, delay_kernel="gaussian", sigma=1.0)  # noqa: E731
    assert np.array_equal(call(weight), jax.jit(call)(weight))
    step = steps_of(topology, x, call(weight * 2))
    state, plain = (weight, position), []
    for _ in range(4):
        state, value = step(state, None)
        plain.append(value)
    scanned, values = jax.jit(lambda s: jax.lax.scan(step, s, length=4))((weight, position))
    assert np.allclose(plain, values, rtol=1e-5) and values[3] < values[0]
    for one, other in zip(state, scanned, strict=True):
        assert np.allclose(one, other, atol=1e-5)
    kept = jax.checkpoint(call)
    assert np.array_equal(jax.grad(lambda w: call(w).sum())(weight), jax.grad(lambda w: kept(w).sum())(weight))


def test_other_synapses_run_the_same_program():
    """A topology is an argument; one that is returned is a topology like any other."""
    traced = []

    @jax.jit
    def call(topology, weight):
        traced.append(1)
        return propagate(topology, x, weight), topology

    x = spikes()
    for seed in (1, 2):
        topology, weight, _ = layer(seed)
        y, back = call(topology, weight)
        rows = np.ascontiguousarray(x.transpose(2, 0, 1))
        assert np.array_equal(y, reference.gather(back, rows, weight).transpose(1, 2, 0))
        assert isinstance(back.pre, np.ndarray) and np.array_equal(back.row_start, topology.row_start)
    assert len(traced) == 1


def test_sigma_narrows_within_one_program():
    topology, weight, position = layer()
    call = jax.jit(lambda sigma: propagate(topology, spikes(), weight, position, delay_kernel="gaussian", sigma=sigma))
    wide, narrow = call(3.0), call(0.5)
    assert np.array_equal(narrow, propagate(topology, spikes(), weight, position, delay_kernel="gaussian", sigma=0.5))
    assert not np.allclose(wide, narrow)
    with pytest.raises(InvalidValueError, match="sigma has no gradient"):
        jax.grad(lambda sigma: call(sigma).sum())(1.0)


def test_members_of_vmap_are_computed_one_after_the_other():
    topology, weight, position = layer()
    x, weights = spikes(), np.stack([weight, -weight, 2 * weight])

    def slope(weight, position):
        return jax.grad(lambda *a: (propagate(topology, x, *a, delay_kernel="gaussian", sigma=1.0) ** 2).sum(), (0, 1))(
            weight, position
        )

    together = jax.vmap(slope, (0, None))(weights, position)
    for k, one in enumerate(weights):
        for found, alone in zip(together, slope(one, position), strict=True):
            assert np.allclose(found[k], alone, rtol=1e-5, atol=1e-5)


def test_any_number_of_threads_gives_the_same_bits():
    topology, weight, position = layer()
    slopes = [
        jax.grad(lambda w, n=n: (propagate(topology, spikes(), w, position, threads=n) ** 2).sum())(weight)
        for n in (1, 3)
    ]
    assert np.array_equal(*slopes)


def test_what_nobody_asks_for_is_not_computed():
    topology, weight, _ = layer()
    x = spikes()
    by_weight = str(jax.make_jaxpr(jax.grad(lambda w: propagate(topology, x, w).sum()))(weight))
    by_spikes = str(jax.make_jaxpr(jax.grad(lambda x: propagate(topology, x, weight).sum()))(x))
    assert "correlate" in by_weight and "backgather" not in by_weight
    assert "correlate" not in by_spikes and "backgather" in by_spikes


def test_forward_mode_is_refused():
    topology, weight, _ = layer()
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda w: propagate(topology, spikes(), w), (weight,), (weight,))


def test_with_double_precision_elsewhere():
    topology, weight, _ = layer()
    with double_precision():
        assert propagate(topology, spikes(), weight).dtype == np.float32
        with pytest.raises(
            InvalidValueError, match=r"spikes must be float32, got float64; call .astype\(jnp.float32\)"
        ):
            propagate(topology, jnp.asarray(spikes(), jnp.float64), weight)


def test_on_another_device_the_error_says_where_it_computes():
    """The handler that is registered for GPUs, as one for this processor."""
    from genn_delays.jax import targets

    propagate(layer()[0], spikes(), layer()[1])
    library = targets.LIBRARIES[""]
    jax.ffi.register_ffi_target("elsewhere", jax.ffi.pycapsule(library["xla_elsewhere"]), platform="cpu")
    with pytest.raises(jax.errors.JaxRuntimeError, match="computes on the CPU"):
        jax.ffi.ffi_call("elsewhere", jax.ShapeDtypeStruct((), np.float32))().block_until_ready()
    assert isinstance(library, ctypes.CDLL)


def changed(array, k, value):
    array = array.copy()
    array[k] = value
    return array


BAD = {
    "needs a genn_delays.ops.Topology, got 3": lambda t, x, w, d: propagate(3, x, w),
    "spikes must be float32, got bool": lambda t, x, w, d: propagate(t, x > 0, w),
    "spikes must be an array of float32, got a list": lambda t, x, w, d: propagate(t, x.tolist(), w),
    r"spikes must have shape \[time, batch, num_pre\] = \(any, any, 12\), got \(25, 12\)": lambda t, x, w, d: propagate(
        t, x[:, 0], w
    ),
    r"= \(any, any, 12\), got \(25, 0, 12\)": lambda t, x, w, d: propagate(t, x[:, :0], w),
    r"weight must have shape \[synapse\] = \(43\), got \(42,\)": lambda t, x, w, d: propagate(t, x, w[1:]),
    "weight must be float32, got bfloat16": lambda t, x, w, d: propagate(t, x, jnp.asarray(w, jnp.bfloat16)),
    "delay must be float32, got uint16": lambda t, x, w, d: propagate(t, x, w, t.delay),
    "needs real-valued delays": lambda t, x, w, d: propagate(t, x, w, delay_kernel="gaussian", sigma=1.0),
    "give sigma=": lambda t, x, w, d: propagate(t, x, w, d, delay_kernel="gaussian"),
    "sigma must lie in": lambda t, x, w, d: propagate(t, x, w, d, delay_kernel="gaussian", sigma=0.0),
    "sigma must be one number": lambda t, x, w, d: propagate(t, x, w, d, delay_kernel="gaussian", sigma=jnp.ones(2)),
    "give delay_kernel= too": lambda t, x, w, d: propagate(t, x, w, d, sigma=1.0),
    "unknown delay kernel 'gauss'": lambda t, x, w, d: propagate(t, x, w, d, delay_kernel="gauss", sigma=1.0),
    "threads must be": lambda t, x, w, d: propagate(t, x, w, threads=0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_one_clear_error(message):
    topology, weight, position = layer()
    with pytest.raises(InvalidValueError, match=message):
        BAD[message](topology, spikes(), weight, position)


def test_a_topology_out_of_traced_numbers_is_refused():
    topology, weight, _ = layer()

    def call(delay):
        own = Topology(topology.pre, topology.post, delay, num_pre=IN, num_post=OUT)
        return propagate(own, spikes(), weight)

    with pytest.raises(jax.errors.TracerArrayConversionError, match="uint16"):
        jax.jit(call)(topology.delay)


def unchecked(t, **arrays):
    """A topology as a program may make it of another, without its checks."""
    values, shape = jax.tree.flatten(t)
    return jax.tree.unflatten(shape, [arrays.get(n, v) for n, v in zip(("pre", "post", "delay"), values, strict=True)])


AT_RUN = {
    "spikes of neuron 4 must be finite": lambda t, x, w, d: propagate(t, changed(x, (3, 2, 4), np.nan), w),
    "weights must be finite": lambda t, x, w, d: propagate(t, x, changed(w, 4, np.inf)),
    r"delay of synapse 4 must lie in \[0, 10\] time steps, got 11: clip": lambda t, x, w, d: propagate(
        t, x, w, changed(d, 4, 11)
    ),
    r"delay of synapse 4 must lie in \[0, 10\] time steps, got -?nan": lambda t, x, w, d: propagate(
        t, x, w, changed(d, 4, np.nan), delay_kernel="gaussian", sigma=1.0
    ),
    "sigma must be above 0": lambda t, x, w, d: propagate(t, x, w, d, delay_kernel="gaussian", sigma=jnp.float32(-1)),
    "synapse 0 from 12 to": lambda t, x, w, d: propagate(unchecked(t, pre=changed(t.pre, 0, IN)), x, w),
    "to -1 with delay": lambda t, x, w, d: propagate(unchecked(t, post=changed(t.post, 5, -1)), x, w),
    "with delay 11 lies outside": lambda t, x, w, d: propagate(unchecked(t, delay=changed(t.delay, 5, 11)), x, w),
    "sorted by": lambda t, x, w, d: propagate(unchecked(t, pre=t.pre[::-1].copy(), post=t.post[::-1].copy()), x, w),
}


@pytest.mark.parametrize("message", AT_RUN)
def test_bad_numbers_are_an_error_of_the_run(message):
    topology, weight, position = layer()
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match=f"genn_delays.jax: .*{message}"):
        AT_RUN[message](topology, spikes(), weight, position).block_until_ready()


def test_bad_numbers_within_a_program_are_too():
    """Where a weight becomes infinite in the second step of four."""
    topology, weight, _ = layer()

    def step(weight, factor):
        return weight * factor, propagate(topology, spikes(), weight * factor).sum()

    program = jax.jit(lambda w: jax.lax.scan(step, w, jnp.asarray([1.0, np.inf, 1.0, 1.0])))
    with pytest.raises(jax.errors.JaxRuntimeError, match="weights must be finite"):
        jax.block_until_ready(program(weight))
