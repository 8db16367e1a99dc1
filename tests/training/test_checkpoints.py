"""Checkpoints of networks with batch norm, learned delays and kernels: they go on, and damage is told."""

from __future__ import annotations

import os

import numpy as np
import pytest
from networks import Case
from refused import refused
from rewired import data, small_network

from genn_delays import SGD, Adam, Callback, DeepR, EarlyStopping, GaussianKernel, RigL, SurrogateCompiler
from genn_delays import Checkpoint as WriteCheckpoint
from genn_delays.errors import RunFolderError
from genn_delays.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint

INGREDIENTS = [
    {"kernel": GaussianKernel(sigma=3.0), "batch_norm": True, "dropout": 0.2},
    {"kernel": "triangle", "kernel_count": 2},
    {"batch_norm": True},
]
OPTIMISERS = {
    "all_connections": {"weight": Adam(0.02), "delay": Adam(0.2)},
    "all_populations": {"batch_norm": Adam(0.01)},
}
RULES = [DeepR(growth="gradient", growth_delay="best"), RigL(interval=2, end=1.0)]


def compiled_network(ingredients, backend="cpu", rule=RULES[0], **arguments):
    network = small_network(**ingredients)
    arguments = {"optimisers": OPTIMISERS, "rewiring": {"all_connections": rule}} | arguments
    return SurrogateCompiler(16, 4, backend=backend, rng_seed=3).compile(network, **arguments)


def everything(compiled):
    """All arrays that a network carries, by name."""
    found = {}
    for c in compiled.plan.connections:
        found |= {f"{c.name} {name}": a for name, a in compiled.engine.state(c.index).arrays().items()}
        found[f"{c.name} delays"] = compiled.delays(c.name)
    for p, state in zip(compiled.plan.populations, compiled.populations, strict=True):
        found |= {f"{p.name} {name}": a for name, a in state.tensors().items()}
        found[f"{p.name} age"] = np.array(state.age)
    return {name: array.copy() for name, array in found.items()}


def same(one, two):
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("ingredients", INGREDIENTS, ids=lambda x: "+".join(x))
def test_going_on_gives_the_same_bits(ingredients, rule, backend, tmp_path):
    """4 epochs in one go; and 2, a pause, and 2 more in another network: synapses, delays, averages, files, outputs.

    Both train for 4 epochs altogether, as the kernels' widths and RigL's share go by the share of the training done.
    """
    x, y = data(small_network(), 10)
    whole, second = (compiled_network(ingredients, backend, rule) for _ in range(2))

    class Pause(Callback):
        def on_epoch_end(self, epoch, metrics):
            if epoch == 1:
                self.compiled_network.save(tmp_path / "half.safetensors")

    whole.train(x, y, 4, callbacks=[Pause()])
    second.load(tmp_path / "half.safetensors")
    assert second.epoch == 2 and not same(everything(second), everything(whole))
    second.train(x, y, 4, callbacks=[Pause()])
    assert same(everything(second), everything(whole))
    assert min(whole.rewirings.values()) > 0 and second.rewirings == whole.rewirings
    assert any((compiled_network(ingredients).delays(c.name) % 1 == 0).all() for c in whole.plan.connections)
    assert any((whole.delays(c.name) % 1 != 0).any() for c in whole.plan.connections)
    for a, b in zip(whole.predict(x)[0].values(), second.predict(x)[0].values(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, compiled in (("whole", whole), ("second", second)):
        compiled.save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()


def test_an_evaluation_after_loading_is_the_one_before_saving(backend, tmp_path):
    """Running averages, scales and real-valued delays are in the file."""
    x, y = data(small_network(), 10)
    first = compiled_network(INGREDIENTS[0], backend)
    first.train(x, y, 2, callbacks=())
    first.save(tmp_path / "x.safetensors")
    second = compiled_network(INGREDIENTS[0], backend)
    before = second.predict(x)[0]
    second.load(tmp_path / "x.safetensors")
    for (_, a), (_, b), (_, c) in zip(first.predict(x)[0].items(), second.predict(x)[0].items(), before.items(),
                                      strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
        assert np.abs(b - c).max() > 1e-3


def test_another_kind_of_optimiser_keeps_delays_and_norms(tmp_path):
    """What was learned stays; only the optimisers' own numbers begin afresh."""
    x, y = data(small_network(), 10)
    first = compiled_network(INGREDIENTS[0])
    first.train(x, y, 2, callbacks=())
    first.save(tmp_path / "x.safetensors")
    others = {"all_connections": {"weight": SGD(0.1), "delay": SGD(0.1)}}
    second = compiled_network(INGREDIENTS[0], optimisers=others)
    second.load(tmp_path / "x.safetensors")
    for c in first.plan.connections:
        np.testing.assert_array_equal(second.delays(c.name), first.delays(c.name))
        state = second.engine.state(c.index)
        assert len(state.moments) == len(state.delay_moments) == 1
        assert not state.moments[0].any() and not state.age.any()
    for name, values in first.populations[1].values.items():
        np.testing.assert_array_equal(second.populations[1].values[name], values)
    second.train(x, y, 3, callbacks=())


# --- damage ----------------------------------------------------------------------------------------------------------


def _short(checkpoint):
    values = checkpoint.populations["hidden"].values
    values["batch_norm_scale"] = values["batch_norm_scale"][:-1]


def _wide(checkpoint):
    values = checkpoint.populations["hidden"].values
    values["batch_norm_shift"] = values["batch_norm_shift"].astype(np.float64)


def _endless(checkpoint):
    checkpoint.populations["hidden"].values["batch_norm_mean"][2] = np.inf


def _no_number(checkpoint):
    checkpoint.populations["hidden"].moments["batch_norm_scale"][1][0] = np.nan


@pytest.mark.parametrize("spoil", [_short, _wide, _endless, _no_number])
def test_damaged_populations_are_refused(spoil, tmp_path):
    """A file whose checksum is right and whose numbers are not; the network is left as it was."""
    compiled, path = compiled_network(INGREDIENTS[0], "reference"), tmp_path / "x.safetensors"
    compiled.save(path)
    checkpoint = load_checkpoint(path, compiled.plan)
    spoil(checkpoint)
    save_checkpoint(path, compiled.plan, checkpoint)
    before = everything(compiled)
    with refused(str(path), "damaged", "'hidden'", "batch_norm_", error=RunFolderError):
        compiled.load(path)
    assert same(everything(compiled), before)


def _apart(state):
    state.position[3] += 1.0


def _nowhere(state):
    state.position[3] = np.nan


def _fewer(state):
    state.position = state.position[:-1]


def _moments(state):
    state.values["delay_moment1"] = state.delay_moments[1][:-1]


def _late(state):
    state.synapses.delay[0] = 10
    state.position[0] = 10.0


@pytest.mark.parametrize("spoil", [_apart, _nowhere, _fewer, _moments, _late])
def test_damaged_delays_are_refused(spoil, tmp_path):
    """Real-valued delays that are not the rounded ones, that are missing, or beyond the longest."""
    compiled, path = compiled_network(INGREDIENTS[0], "reference"), tmp_path / "x.safetensors"
    states = {c.name: compiled.engine.state(c.index) for c in compiled.plan.connections}
    progress = {"epoch": 0, "step": 0, "rewirings": {}, "callbacks": {}, "schedules": [0, 1, 0, 1]}
    populations = {"hidden": compiled.populations[1]}
    save_checkpoint(path, compiled.plan, Checkpoint(states, populations, progress))
    compiled.load(path)
    spoil(states["in_hidden"])
    save_checkpoint(path, compiled.plan, Checkpoint(states, populations, progress))
    with refused(str(path), "damaged", "'in_hidden'", error=RunFolderError):
        compiled.load(path)


def test_a_flipped_bit_in_a_population(tmp_path):
    compiled, path = compiled_network(INGREDIENTS[2], "reference"), tmp_path / "x.safetensors"
    compiled.save(path)
    content = bytearray(path.read_bytes())
    at = content.rfind(np.ones(15, np.float32).tobytes())  # the scales
    assert at > 0
    content[at] ^= 1
    path.write_bytes(bytes(content))
    with refused(str(path), "damaged", "checksum", error=RunFolderError):
        compiled.load(path)


def test_gradients_after_loading_are_those_before_saving(tmp_path):
    """A kernel is as wide as it was when training stopped, not as when it began."""
    x, y = data(small_network(), 8)
    ingredients = {"kernel": GaussianKernel(sigma=3.0)}
    first, second = compiled_network(ingredients), compiled_network(ingredients)
    first.train(x, y, 4, callbacks=())
    first.save(tmp_path / "x.safetensors")
    second.load(tmp_path / "x.safetensors")
    assert second.gradients(x, y)[0] == first.gradients(x, y)[0]


# --- progress --------------------------------------------------------------------------------------------------------

PROGRESS = {"epoch": 1, "step": 4, "rewirings": {"in_hidden": 3}, "callbacks": {}, "schedules": [0, 2, 3, 4]}
ODD = [None, "one", [], {}, True, -1, 2.5, float("nan"), 10**400]
"""What no count is, as JSON can hold it."""


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("epoch", [*ODD, 10**9]),
        ("step", [*ODD, 0]),
        ("rewirings", [None, "one", [], 3, *({"in_hidden": value} for value in ODD)]),
        ("callbacks", [None, "one", [], 3, *({"Checkpoint 0": value} for value in ODD if value != {})]),
        (
            "schedules",
            [None, "one", {}, 3, [], [0, 1, 0], [0, 1, 0, 1, 0], [2, 2, 0, 1], [0, 1, 4, 4]]
            + [[0, 1, 0, v] for v in ODD],
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_wrong_progress_is_refused(field, values, tmp_path):
    """A file whose checksum is right, and which says nonsense of how far training was: a TypeError or KeyError."""
    compiled, path = compiled_network(INGREDIENTS[2], "reference"), tmp_path / "x.safetensors"
    states = {c.name: compiled.engine.state(c.index) for c in compiled.plan.connections}
    save_checkpoint(path, compiled.plan, Checkpoint(states, {}, PROGRESS))
    compiled.load(path)
    before = compiled.epoch, compiled.step, compiled.rewirings
    for value in values:
        save_checkpoint(path, compiled.plan, Checkpoint(states, {}, PROGRESS | {field: value}))
        with refused(str(path), "damaged", error=RunFolderError):
            compiled.load(path)
    assert (compiled.epoch, compiled.step, compiled.rewirings) == before


@pytest.mark.parametrize("age", [value for value in ODD if value is not None], ids=repr)
def test_wrong_ages_are_refused(age, tmp_path):
    compiled, path = compiled_network(INGREDIENTS[2], "reference"), tmp_path / "x.safetensors"
    states = {c.name: compiled.engine.state(c.index) for c in compiled.plan.connections}
    population = compiled.populations[1]
    population.age = age
    save_checkpoint(path, compiled.plan, Checkpoint(states, {"hidden": population}, PROGRESS))
    with refused(str(path), "damaged", "training steps of population 'hidden'", error=RunFolderError):
        compiled.load(path)


@pytest.mark.parametrize("callback", [EarlyStopping(), WriteCheckpoint("unused")], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("state", [{}, {"best": "high"}, {"best": 0.5, "waited": "x", "best_epoch": 9}], ids=repr)
def test_a_wrong_state_of_a_callback_is_refused(callback, state, tmp_path):
    """When it is taken over, before anything is computed."""
    compiled, path = compiled_network(INGREDIENTS[2], "reference"), tmp_path / "x.safetensors"
    states = {c.name: compiled.engine.state(c.index) for c in compiled.plan.connections}
    name = f"{type(callback).__name__} 0"
    save_checkpoint(path, compiled.plan, Checkpoint(states, {}, PROGRESS | {"callbacks": {name: state}}))
    compiled.load(path)
    x, y = data(small_network(), 10)
    with refused("damaged", repr(name), error=RunFolderError):
        compiled.train(x, y, 2, callbacks=[callback])
    assert compiled.step == 4


def test_delays_below_the_shortest_are_refused(tmp_path):
    """On a cycle there is none below 1, whatever a file says."""
    case = Case(seed=1, recurrent=True)
    compiled, path = case.compile("cpu"), tmp_path / "x.safetensors"
    compiled.save(path)
    checkpoint = load_checkpoint(path, compiled.plan)
    name = next(c.name for c in compiled.plan.connections if c.min_delay == 1)
    checkpoint.states[name].synapses.delay[0] = 0
    save_checkpoint(path, compiled.plan, checkpoint)
    with refused(str(path), "damaged", repr(name), error=RunFolderError):
        compiled.load(path)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_checkpoint_that_may_not_be_read_says_so(tmp_path):
    """It was "damaged (No such file or directory)". Root may read everything, so another user asks."""
    compiled, path = compiled_network(INGREDIENTS[2], "reference"), tmp_path / "x.safetensors"
    compiled.save(path)
    path.chmod(0o000)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
        try:
            reachable = os.access(tmp_path, os.X_OK, effective_ids=True)
        finally:
            os.seteuid(0)
        for folder in [] if reachable else [tmp_path, *tmp_path.parents]:
            if folder.stat().st_uid == 0 and "pytest" in str(folder):
                folder.chmod(folder.stat().st_mode | 0o011)
        os.seteuid(65534)
    try:
        with refused(f"cannot read checkpoint {path}: Permission denied", error=RunFolderError):
            load_checkpoint(path, compiled.plan)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"format": 3, "digest": ' + b"[" * 100_000], ids=["list", "table"])
def test_json_of_any_depth_is_damage(deep, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, path, {"genn_delays": deep.decode()})
    with refused(str(path), "damaged", error=RunFolderError):
        load_checkpoint(path, compiled_network(INGREDIENTS[2], "reference").plan)
