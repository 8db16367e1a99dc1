"""The content of data of one's own, which all runs of a sweep are trained on, however often it is interrupted."""

from __future__ import annotations

from dataclasses import replace

from ..datasets.own import is_path
from ..errors import DatasetError
from ..runs.build import load_data
from ..runs.config import Config
from .spec import Sweep


def with_content(sweep: Sweep) -> Sweep:
    """The sweep whose runs on data of one's own know their SHA-256, as far as the data can be read.

    Every data set is read once. A run whose data cannot be read is left as it is: it will fail, and say why.
    """
    found: dict[str, str | None] = {}
    runs = []
    for run in sweep.runs:
        training = run.config.training
        if is_path(training.dataset) and training.data_sha256 is None:
            if found.get(training.dataset) is None:
                found[training.dataset] = _digest(run.config)
            config = replace(run.config, training=replace(training, data_sha256=found[training.dataset]))
            run = replace(run, config=config)
        runs.append(run)
    return replace(sweep, runs=tuple(runs))


def _digest(config: Config) -> str | None:
    try:
        return load_data(config).sha256
    except DatasetError:
        return None


def as_before(now: Config, before: Config) -> Config:
    """The configuration of a run to be compared with the one in its folder: by the content of its data where both know
    it, else by their place. One was not known if the data could not be read then, or cannot be read now."""
    training, kept = now.training, before.training.data_sha256
    if training.data_sha256 is None and training.dataset == before.training.dataset:
        return replace(now, training=replace(training, data_sha256=kept))
    return now if kept is not None else replace(now, training=replace(training, data_sha256=None))
