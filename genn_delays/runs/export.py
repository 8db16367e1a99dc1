"""A run or a model exported: its network quantised, checked against a chip and written, evaluated before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..callbacks import BatchProgressBar
from ..datasets import Dataset
from ..delays import MAX_DELAY
from ..errors import check_choice, check_count, unknown
from ..export import TARGETS, Receipt, deploy
from ..export.library import load_nir
from ..export.quantise import BITS, DELAYS
from ..export.writer import ENCODINGS
from ..paths import check_writable
from ..training.compiled_network import CompiledNetwork
from .build import build_compiler, build_network, check_data, compile_network, load_data, validate, with_data_dir
from .config import Config
from .evaluate import CHECKPOINTS
from .models import load_model, run_or_model
from .overrides import Overrides
from .resume import check_evaluable

FORMATS = ("nir",)


@dataclass(frozen=True)
class Settings:
    """The settings of an export, checked.

    Args:
        format: ``"nir"``.
        target: a chip that the network is checked against; None for none.
        bits, max_delay, delays: see :func:`~genn_delays.export.quantise`.
        encoding: see :func:`~genn_delays.export.to_nir`.
        checkpoint: of a run, ``"best"`` or ``"last"``.
        evaluated: compute the accuracy on the test set before and after.
    """

    format: str = "nir"
    target: str | None = None
    bits: int | None = None
    max_delay: int | None = None
    delays: str = "clip"
    encoding: str = "sparse"
    checkpoint: str = "best"
    evaluated: bool = True

    def __post_init__(self) -> None:
        check_choice("--format", self.format, FORMATS)
        check_choice("--encoding", self.encoding, ENCODINGS)
        if self.target is not None:
            check_choice("--target", self.target, TARGETS)
        check_choice("--delays", self.delays, DELAYS)
        if self.bits is not None:
            check_count("--bits", self.bits, *BITS)
        if self.max_delay is not None:
            check_count("--max-delay", self.max_delay, 1, MAX_DELAY)
        if self.checkpoint not in CHECKPOINTS:
            raise unknown("--checkpoint", self.checkpoint, CHECKPOINTS)


def export_run(
    what: str,
    out: Path,
    settings: Settings,
    *,
    data_dir: str | None = None,
    data: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Receipt:
    """Export a run with its checkpoint, or a model as it begins.

    Args:
        what: a run's folder, or a model's name or path.
        out: the file to write.
        settings: of the export.
        data_dir, data, backend, threads: where they differ from the run's.
        progress: show a progress bar on standard error.

    Raises:
        InvalidValueError: an argument is wrong, or NIR cannot carry the network.
        GennDelaysError: the file cannot be written, or nir is not installed.
    """
    folder = run_or_model(what)
    config = load_model(what) if folder is None else folder.read_config()
    path = None if folder is None else folder.checkpoint(settings.checkpoint)
    load_nir()  # before anything is compiled
    check_writable(out)
    config = with_data_dir(config, data_dir, data)
    config = replace(config, compiler=Overrides(backend=backend, threads=threads).apply(config).compiler)
    validate(config)
    found = load_data(config, quiet=not progress) if settings.evaluated else None
    if found is not None:
        check_data(config, build_network(config), found)
    if folder is not None and path is not None:
        check_evaluable(folder, path, config)
    name = config.model.name if folder is None else str(folder)
    with compile_network(config) as compiled:
        if path is not None:
            compiled.load(path)
            name += f", {settings.checkpoint} checkpoint (epoch {compiled.epoch})"
        given = {key: getattr(settings, key) for key in ("target", "bits", "max_delay", "delays", "encoding")}
        network, receipt = deploy(compiled, out, name=name, **given)
        if found is None:
            return receipt
        before = _metrics(config, compiled, found, progress)
    none = {"optimisers": {"all_connections": {"weight": None}}}  # it is evaluated alone
    with build_compiler(config).compile(network, **none) as exported:
        after = _metrics(config, exported, found, progress)
    return receipt.evaluated(before, after, len(found.y_test), labelled=found.labelled)


def _metrics(config: Config, compiled: CompiledNetwork, data: Dataset, progress: bool) -> Any:
    source, output = check_data(config, compiled.network, data)
    bar = [BatchProgressBar()] if progress else []
    return compiled.evaluate({source: data.x_test}, {output: data.y_test}, callbacks=bar)[0]
