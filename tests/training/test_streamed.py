"""Data that are read batch by batch, and data that are prepared once: the same bits as those in memory."""

from __future__ import annotations

import os
import threading

import h5py
import numpy as np
import pytest
from cuda_on_host import CUDAOnHost
from refused import refused

from genn_delays import (
    CPU,
    Adam,
    Callback,
    Connection,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Population,
    SpikeInput,
    SurrogateCompiler,
    UniformInt,
)
from genn_delays.plan.exchanged import DenseData, EventData
from genn_delays.random import Draws, Purpose, philox
from genn_delays.training.ahead import ahead
from genn_delays.training.data import prepare_inputs
from genn_delays.training.prepared import PreparedInputs, PreparedLabels
from genn_delays.training.streamed import streams

T, COUNT = 8, 11
RANDOM = np.random.default_rng(0)
REAL = RANDOM.normal(size=(COUNT, T, 4)).astype(np.float32)
SPIKES = RANDOM.random((COUNT, T, 5)) < 0.3
EVENTS = [(t + 0.5, i) for t, i in (np.nonzero(one) for one in SPIKES)]
LABELS = RANDOM.integers(0, 3, COUNT)
TARGETS = RANDOM.normal(size=(COUNT, 2)).astype(np.float32)
BACKENDS = [CPU(threads=1), "reference", CUDAOnHost()]


def described(size: int = 5) -> Network:
    """Spikes and real values to one output of classes."""
    network = Network(seed=3)
    with network:
        s, r = Population(SpikeInput(), size, "spikes"), Population(Input(), 4, "real")
        h = Population(LeakyIntegrateFire(tau_mem=5.0), 9, "hidden")
        o = Population(LeakyIntegrate(readout="sum_var"), 3, "out")
        for source, target in ((s, h), (r, h), (h, o)):
            Connection(source, target, FixedNumber(sparsity=0.3, weight=0.5, delay=UniformInt(0, 3)))
    return network


def compiled(backend="reference", batch_size: int = 4, time_steps: int = T, size: int = 5, **given):
    optimisers = {"all_connections": {"weight": Adam(0.01)}}
    compiler = SurrogateCompiler(time_steps, batch_size, backend=backend, **given)
    return compiler.compile(described(size), optimisers=optimisers)


class Items:
    """What a PyTorch Dataset is: a length, and one item at a time."""

    def __init__(self, items) -> None:
        self.items, self.asked, self.threads = list(items), [], set()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, k: int):
        self.asked.append(k)
        self.threads.add(threading.current_thread().name)
        return self.items[k]


def on_disk(folder, kind: str, values: np.ndarray):
    if kind == "memmap":
        np.save(folder / "x.npy", values)
        return np.load(folder / "x.npy", mmap_mode="r")
    return h5py.File(folder / "x.h5", "w").create_dataset("x", data=values, chunks=(3, *values.shape[1:]))


def learned(network) -> list[bytes]:
    return [network.synapses(c).weight.tobytes() for c in network.network.connections]


def outcome(backend, x, y, **given):
    """All that training, evaluation and prediction give."""
    before = threading.active_count()
    with compiled(backend) as network:
        metrics, _ = network.train(x, y, 2, callbacks=[], **given)
        after, _ = network.evaluate(x, y)
        found, _ = network.predict(x, "out")
        loss, gradients = network.gradients(x, y)
        assert threading.active_count() <= before + 1  # the backend's own may be there
        return [
            metrics.loss, after.loss, after.accuracy, found[network.population("out")].tobytes(), loss,
            *(g.tobytes() for g in gradients.values()), *learned(network),
        ]  # fmt: skip


@pytest.fixture(scope="module")
def in_memory():
    """What each backend gives for arrays and lists."""
    x, y = {"spikes": EVENTS, "real": REAL}, {"out": LABELS}
    return {str(backend): outcome(backend, x, y) for backend in BACKENDS}


@pytest.mark.parametrize("backend", BACKENDS, ids=str)
def test_every_source_gives_the_bits_of_memory(backend, in_memory, tmp_path):
    for name, spikes, real in (
        ("memmap", EVENTS, on_disk(tmp_path, "memmap", REAL)),
        ("h5py", on_disk(tmp_path, "h5py", SPIKES), REAL),
        ("items", Items(EVENTS), Items(REAL)),
        ("dense items", Items(SPIKES), Items(REAL.astype(np.float64))),
    ):
        assert outcome(backend, {"spikes": spikes, "real": real}, {"out": LABELS}) == in_memory[str(backend)], name


@pytest.mark.parametrize("backend", BACKENDS, ids=str)
def test_pairs_of_an_example_and_a_label(backend, in_memory):
    """The same object for an input and an output, as a PyTorch Dataset gives its items; each is asked for once."""
    pairs = Items(zip(EVENTS, [int(label) for label in LABELS], strict=True))
    assert outcome(backend, {"spikes": pairs, "real": REAL}, {"out": pairs}) == in_memory[str(backend)]
    each = [pairs.asked.count(k) for k in range(1, COUNT)]
    assert each == [5] * (COUNT - 1)  # two epochs, evaluation, prediction, gradients
    assert pairs.threads == {"MainThread", "genn_delays.ahead"}  # the first item is looked at before anything else


@pytest.mark.torch
def test_a_torch_dataset(in_memory):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(REAL), torch.tensor(LABELS))
    assert streams(data) and not streams(torch.tensor(REAL))
    assert outcome("reference", {"spikes": EVENTS, "real": data}, {"out": data}) == in_memory["reference"]
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    with compiled() as network, refused("inputs of 'real'", "DataLoader", "loader.dataset"):
        network.predict({"spikes": EVENTS, "real": loader})


def test_targets_are_read_batch_by_batch(tmp_path):
    network = Network(seed=1)
    with network:
        r = Population(Input(), 4, "real")
        Connection(r, Population(LeakyIntegrate(readout="avg_var"), 2, "out"), FixedNumber(sparsity=0.2, weight=0.5))
    found = []
    for y in (TARGETS, on_disk(tmp_path, "memmap", TARGETS), Items(TARGETS)):
        with SurrogateCompiler(T, 4, backend="reference", losses="mean_square_error").compile(
            network, optimisers={"all_connections": {"weight": Adam(0.01)}}
        ) as trained:
            found.append((trained.train({"real": REAL}, {"out": y}, 2, callbacks=[])[0].loss, learned(trained)))
    assert found[0] == found[1] == found[2]


# --- prepared once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS, ids=str)
def test_prepared_data_give_the_bits_of_what_was_prepared(backend, in_memory):
    with compiled("reference", batch_size=2) as other:  # of another compiled network with the same inputs
        x, y = other.prepare({"spikes": EVENTS, "real": REAL}, {"out": LABELS})
    assert isinstance(x, PreparedInputs) and isinstance(y, PreparedLabels)
    assert len(x) == len(y) == COUNT
    assert outcome(backend, x, y) == in_memory[str(backend)]
    assert outcome(backend, x, {"out": LABELS}) == in_memory[str(backend)]


def test_prepared_streams_stay_streams(in_memory):
    items = Items(EVENTS)
    with compiled() as network:
        x = network.prepare({"spikes": items, "real": REAL})
    assert items.asked == [0]
    assert outcome("reference", x, {"out": LABELS}) == in_memory["reference"]


def test_prepared_data_do_for_validation():
    with compiled() as network:
        x, y = network.prepare({"spikes": EVENTS, "real": REAL}, {"out": LABELS})
        metrics, _ = network.train(x, y, 1, callbacks=[], validation_x=x, validation_y=y)
        assert metrics.validation.loss == network.evaluate(x, y)[0].loss


def test_prepared_data_are_refused_where_they_do_not_fit():
    with compiled() as network:
        x, y = network.prepare({"spikes": EVENTS, "real": REAL}, {"out": LABELS})
        short = {"spikes": EVENTS[:3], "real": REAL[:3]}
        with refused("labels", "11 for 3 examples"):
            network.evaluate(short, y)
        with refused("'spikes'", "must lie in [0, 5)"):
            network.prepare({"spikes": [([0.0], [5])] * COUNT, "real": REAL})
        with refused("augment", "prepared"):
            network.train(x, y, 1, augment={"real": lambda example, draws: example})
    for given, parts in (
        ({"time_steps": 9}, ("prepared for", "'spikes' (spikes of 5 neurons)", "8 time steps", "9 time steps")),
        ({"dt": 0.5}, ("prepared for", "steps of 1 ms", "steps of 0.5 ms")),
        ({"size": 6}, ("prepared for", "of 5 neurons", "of 6 neurons")),
    ):
        with compiled(**given) as other, refused(*parts):
            other.predict(x)


# --- errors, and what is left ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (np.zeros((COUNT, T, 6)), ("'spikes'", "(examples, 8, 5)", "(11, 8, 6)")),
        (np.zeros((COUNT, T, 5), complex), ("'spikes'", "real numbers", "complex128")),
    ],
)
@pytest.mark.parametrize("kind", ["memmap", "h5py"])
def test_arrays_on_disk_are_looked_at_before_anything_is_computed(kind, values, parts, tmp_path):
    with compiled() as network, refused(*parts):
        network.predict({"spikes": on_disk(tmp_path, kind, values), "real": REAL})


class Broken(Items):
    def __getitem__(self, k: int):
        if k == 7:
            raise OSError("the disk is gone")
        return super().__getitem__(k)


@pytest.mark.parametrize("backend", BACKENDS, ids=str)
def test_the_example_is_named_whose_batch_is_wrong(backend, tmp_path):
    spoiled = REAL.copy()
    spoiled[9, 2, 1] = np.nan
    wrong = [*EVENTS[:9], ([0.0], [5]), EVENTS[10]]
    cases = [
        ({"real": on_disk(tmp_path, "memmap", spoiled)}, ("'real'", "finite", "example 9, step 2, no. 1")),
        ({"real": Items(spoiled)}, ("'real'", "finite", "example 9, step 2, no. 1")),
        ({"spikes": Items(wrong)}, ("'spikes', example 9", "neurons must lie in [0, 5)", "got 5")),
        ({"spikes": Broken(EVENTS)}, ("'spikes', example 7", "OSError", "the disk is gone")),
        ({"real": Items([*REAL[:9], REAL[0][:3], REAL[0]])}, ("'real', example 9", "(8, 4)", "(3, 4)")),
    ]
    before = threading.active_count()
    with compiled(backend) as network:
        for given, parts in cases:
            with refused(*parts):
                network.train({"spikes": EVENTS, "real": REAL, **given}, {"out": LABELS}, 1, callbacks=[])
        wrong_labels = Items([*LABELS[:9].tolist(), 3, 0])
        with refused("labels of 'out'", "[0, 3)", "got 3", "no. 9"):
            network.evaluate({"spikes": EVENTS, "real": REAL}, {"out": wrong_labels})
        assert threading.active_count() <= before + 1
        network.evaluate({"spikes": EVENTS, "real": REAL}, {"out": LABELS})  # it can still be used


def test_what_is_no_source_is_refused():
    class Loader:
        dataset, batch_sampler = Items(EVENTS), None

        def __len__(self) -> int:
            return 3

    with compiled() as network:
        for x in (Loader(), {"spikes": Loader(), "real": REAL}):
            with refused("Loader", "its data set", "loader.dataset"):
                network.predict(x)
        with refused("'spikes'", "must be a list of (times, neurons)", "dict"):
            network.predict({"spikes": {0: EVENTS[0]}, "real": REAL})
        pairs = Items(zip(EVENTS, LABELS, strict=True))
        with refused("validation_split", "read batch by batch"):
            network.train({"spikes": pairs, "real": REAL}, {"out": pairs}, 1, validation_split=0.3)
        with refused("labels of 'out'", "10 for 11 examples"):
            network.evaluate({"spikes": EVENTS, "real": REAL}, {"out": Items(LABELS[:10])})
        with refused("labels of 'out', example 0", "(example, label)", "ndarray"):
            values = Items(REAL)
            network.evaluate({"spikes": EVENTS, "real": values}, {"out": values})


class Interrupt(Callback):
    def on_batch_end(self, batch, metrics) -> None:
        raise KeyboardInterrupt


def test_no_thread_is_left_by_an_interruption():
    before = threading.active_count()
    with compiled() as network:
        with pytest.raises(KeyboardInterrupt):
            network.train({"spikes": Items(EVENTS), "real": REAL}, {"out": LABELS}, 1, callbacks=[Interrupt()])
        assert threading.active_count() == before


def test_two_results_are_there_at_once_at_most():
    made, taken = [], []
    for number in ahead(lambda k: made.append(k) or k, list(range(20))):
        taken.append(number)
        assert len(made) <= len(taken) + 1
    assert taken == made == list(range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_between_batches_goes_on_in_both_processes():
    read, write = os.pipe()
    found, child = [], None
    for number in ahead(lambda k: k * k, [1, 2, 3, 4]):
        found.append(number)
        if number == 4:
            child = os.fork()
    if child == 0:
        os.write(write, bytes(found))
        os._exit(0)
    os.waitpid(child, 0)
    assert list(os.read(read, 10)) == found == [1, 4, 9, 16]
    os.close(read)
    os.close(write)


def test_what_is_read_for_one_batch_is_marked():
    """So that a GPU keeps nothing of it."""
    with compiled() as network:
        from genn_delays.training.data import Data, inputs_of

        x, _ = inputs_of(network.network, {"spikes": Items(EVENTS), "real": REAL}, T, 1.0)
        batch = Data(x, {}, np.arange(COUNT)).batch(np.array([4, 2]))
        assert all(own.passing and len(own) == 2 for own in batch.inputs.values())
        whole, _ = prepare_inputs(network.network, {"spikes": EVENTS, "real": REAL}, T, 1.0)
    events, real = batch.inputs.values()
    assert isinstance(events, EventData) and isinstance(real, DenseData)
    assert np.array_equal(real.values, REAL[[4, 2]])
    part = whole[0].part(np.array([4, 2]))
    assert all(np.array_equal(getattr(part, n), getattr(events, n)) for n in ("start", "neuron", "step"))


def test_a_gpu_keeps_nothing_of_what_is_read_for_one_batch():
    """But all of what is in memory, where it fits, from one call to the next where it was prepared."""
    with compiled(CUDAOnHost()) as network:
        kept = network.engine._data._seen
        network.predict({"spikes": Items(EVENTS), "real": Items(REAL)})
        assert network.engine._data._seen == kept == []
        x = network.prepare({"spikes": EVENTS, "real": REAL})
        network.predict(x)
        buffers = [buffers for _, buffers in network.engine._data._seen]
        network.predict(x)
        assert [own for _, own in network.engine._data._seen] == buffers
        assert [len(own) for own in buffers] == [3, 1]


# --- augmentation ----------------------------------------------------------------------------------------------------


def noisy(example, draws):
    return example + draws.normal(0.0, 0.1, example.shape)


def jittered(example, draws):
    time, neuron = example
    return np.clip(time + draws.uniform(-1, 1, len(time)), 0, T - 1e-3), neuron


def test_augmentation_is_a_function_of_seed_epoch_and_example():
    """The same from memory and batch by batch, another in another epoch; none where nothing is learned."""
    augment = {"real": noisy, "spikes": jittered}
    plain = outcome("reference", {"spikes": EVENTS, "real": REAL}, {"out": LABELS})
    found = [
        outcome("reference", {"spikes": s, "real": r}, {"out": LABELS}, augment=augment)
        for s, r in ((EVENTS, REAL), (Items(EVENTS), Items(REAL)))
    ]
    assert found[0] == found[1] != plain
    seen: dict[tuple[int, int], list[bytes]] = {}
    with compiled() as network:

        def watched(example, draws):
            number = next(k for k in range(COUNT) if np.array_equal(REAL[k], example))
            seen.setdefault((network.epoch, number), []).append(draws.words(3).tobytes())
            return example

        network.train({"spikes": EVENTS, "real": REAL}, {"out": LABELS}, 2, callbacks=[], augment={"real": watched},
                      validation_split=0.4)  # fmt: skip
        real = network.population("real").index
        seed = network.plan.training_seed
    assert len(seen) == len({words for own in seen.values() for words in own}) >= 12
    for (epoch, number), own in seen.items():
        assert own == [philox(seed, Purpose.AUGMENTATION, real, number, 0, epoch)[:3].tobytes()]


def test_augmentation_that_goes_wrong_names_the_example():
    def in_place(example, draws):
        example[0, 0] = 0.0
        return example

    with compiled() as network:
        for augment, parts in (
            ({"real": in_place}, ("'real', example", "augmented", "read-only")),
            ({"real": lambda example, draws: example[1:]}, ("'real', example", "(8, 4)", "(7, 4)")),
            ({"real": 3}, ("augment of 'real'", "function", "3")),
            ({"out": noisy}, ("augment", "'out'", "not an input")),
            (noisy, ("augment must be a dict",)),
        ):
            with refused(*parts):
                network.train({"spikes": EVENTS, "real": REAL}, {"out": LABELS}, 1, callbacks=[], augment=augment)


def test_draws_come_one_after_the_other():
    whole, parts = (Draws(7, Purpose.AUGMENTATION, 2, 5, 1) for _ in range(2))
    words = whole.words(23)
    assert words.tolist() == philox(7, Purpose.AUGMENTATION, 2, 5, np.arange(6), 1).T.reshape(-1)[:23].tolist()
    assert np.concatenate([parts.words(n) for n in (1, 0, 5, 8, 9)]).tolist() == words.tolist()
    numbers = whole.integers(-2, 3, 4000)
    assert numbers.dtype == np.int64 and set(numbers.tolist()) == {-2, -1, 0, 1, 2}
    assert np.bincount(numbers + 2).min() > 700
    assert abs(whole.normal(1.0, 2.0, (50, 80)).mean() - 1.0) < 0.15
    assert 3.0 <= whole.uniform(3.0, 4.0) < 4.0
