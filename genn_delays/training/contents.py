"""The state of a compiled network: its synapses, delays and learned values, and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..callbacks import Callback, by_kind
from ..communicators import Communicator
from ..connectivity import Synapses
from ..errors import InvalidValueError, unknown
from ..learning.schedules import Progress
from ..metrics import Metrics
from ..network import Connection, Population
from ..overview import Overview, Summarised
from ..plan.compiled import Compiled
from ..plan.finite import not_finite, refuse
from ..plan.plan import Plan
from ..plan.populations import PopulationState
from ..plan.protocol import Learner, TellsBytes
from ..plan.summary import overview
from ..serialisers import Numpy, checkpoint_file
from .checkpoints import Checkpoint, fitting, load_checkpoint, save_checkpoint
from .data import find_population
from .rates import read_rates, written
from .turns import Turns, in_turn


class Contents(Summarised, Compiled):
    """The part of :class:`~genn_delays.training.compiled_network.CompiledNetwork` that reads, saves and loads its
    state."""

    communicator: Communicator | None
    _learner: Learner
    _progress: Progress
    _rewirings: dict[str, int]
    _metrics: Metrics
    _turns: Turns
    _closed: bool
    _callbacks: list[Callback]
    _callback_states: dict[str, Any]
    _history: list[dict[str, float]]

    @property
    @in_turn
    def populations(self) -> list[PopulationState]:
        """Learned values of populations and batch norm's running averages, in the order of ``network.populations``:
        arrays by
        name in ``values``."""
        return self._learner.populations

    @property
    @in_turn
    def rewirings(self) -> dict[str, int]:
        """Synapses dropped and grown so far, by connection name."""
        self._metrics.settle()
        return self._rewirings

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidValueError(
                "this compiled network was closed, at the end of its 'with' block or by close(); compile it again"
            )

    def overview(self) -> Overview:
        """The tables of :meth:`summary`, of ``print(compiled)`` and of a notebook's cell."""
        delays = {c.index: self.delays(c.name) for c in self.plan.connections}
        held = self.engine.bytes_held() if isinstance(self.engine, TellsBytes) else None
        return overview(self.network, self.plan, delays, held)

    def summary(self) -> str:
        """Its populations and connections, with synapses and delays as they are now, and the variables that are
        learned, by which optimiser, or not learned: a few lines of text. Bytes are those of the synapses' state.

        Example::

            network of seed 0: 3 populations, 2 connections, 18,944 synapses, 455 kB of state
            population  neurons  model               role
            pixels           64  SpikeInput          input
            hidden        1,024  LeakyIntegrateFire
            digit            10  LeakyIntegrate      output by 'sum_softmax'
            connection     source  target  synapses  sparsity  delays (steps)  while training                bytes
            pixels_hidden  pixels  hidden    16,384      75 %  0 to 10         rewired by DeepR(l1=1e-05)   393 kB
            hidden_digit   hidden  digit      2,560      75 %  0 to 10         rewired by DeepR(l1=1e-05)  61.4 kB
            learned: weights of pixels_hidden, hidden_digit by Adam(alpha=0.003); not learned: delays of all connections
            backend cpu holds 8.89 MB in all
        """
        return self.overview().text()

    def population(self, key: Population | str) -> Population:
        """A population, given itself or by name."""
        return find_population(self.network, key)

    @in_turn
    def synapses(self, connection: Connection | str) -> Synapses:
        """A connection's synapses as they are now, sorted by (post, pre); their delays are whole time steps."""
        return self.engine.state(self._connection(connection).index).synapses

    @in_turn
    def delays(self, connection: Connection | str) -> npt.NDArray[np.float32]:
        """A connection's delays (time steps) in the order of :meth:`synapses`, real-valued where they are learned."""
        state = self.engine.state(self._connection(connection).index)
        return state.position if state.position.size else state.synapses.delay.astype(np.float32)

    def _connection(self, connection: Connection | str) -> Connection:
        if isinstance(connection, str):
            connection = self.network.find("connection", connection)
        if not isinstance(connection, Connection):
            raise unknown("connection", connection, [c.name for c in self.network.connections])
        if connection not in self.network.connections:
            raise InvalidValueError(f"connection {connection!r} belongs to another network")
        return connection

    @in_turn
    def save(self, path: str | Path | tuple[Any, ...], serialiser: Numpy | None = None) -> None:
        """Write a checkpoint with everything needed to resume: synapses, optimisers, counters, callbacks.

        Args:
            path: the file; with mlGeNN's `serialiser` a tuple of keys such as ``(epoch,)``.
            serialiser: a folder, :class:`genn_delays.serialisers.Numpy`.

        Raises:
            TrainingError: a learned value is not finite. Nothing is written, an old file stays.
            GennDelaysError: the file cannot be written.

        Of several ranks only the first writes it.
        """
        if self.communicator is not None and self.communicator.rank > 0:
            return
        target = checkpoint_file(path, serialiser)
        states = {c.name: self.engine.state(c.index) for c in self.plan.connections}
        active = {key: state for key, callback in by_kind(self._callbacks).items() if (state := callback.state())}
        kept = self._callback_states | active
        progress = {"epoch": self.epoch, "step": self.step, "rewirings": self.rewirings, "callbacks": kept}
        progress["schedules"] = list(self._progress)
        progress |= written(self.plan)
        populations = {p.name: s for p, s in zip(self.plan.populations, self.populations, strict=True) if s.values}
        owners = [(f"connection {n!r}", not_finite(s.arrays())) for n, s in states.items()]
        owners += [(f"population {n!r}", not_finite(s.tensors())) for n, s in populations.items()]
        refuse(f"and no checkpoint {target} is written", *[f"{what} of {owner}" for owner, what in owners if what])
        save_checkpoint(target, self.plan, Checkpoint(states, populations, progress))

    def _as_trained(self) -> Sequence[Plan]:
        """Plans of this network whose checkpoints it loads besides those of its own plan."""
        return ()

    @in_turn
    def load(self, path: str | Path | tuple[Any, ...], serialiser: Numpy | None = None) -> None:
        """Take over a checkpoint of the same network; ``train`` goes on from there with the same bits.

        Args:
            path, serialiser: as :meth:`save` was given them.

        Raises:
            RunFolderError: it is missing, damaged or of another network. The network is left as it was.
        """
        self._check_open()
        file = checkpoint_file(path, serialiser)
        checkpoint = load_checkpoint(file, self.plan, self._as_trained())
        for c in self.plan.connections:
            self.engine.set_state(c.index, fitting(checkpoint.states[c.name], c))
        for p in self.plan.populations:
            self._learner.set_population(p.index, checkpoint.populations[p.name])
        progress = checkpoint.progress
        self.epoch, self.step = progress["epoch"], progress["step"]
        self._history = [row for row in self._history if row["epoch"] <= self.epoch]
        self.rewirings.update({name: n for name, n in progress["rewirings"].items() if name in self.rewirings})
        self._callback_states = progress["callbacks"]
        self._progress = Progress(*progress["schedules"])
        self.plan.alphas.clear()
        self.plan.alphas.update(read_rates(self.plan, progress))
