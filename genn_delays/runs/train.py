"""A run: training a network on a data set, with all results kept in a folder."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from ..callbacks import BatchProgressBar, Callback, Checkpoint, MetricsWriter
from ..callbacks.metrics_writer import read_metrics
from ..communicators import Communicator
from ..datasets import Dataset
from ..errors import GennDelaysError, GennDelaysWarning, RunFolderError
from ..metrics import Metrics
from ..paths import atomic_write
from ..training.compiled_network import CompiledNetwork
from .build import check_data, check_schedules, compile_network, load_data, split, take, validate
from .config import Config
from .figures import check_figures
from .folder import RUNS, RunFolder, numbered_folder, versions
from .lock import Lock
from .ranks import first_then_others, is_first, share_folder
from .result import Result
from .resume import Configuration, check_resumable
from .sections import NO_OPTIMISER

BY_VALIDATION, BY_TEST = "validation set", "test set"


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; `folder` holds what is needed to resume."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder


class Guard(Callback):
    """A callback that ends training if the run's folder was removed, before anything is written there again."""

    def __init__(self, folder: RunFolder, lock: Lock) -> None:
        self._folder, self._lock = folder, lock

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        self._folder.check_kept(self._lock, begun=epoch > 0)


class _Observer(Callback):
    """Evaluates the test set after every epoch and keeps the time. It has to come before what writes its figures."""

    def __init__(self, test: tuple[Any, Any], seconds: float, start: float) -> None:
        self._test, self._seconds, self._start = test, seconds, start
        self.accuracy = self.loss = self.score = float("nan")
        self.steps: list[float] = []

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> None:
        test, _ = self.compiled_network.evaluate(*self._test)
        self.accuracy, self.loss, self.score = test.accuracy, test.loss, test.score
        self.steps += metrics.step_seconds

    @property
    def seconds(self) -> float:
        """Seconds spent on the run so far, those before an interruption included."""
        return self._seconds + time.perf_counter() - self._start

    def figures(self, epoch: int, metrics: Metrics) -> dict[str, float]:
        """Further figures for a line of metrics."""
        return {"test_loss": self.loss, "test_accuracy": self.accuracy, "seconds": round(self.seconds, 3)}


def train(
    config: Config,
    folder: RunFolder | None = None,
    *,
    resume: bool = False,
    progress: bool = False,
    note: Callable[[str], None] = lambda text: None,
    communicator: Communicator | None = None,
) -> Result | None:
    """Train, or resume training, and keep everything in a run folder.

    Args:
        config: the run; on resuming, the one in the folder (see :func:`.resume.resumed_config`).
        folder: where to write; ``runs/<model>-NNN`` where not given.
        resume: continue from the folder's last checkpoint, or from the beginning if there is none yet.
        progress: show a progress bar on standard error, and what loading the data does that takes seconds.
        note: called with remarks for the user, one line each.
        communicator: of ranks that train the network together. Only the first writes the folder, shows progress and
            has the result; others have None.

    Raises:
        GennDelaysError: something does not fit or cannot be written, before anything is computed.
        Interrupted: by the keyboard.
    """
    validate(config)
    first = is_first(communicator)
    progress, note = progress and first, note if first else lambda text: None
    if not first:
        pass
    elif folder is None:
        RunFolder(RUNS / config.model.name).check_writable()
    elif not resume:
        folder.check_new()
    start = time.perf_counter()
    with _compiled(config, note, communicator) as compiled:
        compiled.engine.check_learning(training=True)  # before anything is downloaded, and before there is a folder
        seconds = time.perf_counter() - start
        data = first_then_others(communicator, partial(load_data, config, quiet=not progress))
        check_data(config, compiled.network, data)
        config = replace(config, training=replace(config.training, data_sha256=data.sha256))
        learned = len(split(config, data)[0])
        check_schedules(config, learned)
        steps = config.training.num_epochs * -(-learned // config.compiler.batch_size)
        if config.compiler.batch_size > learned:
            note(f"batch_size is {config.compiler.batch_size}: all {learned} training examples are one batch")
        _remarks(config, folder if resume else None, steps, note)
        start = time.perf_counter() - seconds
        if not first:
            _follow(config, share_folder(communicator, None), compiled, data, resume)
            return None
        folder = folder or numbered_folder(config.model.name)
        folder.create()
        try:
            with folder.locked(note) as lock:
                before = _begin(config, folder, compiled, resume, note)
                share_folder(communicator, folder)
                try:
                    return _train(config, folder, lock, compiled, data, before, start, progress, note)
                except GennDelaysError:
                    lock.check()  # what could not be written, as the whole folder is gone
                    raise
        except KeyboardInterrupt:
            raise Interrupted(folder) from None


def _follow(config: Config, folder: RunFolder, compiled: CompiledNetwork, data: Dataset, resume: bool) -> None:
    """The part of a rank that writes nothing: it takes over the checkpoint that the first has found, and trains."""
    if resume and folder.last.is_file():
        compiled.load(folder.last)
    _learn(config, compiled, data, _Observer(_test_data(config, compiled, data), 0.0, time.perf_counter()), [])


def _compiled(config: Config, note: Callable[[str], None], communicator: Communicator | None = None) -> CompiledNetwork:
    """The compiled network; the library's own warnings become remarks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GennDelaysWarning)
        compiled = compile_network(config, communicator)
    for warning in caught:
        if issubclass(warning.category, GennDelaysWarning):
            note(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return compiled


def _remarks(config: Config, resumed: RunFolder | None, steps: int, note: Callable[[str], None]) -> None:
    if config.compiler.backend != "cpu" and (config.compiler.threads or 1) > 1:
        note(f"threads are the cpu backend's; threads = {config.compiler.threads} changes nothing")
    if config.training.optimiser["kind"] == NO_OPTIMISER and config.training.delay_optimiser is None:
        note("nothing is learned: the optimiser is 'none' and delays are fixed")
    interval, rule = config.rewiring.rule.get("interval", 1), config.rewiring.label
    if interval > steps:
        note(f"{rule} acts every {interval} training steps, and this run has {steps}: nothing will be rewired")
    before = resumed.read_versions() if resumed else {}
    for name, version in versions(config.compiler.backend).items():
        if before.get(name, version) != version:
            note(f"{name} is {version} now and was {before[name]} when this run began; its bits may differ")


def _begin(
    config: Config, folder: RunFolder, compiled: CompiledNetwork, resume: bool, note: Callable[[str], None]
) -> float:
    """Begin or go on in a folder that is locked; returns the seconds spent so far."""
    # check again: another process may have begun or resumed the run in the meantime
    if resume:
        check_resumable(folder, config)
    else:
        folder.check_new()
    before = _restore(folder, compiled, resume, note)
    if compiled.epoch > (asked := config.training.num_epochs):
        done = f"{compiled.epoch} epochs are done; set it back"
        raise RunFolderError(f"num_epochs in {folder.config} is {asked}, but {done}")
    return before


def _restore(folder: RunFolder, compiled: CompiledNetwork, resume: bool, note: Callable[[str], None]) -> float:
    """Take over the last checkpoint, if there is one; returns the seconds spent so far."""
    if not resume:
        return 0.0
    folder.clear_temporaries()
    if not folder.last.is_file():
        if len(read_metrics(folder.metrics)) > 1:  # a run that was only begun has one line at most
            raise RunFolderError(
                f"run folder {folder} is damaged: it has figures of {len(read_metrics(folder.metrics))} epochs and no "
                "checkpoints/last.safetensors; restore that file, or begin another run with another --out"
            )
        note(f"{folder} holds no checkpoint yet: starting with epoch 1")
        return 0.0
    compiled.load(folder.last)
    lines = read_metrics(folder.metrics)[: compiled.epoch]
    epochs = [line["epoch"] for line in lines]  # compared with as many: a damaged checkpoint may say any number
    if len(lines) != compiled.epoch or epochs != list(range(1, len(lines) + 1)) or not folder.best.is_file():
        raise RunFolderError(
            f"run folder {folder} is damaged: its checkpoint is of epoch {compiled.epoch}, but "
            + ("checkpoints/best.safetensors is missing" if len(lines) == compiled.epoch else "metrics.jsonl is not")
        )
    check_figures(folder, lines, labelled=_is_labelled(compiled))
    note(f"going on with {folder} after epoch {compiled.epoch}")
    return float(lines[-1].get("seconds") or 0.0)


def _train(
    config: Config, folder: RunFolder, lock: Lock, compiled: CompiledNetwork, data: Dataset, before: float,
    start: float, progress: bool, note: Callable[[str], None],
) -> Result:  # fmt: skip
    folder.write_config(config)
    observer = _Observer(_test_data(config, compiled, data), before, start)
    by_test = split(config, data)[1] is None
    checkpoint = Checkpoint(folder.checkpoints, (lambda metrics: observer.score) if by_test else None)
    writers = [
        Guard(folder, lock),  # before what writes
        Configuration(config),
        MetricsWriter(folder.metrics, observer.figures),
        checkpoint,
    ]
    _learn(config, compiled, data, observer, writers, progress)
    folder.check_kept(lock, begun=True)
    result = _result(config, folder, compiled, observer, checkpoint)
    atomic_write(folder.result, (json.dumps(asdict(result), indent=2) + "\n").encode())
    _draw(folder, result, note)
    folder.check_kept(lock, begun=True)
    return result


def _test_data(config: Config, compiled: CompiledNetwork, data: Dataset) -> tuple[Any, Any]:
    """The test set, prepared once for all epochs."""
    source, output = check_data(config, compiled.network, data)
    return compiled.prepare({source: data.x_test}, {output: data.y_test})


def _learn(
    config: Config, compiled: CompiledNetwork, data: Dataset, observer: _Observer, writers: list[Callback],
    progress: bool = False,
) -> None:  # fmt: skip
    """All epochs."""
    source, output = check_data(config, compiled.network, data)
    learned, held_out = split(config, data)
    validation: dict[str, Any] = {} if held_out is None else {
        "validation_x": {source: take(data.x_train, held_out)}, "validation_y": {output: data.y_train[held_out]},
    }  # fmt: skip
    with warnings.catch_warnings():  # a finished run that is resumed has nothing to train, as was remarked
        warnings.filterwarnings("ignore", "nothing was trained", GennDelaysWarning)
        compiled.train(
            {source: take(data.x_train, learned)},
            {output: data.y_train[learned]},
            config.training.num_epochs,
            shuffle=config.training.shuffle,
            callbacks=[*([BatchProgressBar()] if progress else []), observer, *writers],
            **validation,
        )


def _draw(folder: RunFolder, result: Result, note: Callable[[str], None]) -> None:
    """The learning curve; the run is complete without it, so that it cannot be drawn is a remark."""
    try:
        from .curve import draw_learning_curve

        draw_learning_curve(folder.curve, read_metrics(folder.metrics), result)
    except Exception as error:  # of a drawing library, out of memory or of room on the disk: whatever it is
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        note(f"the learning curve {folder.curve} could not be drawn: {' '.join(reason.split())}")


def _result(
    config: Config, folder: RunFolder, compiled: CompiledNetwork, observer: _Observer, checkpoint: Checkpoint
) -> Result:
    lines = read_metrics(folder.metrics)
    last = lines[-1]
    labelled = _is_labelled(compiled)
    best = max(lines, key=lambda line: line["test_accuracy"] if labelled else -line["test_loss"])  # the first of equals
    if checkpoint.best_epoch is None:
        raise RunFolderError(
            f"checkpoint {folder.last} is damaged (it does not say which epoch was the best); restore it, or begin "
            "another run with another --out"
        )
    every = [compiled.synapses(c) for c in compiled.network.connections]
    synapses = sum(s.pre.size for s in every)
    connected = sum(np.unique(np.stack([s.pre, s.post]), axis=1).shape[1] for s in every)
    pairs = sum(c.num_pairs for c in compiled.network.connections)
    steps = [1e3 * s for s in observer.steps] or [line["step_ms"] for line in lines]
    return Result(
        model=config.model.name,
        dataset=config.training.dataset,
        backend=config.compiler.backend,
        seed=config.seed,
        synapses=synapses,
        sparsity=round(1.0 - connected / pairs, 6),
        epochs=len(lines),
        train_accuracy=last["train_accuracy"],
        validation_accuracy=last.get("validation_accuracy"),
        test_accuracy=last["test_accuracy"],
        selected_epoch=checkpoint.best_epoch + 1,
        selected_by=BY_TEST if checkpoint.monitor else BY_VALIDATION,
        selected_test_accuracy=lines[checkpoint.best_epoch]["test_accuracy"],
        best_test_accuracy=best["test_accuracy"],
        best_test_epoch=best["epoch"],
        best_test_chosen_on=BY_TEST,
        rewiring=config.rewiring.label,
        rewirings=sum(compiled.rewirings.values()),
        step_ms=round(median(steps), 4),
        seconds=round(observer.seconds if observer.steps else last["seconds"], 3),
        out=str(folder),
        train_loss=last.get("train_loss"),
        validation_loss=last.get("validation_loss"),
        test_loss=last.get("test_loss"),
        selected_test_loss=lines[checkpoint.best_epoch].get("test_loss"),
        best_test_loss=best.get("test_loss"),
    )


def _is_labelled(compiled: CompiledNetwork) -> bool:
    """True if outputs have class labels, and so an accuracy."""
    return all(p.loss is None or p.loss.labelled for p in compiled.plan.outputs)
