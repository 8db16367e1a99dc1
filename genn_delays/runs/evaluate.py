"""Test accuracy of a run, from its folder alone and the data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ..callbacks import BatchProgressBar
from ..errors import unknown
from .build import build_network, check_data, compile_network, load_data, validate, with_data_dir
from .folder import RunFolder
from .overrides import Overrides
from .resume import check_evaluable
from .train import BY_TEST, BY_VALIDATION

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Evaluation:
    """Figures of a checkpoint on the test set.

    Attributes:
        epoch: after which it was written, counted from 1.
        selected_by: on which set that epoch was chosen; None for the last one, which is not chosen.
        test_accuracy: None with real targets, whose figure is the loss.
    """

    model: str
    dataset: str
    backend: str
    checkpoint: str
    epoch: int
    selected_by: str | None
    test_accuracy: float | None
    test_loss: float
    examples: int
    out: str

    def tables(self) -> dict[str, object]:
        """As JSON can hold it."""
        return asdict(self)


def evaluate(
    folder: RunFolder,
    checkpoint: str = "best",
    *,
    data_dir: str | None = None,
    data: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a checkpoint of a run on the test set of its data.

    Args:
        folder: the run.
        checkpoint: ``"best"`` or ``"last"``.
        data_dir, backend, threads: where they differ from the run's.
        data: another data set, a name or an absolute path; where not given, the content of the run's own must be that
            with which it was trained.
        progress: show a progress bar on standard error, and what loading the data does that takes seconds.
    """
    if checkpoint not in CHECKPOINTS:
        raise unknown("--checkpoint", checkpoint, CHECKPOINTS)
    config = with_data_dir(folder.read_config(), data_dir, data)
    path = folder.checkpoint(checkpoint)
    # not all overrides: a checkpoint is of one network
    config = replace(config, compiler=Overrides(backend=backend, threads=threads).apply(config).compiler)
    validate(config)
    found = load_data(config, quiet=not progress)
    check_data(config, build_network(config), found)
    check_evaluable(folder, path, config)
    with compile_network(config) as compiled:
        compiled.load(path)
        source, output = check_data(config, compiled.network, found)
        bar = [BatchProgressBar()] if progress else []
        metrics, _ = compiled.evaluate({source: found.x_test}, {output: found.y_test}, callbacks=bar)
    chosen = BY_VALIDATION if config.training.validation > 0 else BY_TEST
    return Evaluation(
        model=config.model.name,
        dataset=config.training.dataset,
        backend=config.compiler.backend,
        checkpoint=checkpoint,
        epoch=compiled.epoch,
        selected_by=chosen if checkpoint == "best" else None,
        test_accuracy=metrics.accuracy if found.labelled else None,
        test_loss=metrics.loss,
        examples=len(found.y_test),
        out=str(folder),
    )
