"""The compiled network: train, evaluate, predict, gradients, and access to its state."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ..callbacks import Callback, as_callbacks, by_kind, recorded, take_state
from ..communicators import Communicator
from ..errors import GennDelaysWarning, InvalidValueError, check_count, check_real, check_switch, shown, unknown
from ..learning.schedules import Progress
from ..metrics import Metrics, OutputMetric
from ..network import Connection, Network, Population
from ..plan.exchanged import Pass, Rewired
from ..plan.finite import Faults
from ..plan.plan import Plan
from ..plan.protocol import Engine, SharedEngine
from ..porting import refuse_arguments, refuse_attribute
from ..random import Draws, permutation
from .data import Batch, Data, augmentations_of, inputs_of
from .fed import Fed, Inputs, Labels
from .learner import HostLearner
from .ranks import digest_of_data, digest_of_state, own_callbacks, together
from .result import BatchResult
from .turns import Turns, in_turn


class CompiledNetwork(Fed):
    """The result of ``compiler.compile``. Use it in a ``with`` block; its threads end with the block.

    Threads that use it take turns: a call begins when that of another thread has returned, but while another thread
    trains it is an error. A process that inherits it by a fork has a copy of its own, unless it is on a GPU. It cannot
    be pickled; :meth:`save` writes what it has learned.

    Attributes:
        plan: that it runs.
        engine: the backend's engine that runs it.
        epoch, step: epochs and training steps done.
        communicator: the ranks that train it together; None where this process does alone.
        stop_training: set by a callback to end training after the current epoch.
        num_loaded: batches that it has put into the engine, which keeps the activity of the last one only.
    """

    def __init__(
        self, network: Network, plan: Plan, engine: Engine, dt: float, communicator: Communicator | None = None
    ) -> None:
        self.network, self.plan, self.engine, self.dt = network, plan, engine, dt
        self.communicator = communicator
        self.epoch = self.step = 0
        self.num_loaded = 0
        self._learner = engine.learner or HostLearner(plan, engine)
        self._faults = Faults(plan, engine, self._learner)
        self._progress = Progress(0, 1, 0, 1)
        self._rewirings = {c.name: 0 for c in plan.connections if c.rewiring is not None}
        self._metrics = self._new_metrics()
        self.stop_training = False
        self._closed = False
        self._turns = Turns(engine)
        self._callbacks: list[Callback] = []
        self._callback_states: dict[str, Any] = {}
        self._history: list[dict[str, float]] = []

    def __repr__(self) -> str:
        return f"<CompiledNetwork of {self.network!r}, {self.epoch} epochs done; summary() tells more>"

    def __enter__(self) -> CompiledNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its threads, as the end of a ``with`` block does. Its state can still be read and saved; all that
        computes or changes it is an error. Closing it again does nothing."""
        self._closed = True
        with self._turns.taken("close", patient=True):
            if not self._turns.inherited:
                self.engine.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            refuse_attribute(type(self).__name__, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __reduce__(self) -> str:
        raise InvalidValueError(
            "a compiled network cannot be pickled or copied: compile the network again where it is needed (networks, "
            "compilers and data can be pickled), and bring what was learned by compiled.save and compiled.load"
        )

    # --- training ----------------------------------------------------------------------------------------------------

    @in_turn
    @together
    def train(
        self,
        /,
        x: Inputs,
        y: Labels,
        num_epochs: int,
        *,
        shuffle: bool = True,
        callbacks: Sequence[Any] = ("batch_progress_bar",),
        validation_x: Inputs | None = None,
        validation_y: Labels | None = None,
        validation_split: float = 0.0,
        augment: Mapping[Any, Callable[[Any, Draws], Any]] | None = None,
        **moved: Any,
    ) -> tuple[Metrics, dict[str, Any]]:
        """Train until `num_epochs` epochs are done, counted from the network's first.

        Args:
            x: by input population (or its name): an array ``[example, time, neuron]`` or a list of events
                ``(times in ms, neurons)``; or what :meth:`prepare` made of that. Read batch by batch, the next one by
                a thread while one is computed, are ``numpy.memmap``, arrays with chunks (h5py, Zarr) and objects with
                ``__len__`` and ``__getitem__`` (a PyTorch ``Dataset``), whose items are ``[time, neuron]`` or
                ``(times, neurons)``, or pairs of one of these and a label.
            y: by output population the labels or targets of its loss: class labels ``[example]``, or targets
                ``[example, neuron]`` or ``[example, time, neuron]``; or what :meth:`prepare` made of that. Where it
                is the very object that is an input, its items are (example, label).
            num_epochs: at least 1. A network that was restored after k epochs trains ``num_epochs - k`` more.
            shuffle: present the examples in another random order every epoch, a function of (rng_seed, epoch).
            callbacks: callbacks or their names.
            validation_x, validation_y: evaluated after every epoch.
            validation_split: a share of the examples, stratified by class, to hold out for that instead, in [0, 1).
            augment: by input population a function of an example, as it was given, and a
                :class:`~genn_delays.random.Draws` that gives the example to be learned. The draws are a function of
                (rng_seed, epoch, example). Examples are prepared batch by batch then.

        Returns:
            The last epoch's metrics, whose ``history`` has the figures of all epochs, and what callbacks recorded by
            key.

        Raises:
            InvalidValueError: data or arguments that do not fit, before anything is computed.
            TrainingError: a loss, or after an epoch a learned value or a state variable, is not finite.

        Warns:
            UserWarning: all `num_epochs` epochs were done before, so nothing is trained; the metrics are those of the
                last epoch that this object trained (not a number where there was none).
        """
        refuse_arguments(moved)
        self.engine.check_learning(training=True)
        what = "num_epochs, counted from the network's first epoch,"
        num_epochs = check_count(what, num_epochs, max(1, self.epoch))
        validation_split = check_real("validation_split", validation_split, 0.0, 1.0, open_high=True)
        check_switch("shuffle", shuffle)
        augmentations = augmentations_of(self.network, augment, self.plan.training_seed)
        data, validation = self._hold_out(self._data(x, y, augmentations), validation_x, validation_y, validation_split)
        self._agree(data, validation, num_epochs, shuffle)
        for schedule in self.plan.schedules():
            schedule.check(num_epochs, -(-data.examples.size // self.plan.batch_size))
        active = self._begin(callbacks, num_epochs, data.examples.size)
        self.stop_training = False
        for callback in active:
            callback.on_train_begin()
        metrics = self._metrics
        if self.epoch >= num_epochs:
            done = f"num_epochs = {num_epochs} counts from the network's first epoch, and so many are done"
            warnings.warn(f"nothing was trained: {done}; ask for more", GennDelaysWarning, stacklevel=2)
        while self.epoch < num_epochs and not self.stop_training:
            metrics = self._train_epoch(data, shuffle, active, num_epochs)
            self._faults.look(learned=True)
            metrics.settle()  # an epoch whose loss is NaN does not count as done
            self._faults.refuse(f"after epoch {self.epoch + 1} (the first is 1)")
            self._check_alike()
            if validation is not None:
                metrics.validation = self._run(validation, [])
            metrics.remember(self._history, self.epoch)
            self.epoch += 1
            for callback in active:
                callback.on_epoch_end(self.epoch - 1, metrics)
        for callback in active:
            callback.on_train_end(metrics)
        return metrics, recorded(active)

    def _train_epoch(self, data: Data, shuffle: bool, callbacks: list[Callback], num_epochs: int) -> Metrics:
        examples = data.examples
        metrics = self._metrics = self._new_metrics(training=True)
        num_batches = -(-examples.size // self.plan.batch_size)
        for callback in callbacks:
            callback.on_epoch_begin(self.epoch)
        if shuffle:
            examples = examples[permutation(examples.size, self.plan.training_seed, self.epoch)]
        with closing(self._batches(data, examples, self.epoch)) as batches:
            for number, batch in enumerate(batches):
                for callback in callbacks:
                    callback.on_batch_begin(number)
                start = time.perf_counter()
                self._progress = Progress(self.epoch, num_epochs, number, num_batches)
                self._pass_both_ways(batch, metrics)
                rewired = self._learner.step(self.step, self._progress, batch.size)
                metrics.expect(partial(self._count_rewired, rewired, metrics))
                self.step += 1
                metrics.step_seconds.append(time.perf_counter() - start)
                for callback in callbacks:
                    callback.on_batch_end(number, metrics)
        return metrics

    def _load(self, batch: Batch) -> None:
        """Put a batch, or this rank's share of it, into the engine."""
        self.num_loaded += 1
        if batch.total is None:
            self.engine.load(batch.inputs, batch.examples)
        else:
            self._shared.load_share(batch.inputs, batch.examples, batch.total)

    @property
    def _shared(self) -> SharedEngine:
        """The engine of one rank of several."""
        return cast(SharedEngine, self.engine)

    def _agree(self, data: Data, validation: Data | None, num_epochs: int, shuffle: bool) -> None:
        """Raise an error if ranks have different data, or are not at the same point of training."""
        if self.communicator is not None:
            held_out = None if validation is None else digest_of_data(validation)
            alike = {
                "the training data": digest_of_data(data),
                "the validation data": held_out,
                "the epoch": self.epoch,
            }
            alike |= {"num_epochs": num_epochs, "shuffle": shuffle}
            alike["the state of synapses"] = digest_of_state(self.engine, self.plan)
            self.communicator.check_alike("before training", alike)
            self.communicator.starting = False

    def _check_alike(self) -> None:
        """Raise an error if ranks have rewired or learned differently in an epoch."""
        if self.communicator is not None:
            state = digest_of_state(self.engine, self.plan)
            self.communicator.check_alike(f"after epoch {self.epoch + 1}", {"the state of synapses": state})

    def _pass(self, *, training: bool) -> Pass:
        """The purpose of a forward pass at this point of training."""
        kernels = [(c, c.kernel) for c in self.plan.connections if c.kernel is not None]
        return Pass(training, self.step, {c.index: k.width(c.max_delay, self._progress) for c, k in kernels})

    def _count_rewired(self, rewired: Mapping[int, Rewired], metrics: Metrics, *_: object) -> None:
        """Count synapses that were replaced, by connection."""
        for index, count in rewired.items():
            name = self.plan.connections[index].name
            metrics.count_rewired(name, count.established, count.newborn)
            self._rewirings[name] += count.total

    def _forward_loss(self, batch: Batch, metrics: Metrics) -> BatchResult:
        """One batch forward and its loss."""
        self._load(batch)
        self.engine.forward(self._pass(training=False))
        return self._result(batch, metrics, self.engine.loss(batch.labels), {})

    def _pass_both_ways(self, batch: Batch, metrics: Metrics) -> BatchResult:
        """One batch forward, its loss and its gradients, as a training step needs them."""
        engine, how = self.engine, self._pass(training=True)
        self._load(batch)
        if engine.one_pass is not None:
            return self._result(batch, metrics, engine.one_pass(how, batch.labels), {})
        engine.forward(how)
        losses = engine.loss(batch.labels)
        result = self._result(batch, metrics, losses, self._learner.regularise(batch.size))
        engine.backward()
        return result

    def _result(
        self, batch: Batch, metrics: Metrics, losses: Mapping[int, tuple[float, int]], penalties: Mapping[int, float]
    ) -> BatchResult:
        """A batch's losses, counted in the metrics at once or when the engine has them."""
        parts = {index: labels[0].size for index, labels in batch.labels.items()}
        result = BatchResult(losses, penalties, parts, batch.size, self.step, self.epoch)
        metrics.expect(lambda outputs, _: result.count(self.network.populations, outputs, self._faults.named))
        if not self.engine.runs_ahead:
            metrics.settle()
        return result

    def _new_metrics(self, *, training: bool = False) -> Metrics:
        labelled = {self.network.populations[p.index]: bool(p.loss and p.loss.labelled) for p in self.plan.outputs}
        outputs = {population: OutputMetric(labelled=has) for population, has in labelled.items()}
        return Metrics(outputs, dict.fromkeys(self._rewirings, 0) if training else {})

    def _begin(self, callbacks: Sequence[Any], num_epochs: int, examples: int) -> list[Callback]:
        self._check_open()
        every = own_callbacks(as_callbacks(callbacks), self.communicator)
        active = sorted(every, key=lambda callback: callback.runs_last)
        for callback in active:
            callback.set_params(self, num_epochs, -(-examples // self.plan.batch_size))
        if num_epochs:  # training: callbacks with a restored state take it over, once
            self._callbacks = active
            for key, callback in by_kind(active).items():
                if key in self._callback_states:
                    take_state(key, callback, self._callback_states[key])
                    del self._callback_states[key]
        return active

    # --- evaluation --------------------------------------------------------------------------------------------------

    @in_turn
    @together
    def evaluate(
        self, /, x: Inputs, y: Labels, *, callbacks: Sequence[Any] = (), **moved: Any
    ) -> tuple[Metrics, dict[str, Any]]:
        """Accuracy and loss on data; nothing is learned. See :meth:`train` for the arguments."""
        refuse_arguments(moved)
        data = self._data(x, y)
        active = self._begin(callbacks, 0, data.examples.size)
        metrics = self._run(data, active)
        return metrics, recorded(active)

    def _run(self, data: Data, callbacks: list[Callback]) -> Metrics:
        metrics = self._new_metrics()
        for callback in callbacks:
            callback.on_test_begin()
        with closing(self._batches(data, data.examples)) as batches:
            for number, batch in enumerate(batches):
                for callback in callbacks:
                    callback.on_batch_begin(number)
                self._forward_loss(batch, metrics)
                for callback in callbacks:
                    callback.on_batch_end(number, metrics)
        self._faults.look()
        metrics.settle()
        self._faults.refuse("while evaluating")
        for callback in callbacks:
            callback.on_test_end(metrics)
        return metrics

    @in_turn
    @together
    def predict(
        self,
        x: Inputs,
        outputs: Population | str | Sequence[Population | str] | None = None,
        *,
        callbacks: Sequence[Any] = (),
    ) -> tuple[dict[Population, npt.NDArray[np.float32]], dict[str, Any]]:
        """The readouts' z of every example.

        Args:
            x: see :meth:`train`.
            outputs: output populations; all of them where not given.

        Returns:
            By population an array ``[example, neuron]``, and what callbacks recorded by key.
        """
        if outputs is None:
            outputs = list(self.network.outputs)
        elif isinstance(outputs, (str, Population)):
            outputs = [outputs]
        elif not isinstance(outputs, (list, tuple)):
            raise InvalidValueError(f"predict: outputs must be a population or a list of them, got {shown(outputs)}")
        wanted = [self.population(p) for p in outputs]
        for p in wanted:
            if p not in self.network.outputs:
                raise InvalidValueError(f"predict: population {p.name!r} has no readout")
        inputs, count = inputs_of(self.network, x, self.plan.time_steps, self.dt)
        data = Data(inputs, {}, np.arange(count))
        active, metrics = self._begin(callbacks, 0, count), self._new_metrics()
        found: dict[Population, list[npt.NDArray[np.float32]]] = {p: [] for p in wanted}
        for callback in active:
            callback.on_test_begin()
        with closing(self._batches(data, data.examples)) as batches:
            for number, batch in enumerate(batches):
                for callback in active:
                    callback.on_batch_begin(number)
                self._load(batch)
                self.engine.forward(self._pass(training=False))
                for p in wanted:
                    z = self.engine.output(p.index)
                    found[p].append(z if batch.total is None else self._shared.gathered("outputs", z))
                for callback in active:
                    callback.on_batch_end(number, metrics)
        self._faults.look()
        self._faults.refuse("while predicting")
        for callback in active:
            callback.on_test_end(metrics)
        return {p: np.concatenate(parts) for p, parts in found.items()}, recorded(active)

    @in_turn
    @together
    def gradients(
        self, x: Inputs, y: Labels, variable: str = "weight"
    ) -> tuple[float, dict[Any, npt.NDArray[np.float64]]]:
        """The loss and its gradient, as a training step sees them; nothing is learned, and no L1 is in it.

        Args:
            x, y: see :meth:`train`.
            variable: ``"weight"``; ``"delay"``, of connections whose delays are learned or spread by a kernel; or the
                name of a value that a population learns, ``"batch_norm_scale"``, ``"batch_norm_shift"``.

        Returns:
            The mean loss of an example, and by connection dL/dvariable ``[synapse]`` in the order of :meth:`synapses`,
            or by population ``[neuron]``.
        """
        self._check_open()
        self.engine.check_learning(training=False)
        owners = self._owners(variable)
        data = self._data(x, y)
        loss, sums = 0.0, {owner: np.zeros(size) for owner, size in owners.items()}
        with closing(self._batches(data, data.examples)) as batches:
            for batch in batches:
                share = batch.size / data.examples.size
                found = self._pass_both_ways(batch, self._new_metrics())
                loss += share * found.mean()
                for owner, total in sums.items():
                    if isinstance(owner, Connection):
                        total += share * self.engine.gradient(owner.index, variable)
                    else:
                        total += share * self.engine.population_gradients(owner.index)[variable]
        self._faults.look()
        self._faults.refuse("while gradients are computed")
        return loss, sums

    def _owners(self, variable: str) -> dict[Connection | Population, int]:
        """The connections or populations that have a variable, and its number of values."""
        found: dict[Connection | Population, int] = {}
        known = {"weight"}
        for c in self.plan.connections:
            names = {"weight", "delay"} if c.real_delays else {"weight"}
            known |= names
            if isinstance(variable, str) and variable in names:
                found[self.network.connections[c.index]] = c.size
        for p, state in zip(self.plan.populations, self.populations, strict=True):
            names = {name for name in state.values if name not in ("batch_norm_mean", "batch_norm_var")}
            known |= names
            if isinstance(variable, str) and variable in names:
                found[self.network.populations[p.index]] = p.size
        if not found:
            raise unknown("variable with a gradient", variable, known)
        return found
