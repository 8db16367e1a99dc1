"""Store and recall: a symbol has to outlast every delay and time constant. Needs recurrence or adaptation."""

from __future__ import annotations

from os import PathLike

import numpy as np
import numpy.typing as npt

from ..random import Purpose, dropout_threshold, philox
from .dataset import Dataset, Events

SLOT = 20
"""Length of a symbol or command in ms."""

NUM_SLOTS = 25
STORE_RECALL_TIMESTEPS = SLOT * NUM_SLOTS

COMMAND_SLOTS = (5, 12, 19)
"""The slots of STORE, RECALL, STORE: 120 ms without a command lie between two of them, 100 ms before and after."""

GROUP = 10
"""Inputs of a group. There are four groups: symbol 0, symbol 1, STORE, RECALL."""

RATE = 100.0
"""Of every input of an active group, in Hz; inputs of a silent group do not spike."""

NUM_TRAIN, NUM_TEST = 1000, 250

STORE, RECALL = 2, 3  # groups of inputs; 0 and 1 are the symbols

_STREAM = 2  # owner of the random numbers; every generated data set has its own


def load_store_recall(data_dir: str | PathLike[str] | None = None) -> Dataset:
    """Two symbols are stored, and RECALL comes between: the class is the symbol that it recalls, the one stored first.

    An example is 25 slots of 20 ms. In every slot the inputs of a symbol, 0 or 1, are active, and in three there is a
    command: STORE, which holds for the symbol of its own slot, in slot 5, RECALL, a slot without a symbol, in slot 12,
    and STORE with the other symbol in slot 19. The symbols of the other slots are random and mean nothing.

    Both classes thus hold the same events, each symbol stored once, at distances that no feed-forward network with
    delays of up to 60 ms and time constants of up to 30 ms can bridge; nor are the first and the last command near
    enough to the ends to be told apart by those. What a network without a longer memory gives is the same for both
    classes once it is summed over the example. Recurrence can keep the first symbol until RECALL. A readout that
    weights time (``avg_var_exp_weight``, or ``var`` at the end) is itself a clock that tells which symbol came first:
    take ``avg_var``, ``sum_var``, ``sum_softmax`` or ``max_var``.

    Bellec et al. (LSNN; code github.com/IGITUGraz/LSNN-official) have two symbols, STORE together with the symbol,
    RECALL without one, random symbols between, four equal groups of inputs, Poisson spikes. Ours: slots of 20 ms in
    place of 200, 40 inputs of 100 Hz in place of 100 of 50 Hz, commands at fixed slots in place of random ones, the
    second STORE with the other symbol always, and one class an example in place of an output at every RECALL.

    Args:
        data_dir: not needed: the data is generated.

    Returns:
        Spikes of 40 neurons (10 of each group), 500 ms, 2 classes in turn, 1,000 training and 250 test examples; times
        and neurons are int64. An input of an active group spikes in each ms with probability 0.1.

    Source:
        G. Bellec, D. Salaj, A. Subramoney, R. Legenstein, W. Maass: Long short-term memory and learning-to-learn in
        networks of spiking neurons. NeurIPS 2018, arXiv 1803.09574.
    """
    count = NUM_TRAIN + NUM_TEST
    y = np.arange(count, dtype=np.int64) % 2
    x = poisson(active_groups(y))
    return Dataset(
        name="store_recall",
        citation="Bellec et al. 2018, arXiv 1803.09574 (the task); examples drawn here",
        licence="none: generated",
        num_inputs=4 * GROUP,
        num_classes=2,
        example_timesteps=STORE_RECALL_TIMESTEPS,
        x_train=x[:NUM_TRAIN],
        y_train=y[:NUM_TRAIN],
        x_test=x[NUM_TRAIN:],
        y_test=y[NUM_TRAIN:],
    )


def active_groups(classes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True for the groups that spike: ``[examples, slots, 4]``.

    Args:
        classes: ``[examples]``, 0 or 1: the symbol stored first.
    """
    first, recall, second = COMMAND_SLOTS
    examples = np.arange(len(classes))[:, None]
    words = philox(0, Purpose.EXAMPLE, _STREAM, examples, np.arange(NUM_SLOTS), 0)[0]
    symbol = (words >> np.uint32(31)).astype(np.int64)
    symbol[:, first], symbol[:, recall], symbol[:, second] = classes, RECALL, 1 - classes
    active: npt.NDArray[np.bool_] = symbol[:, :, None] == np.arange(4)
    active[:, (first, second), STORE] = True
    return active


def poisson(active: npt.NDArray[np.bool_]) -> list[Events]:
    """Every input of an active group spikes in each ms with probability ``RATE / 1000``.

    Args:
        active: ``[examples, slots, 4]``.

    Returns:
        The events of every example, sorted by time, then by neuron.
    """
    example, slot, group = np.nonzero(active)
    quarter = SLOT * GROUP // 4  # a call of the generator gives four words
    draw = (slot * 4 + group)[:, None] * quarter + np.arange(quarter)
    words = philox(0, Purpose.EXAMPLE, _STREAM, example[:, None], draw, 1).transpose(1, 2, 0)
    spikes = np.zeros((len(active), NUM_SLOTS, 4, SLOT * GROUP), dtype=bool)
    spikes[example, slot, group] = words.reshape(len(example), -1) < dropout_threshold(RATE / 1000.0)
    raster = spikes.reshape(len(active), NUM_SLOTS, 4, SLOT, GROUP).transpose(0, 1, 3, 2, 4)
    return [Events(*np.nonzero(one)) for one in raster.reshape(len(active), STORE_RECALL_TIMESTEPS, 4 * GROUP)]
