"""The base class of callbacks: mlGeNN's hooks, called by ``train`` and ``evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..metrics import Metrics
    from ..plan.compiled import Compiled


class Callback:
    """Base of callbacks; override what is needed. A batch is computed in one call, so there are no time-step hooks;
    a callback that defines mlGeNN's ``on_timestep_begin`` or ``on_timestep_end`` is refused.

    It may change the network by ``compiled_network.set_learning_rate`` and ``compiled_network.set_weights``.

    Attributes (set before any hook is called):
        compiled_network: the network being trained or evaluated.
        num_epochs, num_batches: of this call; `num_epochs` is 0 in ``evaluate``.
    """

    compiled_network: Compiled
    num_epochs: int
    num_batches: int
    writes = False
    """True if it writes or shows something: of several ranks only the first calls it."""
    reads_activity = False
    """True if it reads spikes or variables, of which each of several ranks has those of its share of a batch."""
    runs_last = False
    """True if its hooks are called after those of the others, whose state it keeps."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def set_params(self, compiled_network: Compiled, num_epochs: int, num_batches: int) -> None:
        """Called before all other hooks, with the network and the size of the run."""
        self.compiled_network, self.num_epochs, self.num_batches = compiled_network, num_epochs, num_batches

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self, metrics: Metrics) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        """After an epoch; ``metrics.validation`` holds that of the validation data, if there are any."""

    def on_test_begin(self) -> None:
        """Before the first batch of ``evaluate`` or ``predict``."""

    def on_test_end(self, metrics: Metrics) -> None:
        """After the last batch of ``evaluate`` or ``predict``."""

    def on_batch_begin(self, batch: int) -> None:
        """Before a batch."""

    def on_batch_end(self, batch: int, metrics: Metrics) -> None:
        """After a batch, with the metrics of the epoch so far."""

    def get_data(self) -> tuple[str, Any] | None:
        """A key and what was recorded under it, for the second value that ``train`` and ``evaluate`` return."""
        return None

    def state(self) -> dict[str, Any]:
        """The state needed to resume after an interruption, as JSON can hold it."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over the result of :meth:`state`."""
