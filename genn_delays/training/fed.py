"""The data of a compiled network: prepared, split for validation, and read batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..communicators import Communicator
from ..errors import InvalidValueError
from ..floating import usual_errors
from ..learning.losses import Loss
from ..memory import told
from ..network import Population
from .adjusted import Adjusted
from .ahead import ahead
from .data import Batch, Data, inputs_of, truths_of
from .prepared import PreparedInputs, PreparedLabels
from .ranks import share_of
from .streamed import Augmentation

Inputs = Mapping[Any, Any] | PreparedInputs
"""The type of `x`."""
Labels = Mapping[Any, Any] | PreparedLabels
"""The type of `y`."""


class Fed(Adjusted):
    """The part of :class:`~genn_delays.training.compiled_network.CompiledNetwork` that takes data."""

    dt: float
    communicator: Communicator | None

    @overload
    def prepare(self, x: Inputs) -> PreparedInputs: ...

    @overload
    def prepare(self, x: Inputs, y: Labels) -> tuple[PreparedInputs, PreparedLabels]: ...

    def prepare(self, x: Inputs, y: Labels | None = None) -> PreparedInputs | tuple[PreparedInputs, PreparedLabels]:
        """Check data and convert them into the form that engines load, once for many calls::

            x, y = compiled.prepare({pixels: images}, {digit: labels})
            compiled.train(x, y, num_epochs=10)
            compiled.evaluate(x, y)

        Spikes take 8 bytes each then; data that are read batch by batch stay where they are. What is prepared fits
        every compiled network with the same inputs, time steps and dt, and outputs that compare with the same.

        Args:
            x, y: see :meth:`train`.

        Returns:
            An object to be given in place of `x`; if `y` is given, a pair with one in its place.

        Raises:
            InvalidValueError: data that do not fit.
        """
        with usual_errors(), told("prepare"):
            steps = self.plan.time_steps
            if y is None:
                return PreparedInputs.new(self.network, inputs_of(self.network, x, steps, self.dt)[0], steps, self.dt)
            data = self._data(x, y)
            inputs = PreparedInputs.new(self.network, data.inputs, steps, self.dt)
            return inputs, PreparedLabels.new(self.network, data.labels, self._losses, steps)

    @property
    def _losses(self) -> dict[int, Loss]:
        return {p.index: p.loss for p in self.plan.outputs if p.loss}

    def _data(self, x: Inputs, y: Labels, augmentations: Mapping[Population, Augmentation] | None = None) -> Data:
        """Inputs and labels, checked."""
        steps = self.plan.time_steps
        inputs, count = inputs_of(self.network, x, steps, self.dt, augmentations)
        sources = list(x.values()) if isinstance(x, Mapping) else []
        return Data(inputs, truths_of(self.network, y, count, self._losses, steps, sources), np.arange(count))

    def _hold_out(self, data: Data, x: Inputs | None, y: Labels | None, share: float) -> tuple[Data, Data | None]:
        """The training data, and the validation data of every epoch."""
        if (x is None) != (y is None):
            raise InvalidValueError("validation_x and validation_y must be given together")
        if share > 0:
            from ..datasets import stratified_split

            if x is not None:
                raise InvalidValueError("give validation_split or validation_x, not both")
            learned, held_out = stratified_split(data.classes(), share, 0)
            return data._replace(examples=learned), data._replace(examples=held_out)
        return data, None if x is None or y is None else self._data(x, y)

    def _batches(
        self, data: Data, examples: npt.NDArray[np.int64], epoch: int | None = None
    ) -> Generator[Batch, None, None]:
        """Batches of the examples; the last one may be smaller. Of data that are read batch by batch, the next one is
        while the caller computes one: close it, so that no thread is left.

        Args:
            epoch: that is trained.
        """
        starts = range(0, examples.size, self.plan.batch_size)
        numbers = [np.ascontiguousarray(examples[i : i + self.plan.batch_size], dtype=np.int64) for i in starts]
        make = partial(data.batch, epoch=epoch)
        if self.communicator is not None:
            make = partial(share_of, self.engine, data, epoch=epoch)
        if not data.streamed:
            for own in numbers:
                self._between_batches()
                yield make(own)
            return
        with closing(ahead(make, numbers)) as batches:
            for batch in batches:
                self._between_batches()
                yield batch

    def _between_batches(self) -> None:
        self._check_open()  # by another thread, while the caller computes
        self._turns.pause()
