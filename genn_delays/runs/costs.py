"""The costs of a model or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..costs import Report, costs_of, training_share
from ..costs.training import METHODS
from ..errors import check_count, unknown
from ..paths import atomic_path, check_writable, expanded
from .build import build_network, check_data, compile_network, load_data, take, validate, with_data_dir
from .evaluate import CHECKPOINTS
from .models import load_model, run_or_model
from .resume import check_evaluable


def costs_of_run(
    what: str,
    examples: int = 256,
    checkpoint: str = "best",
    data_dir: str | None = None,
    data: str | None = None,
) -> Report:
    """The costs of a model before training, or of a run with its checkpoint.

    Args:
        what: a model's name or path, or a run's folder.
        examples: so many test examples are evaluated, the first ones; all where there are fewer.
        checkpoint: of a run, ``"best"`` or ``"last"``.
        data_dir: where the data set's files are, if not where the model or the run has them.
        data: another data set, a name or an absolute path.
    """
    examples = check_count("--examples", examples)
    if checkpoint not in CHECKPOINTS:
        raise unknown("--checkpoint", checkpoint, CHECKPOINTS)
    folder = run_or_model(what)
    config = with_data_dir(
        load_model(what) if folder is None else folder.read_config(),
        None if data_dir is None else str(expanded(data_dir).absolute()),
        data,
    )
    path = None if folder is None else folder.checkpoint(checkpoint)
    validate(config)
    found = load_data(config)
    source, _ = check_data(config, build_network(config), found)
    if folder is not None and path is not None:
        check_evaluable(folder, path, config)
    with compile_network(config) as compiled:
        if path is not None:
            compiled.load(path)
        x: Any = take(found.x_test, slice(examples)) if not isinstance(found.x_test, list) else found.x_test[:examples]
        return costs_of(compiled, {source.name: x}, config.model.name if folder is None else f"{folder}")


def check_picture(path: Path) -> None:
    """Raise an error if :func:`draw` cannot write there."""
    if path.suffix not in (".png", ".pdf"):
        raise unknown("ending of --picture", path.suffix, [".png", ".pdf"])
    check_writable(path)


def draw(report: Report, path: Path) -> None:
    """Operations by pass, beside those of a dense network; and training as a share of dense training.

    Args:
        path: a PNG or PDF file; see :func:`check_picture`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    costs = report.step or report.inference
    passes = costs.passes
    left.bar(passes, [costs.of(step).flops / costs.examples for step in passes], color="#0072B2")
    what = "a training step, per example" if report.step is not None else "an inference"
    left.set(yscale="log", ylabel="floating point operations", title=f"{report.name}: {what}")
    forward = report.inference.of("forward").flops / report.inference.examples
    for value, label, colour in (
        (forward, "forward, as it is", "#0072B2"),
        (2 * report.dense.one_delay, "forward, dense, one delay a pair", "#D55E00"),
        (2 * report.dense.convolution, "forward, dense over all delays", "#555555"),
    ):
        left.axhline(value, color=colour, linestyle="--", label=label)
    left.legend(fontsize=8)
    kept = [10 ** (-x / 20) for x in range(1, 61)]
    curves: dict[tuple[float, ...], list[str]] = {}
    for method in METHODS:
        curves.setdefault(tuple(training_share(method, 1 - k) for k in kept), []).append(method)
    for shares, methods in curves.items():  # several methods may take the same
        right.plot([100 * k for k in kept], shares, label="; ".join(methods))
    right.set(
        xscale="log", yscale="log", xlabel="synapses kept (%)", ylabel="share of dense training",
        title="training, after Evci et al. 2020",
    )  # fmt: skip
    right.legend(fontsize=8)
    for ax in (left, right):
        ax.grid(True, which="major", alpha=0.25)
    with atomic_path(path) as part:
        figure.savefig(part, format=path.suffix[1:], dpi=150, metadata={})
