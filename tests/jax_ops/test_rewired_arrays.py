"""Rewiring between steps of JAX: as the definition does it, with everything that is kept a synapse."""

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs JAX: pip install 'genn-delays[jax]'")

import jax.numpy as jnp  # noqa: E402

import genn_delays as gd  # noqa: E402
from genn_delays.backends.reference.activity import Activity  # noqa: E402
from genn_delays.backends.reference.rewiring import rewired_state  # noqa: E402
from genn_delays.errors import InvalidValueError  # noqa: E402
from genn_delays.jax import propagate, rewire, synapses  # noqa: E402
from genn_delays.plan.exchanged import ConnectionState  # noqa: E402

pytestmark = pytest.mark.jax

T, B, IN, OUT, SEED = 25, 6, 12, 9, 3


def drawn_by(kernel_count=1):
    return gd.FixedNumber(0.6, delay=gd.UniformInt(0, 10), kernel_count=kernel_count)


RULES = {"deep_r": gd.DeepR(), "redraw": gd.DeepR(growth_delay="redraw"), "set": gd.SET(interval=4)}


@pytest.mark.parametrize("kernel_count", [1, 2])
@pytest.mark.parametrize("name", RULES)
def test_drops_and_grows_what_the_definition_does(name, kernel_count):
    """The same synapses as backend `reference` has, from the same weights, in the fourth step."""
    rule, connectivity = RULES[name], drawn_by(kernel_count)
    topology, weight = synapses(connectivity, IN, OUT, seed=SEED)
    before = np.asarray(weight)
    after = before + 0.3 * np.random.default_rng(0).normal(size=before.size).astype(np.float32)
    network = gd.Network(seed=SEED)
    with network:
        source, target = gd.Population(gd.Input(), IN), gd.Population(gd.LeakyIntegrate(readout="sum_var"), OUT)
        connection = gd.Connection(source, target, connectivity)
    compiler = gd.SurrogateCompiler(example_timesteps=T, batch_size=B, rng_seed=SEED, backend="reference")
    optimisers = {"all_connections": {"weight": gd.SGD(0.02)}}
    plan = compiler.compile(network, optimisers=optimisers, rewiring={"all_connections": rule}).plan
    signed = after
    if rule.signed:
        sign = np.where(before < 0, np.float32(-1), np.float32(1))
        signed = np.copysign(np.maximum(after * sign, 0), sign)
    state = ConnectionState.new(connection.synapses._replace(weight=signed), plan.connections[0])
    count = int(0.3 * before.size)
    state, moved = rewired_state(Activity(plan, "float32", False), state, 0, 3, count)
    found = rewire(rule, connectivity, topology, after, step=3, before=before, seed=SEED)
    assert found.num_moved == sum(moved) > 0
    ours = (found.topology.pre, found.topology.post, found.topology.delay, found.weight)
    for one, defined in zip(ours, state.synapses, strict=True):
        assert np.array_equal(one, defined)


def test_what_is_kept_of_a_synapse_goes_with_it():
    """Of any pytree; other leaves are left, and newborn synapses begin with none and with their own delay."""
    connectivity = drawn_by()
    topology, weight = synapses(connectivity, IN, OUT, seed=SEED)
    number = jnp.arange(topology.size, dtype=jnp.float32) + 1
    found = rewire("deep_r", connectivity, topology, -weight, number % 10, step=0, before=weight.at[:30].multiply(-1))
    state = {"mu": number, "count": jnp.int32(3), "other": jnp.ones((2, topology.size))}
    carried = found.carry(state)
    assert 0 < found.num_moved == topology.size - 30
    assert carried["count"] is state["count"] and carried["other"] is state["other"]
    here = np.ones(topology.size, bool)
    here[found.born] = False
    assert (carried["mu"][found.born] == 0).all() and np.array_equal(carried["mu"][here], number[:30])
    former = np.asarray(carried["mu"][here], int) - 1
    for name in ("pre", "post", "delay"):
        assert np.array_equal(getattr(found.topology, name)[here], getattr(topology, name)[former])
    assert np.array_equal(found.delay[here], (number % 10)[:30])
    assert np.array_equal(found.delay[found.born], found.topology.delay[found.born])
    assert np.allclose(np.abs(found.weight[found.born]), 1e-12, rtol=1e-6)
    assert (found.carry(number, newborn=7)[found.born] == 7).all()


def test_a_rewired_layer_learns_in_one_program():
    """Synapses that fit badly leave, and the loss falls lower than where they stay; nothing is compiled anew."""
    connectivity, traced, last = drawn_by(), [], {}
    every, own = synapses(gd.Dense(delay=gd.UniformInt(0, 10)), IN, OUT, seed=SEED)
    wanted = np.random.default_rng(1).random(own.size) < 0.2  # signs and delays of pairs are those of the seed
    x = (np.random.default_rng(0).random((T, B, IN)) < 0.2).astype(np.float32)
    target = propagate(every, x, jnp.sign(own) * wanted)
    rule = gd.DeepR(l1=3e-3)

    @jax.jit
    def step(topology, weight, speed):
        traced.append(1)

        def loss(weight):
            fit = ((propagate(topology, x, weight) - target) ** 2).mean()
            return fit + rule.l1 * jnp.abs(weight).sum(), fit

        gradient, fit = jax.grad(loss, has_aux=True)(weight)
        speed = 0.9 * speed + gradient
        return weight - 0.3 * speed, speed, fit

    for rewired in (False, True):
        topology, weight = synapses(connectivity, IN, OUT, seed=SEED)
        speed, moved = jnp.zeros_like(weight), 0
        for number in range(200):
            after, speed, fit = step(topology, weight, speed)
            if rewired:
                found = rewire(rule, connectivity, topology, after, step=number, before=weight, seed=SEED)
                topology, after, speed = found.topology, found.weight, found.carry(speed)
                moved += found.num_moved
            weight = after
        last[rewired] = float(fit)
    assert last[True] < 0.8 * last[False] and moved > topology.size and len(traced) == 1, last


def test_rules_that_are_not_due_change_nothing():
    connectivity = drawn_by()
    topology, weight = synapses(connectivity, IN, OUT)
    found = rewire(gd.SET(interval=4), connectivity, topology, weight, step=0)
    assert found.topology is topology and found.num_moved == 0 and np.array_equal(found.weight, weight)
    assert found.carry(weight) is weight


def test_synapses_are_those_of_a_layer_for_any_library():
    topology, weight = synapses(drawn_by(), IN, OUT, seed=5, max_delay=20)
    sampled = drawn_by().sample(IN, OUT, 5, 0)
    assert np.array_equal(weight, sampled.weight) and np.array_equal(topology.pre, sampled.pre)
    assert topology.max_delay == 20


def bad(rule=gd.DeepR(), connectivity=drawn_by(), **options):  # noqa: B008
    topology, weight = synapses(drawn_by(), IN, OUT)
    given = {"topology": topology, "weight": weight, "before": weight, "step": 0} | options
    return lambda: rewire(rule, connectivity, **given)


BAD = {
    "connectivity must be one such as": lambda: synapses(0.9, 3, 4),
    "seed must be": lambda: synapses(drawn_by(), 3, 4, seed=-1),
    "num_pre must be": lambda: synapses(drawn_by(), 0, 4),
    "unknown rewiring": lambda: bad("deep")(),
    "not offered for JAX; use one that grows at random": lambda: bad("rigl")(),
    "dale, decoupled_l1 and temperature are not offered": lambda: bad(gd.DeepR(dale=True))(),
    "give before=": lambda: bad(before=None)(),
    r"weight must be float32 of shape \[synapse\] = \(43\), got float32 \(3,\)": lambda: bad(
        weight=np.ones(3, np.float32)
    )(),
    "got float64": lambda: bad(weight=np.ones(43))(),
    "step must be": lambda: bad(step=-1)(),
    "step must be from 0 to 9": lambda: bad(step=10, total_steps=10)(),
    "got a traced weight: call it outside of jax.jit": lambda: jax.jit(lambda w: bad(weight=w)().weight)(
        jnp.ones(43, jnp.float32)
    ),
    "all 12 pairs have a synapse": lambda: rewire(
        "set", gd.Dense(weight=1.0), *synapses(gd.Dense(weight=1.0), 3, 4), step=0
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_one_clear_error(message):
    with pytest.raises(InvalidValueError, match=message):
        BAD[message]()
