"""The options of a benchmark, checked before anything is computed, and the networks that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..backends import BACKENDS
from ..errors import BackendUnavailableError, InvalidValueError, check_count, check_real, unknown
from ..runs.build import build_backend, plan_of, validate
from ..runs.config import Config
from ..runs.models import load_model
from ..runs.overrides import Overrides
from . import dense_torch
from .networks import DESIGN, SPIKES, built_in

AGAINST = ("torch", "genn")
EPOCHS = ("first", "last")


@dataclass(frozen=True)
class Options:
    """Options as the command line gives them; None leaves a choice to the benchmark or the model.

    Attributes:
        model: a model's name or path, or several where networks are compared.
        sparsity, hidden, sizes: texts, numbers with commas between.
        epoch: ``"first"``, ``"last"`` or both: where learning rates and the width of delay kernels stand.
        synapses, delays, rate, duration, dt: of simulations; see :mod:`.simulation_options`. `delays` is a list of
            texts, a range each.
        told: called with how far it has come.
    """

    model: Any = None
    sparsity: Any = None
    hidden: Any = None
    sizes: Any = None
    batch_size: Any = None
    backend: Any = None
    threads: Any = None
    against: Any = None
    epoch: Any = None
    repeats: Any = None
    synapses: Any = None
    delays: Any = None
    rate: Any = None
    duration: Any = None
    dt: Any = None
    told: Callable[[str], None] = field(default=lambda text: None, compare=False)

    def settings(self) -> dict[str, Any]:
        """Those that were given, as JSON can hold them."""
        given = {name: value for name, value in vars(self).items() if name != "told" and value not in (None, [])}
        between = {"model": ",", "delays": " "}
        as_one = {name: between[name].join(value) if name in between and isinstance(value, list) else value
                  for name, value in given.items()}  # fmt: skip
        return {name: value if isinstance(value, str | int | float) else str(value) for name, value in as_one.items()}

    def count(self, usual: int) -> int:
        """Repeats."""
        return usual if self.repeats is None else check_count("--repeats", self.repeats, 1, 1_000_000)

    def sparsities(self, usual: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Those asked for, or the usual ones; the model's own where there are none."""
        if self.sparsity is None:
            return usual
        found = tuple(check_real("--sparsity", value, 0.0, 1.0, open_high=True) for value in listed(self.sparsity))
        return once("--sparsity", found)

    def widths(self, usual: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of hidden layers to be compared."""
        if self.sizes is None:
            return usual
        return once("--sizes", tuple(check_count("--sizes", value) for value in listed(self.sizes)))

    def epochs(self) -> tuple[str, ...]:
        """The points of training to be measured, ``"first"`` or ``"last"``."""
        if self.epoch is None:
            return EPOCHS[:1]
        names = tuple(part.strip() for part in str(self.epoch).split(","))
        for name in names:
            if name not in EPOCHS:
                raise unknown("--epoch", name, EPOCHS)
        return once("--epoch", names)

    def rival(self) -> str | None:
        """The rival to compare with, if it is installed.

        Raises:
            BackendUnavailableError: it is not installed; the message says what to install.
        """
        if self.against is None:
            return None
        if self.against not in AGAINST:
            raise unknown("--against", self.against, AGAINST)
        if self.against == "torch":
            dense_torch.check_installed()
        else:
            check_available("genn")
            if self.backend == "genn":
                raise InvalidValueError("--against genn compares with backend 'genn', and so is --backend genn")
        return str(self.against)

    def bases(self) -> list[Config]:
        """Every model, or the built-in network."""
        names = self.model if isinstance(self.model, list) else [self.model]
        return [self._of_model(name, None) for name in once("MODEL", tuple(names)) or (None,)]

    def base(self, network: str | None = None) -> Config:
        """The model, or the built-in network, with everything but the sparsity set.

        Args:
            network: the built-in one; where it is not given, the one that the rival can train.
        """
        return self._of_model(self.model, network)

    def _of_model(self, model: str | None, network: str | None) -> Config:
        usual = network or (SPIKES if self.against == "genn" else DESIGN)
        config = built_in(usual) if model is None else load_model(model)
        overrides = Overrides(
            hidden=self.hidden, batch_size=self.batch_size, backend=self.backend, threads=self.threads
        )
        config = overrides.apply(config)
        check_available(config.compiler.backend)
        if self.threads is not None and config.compiler.backend != "cpu":
            raise InvalidValueError(
                f"--threads {self.threads} is a setting of backend 'cpu', got --backend {config.compiler.backend}"
            )
        return config


def at_sparsity(config: Config, sparsity: float | None) -> Config:
    """The same network at another sparsity; validated."""
    config = config if sparsity is None else Overrides(sparsity=sparsity).apply(config)
    validate(config)
    return config


def at_size(config: Config, size: int) -> Config:
    """The same network with hidden layers of another size, as many as it has; validated."""
    layers = max(len(config.populations) - 2, 1)
    try:
        config = Overrides(hidden=[size] * layers).apply(config)
    except InvalidValueError as error:
        raise InvalidValueError(f"--sizes: model {config.model.name!r} has no hidden layers in a chain") from error
    validate(config)
    return config


def on_backend(config: Config, backend: str) -> Config:
    """The same network on another backend."""
    return replace(config, compiler=replace(config.compiler, backend=backend))


def with_batch(config: Config, batch_size: int) -> Config:
    """The same network with another batch."""
    return replace(config, compiler=replace(config.compiler, batch_size=batch_size))


def check_available(backend: str) -> None:
    """Raise an error if a backend cannot run here."""
    found = BACKENDS[backend]().availability()
    if not found.available:
        raise BackendUnavailableError(f"backend {backend!r} cannot run here: {found.detail}")


def check_rival(rival: str | None, config: Config, *, training: bool) -> None:
    """Raise an error if the rival does not support a network.

    Args:
        training: it is to be trained, and not evaluated alone.
    """
    if rival == "torch":
        dense_torch.check_network(config)
    if rival == "genn" and training and config.compiler.kind != "eventprop":
        raise InvalidValueError(
            f"--against genn: GeNN trains by EventProp alone, and model {config.model.name!r} is trained with "
            f'{config.compiler.kind!r}; choose a model with compiler kind = "eventprop", or give no MODEL'
        )
    if training and not plan_of(config).learns:
        raise InvalidValueError(f"model {config.model.name!r} learns nothing, so there is no training step to time")


def threads_of(config: Config) -> int | None:
    """Threads that a network's backend uses; None where it has no such number."""
    threads = getattr(build_backend(config), "num_threads", None)
    return None if threads is None else int(threads)


def listed(value: Any) -> list[Any]:
    """Numbers out of a text with commas between, or a sequence of them; anything else stays as it is."""
    parts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
    return [_number(part) for part in parts]


def _number(part: Any) -> Any:
    if not isinstance(part, str):
        return part
    for kind in (int, float):
        try:
            return kind(part)
        except ValueError:
            continue
    return part


def once(what: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, or an error where one is given twice."""
    for value in values:
        if values.count(value) > 1:
            raise InvalidValueError(f"{what}: {value} is given twice")
    return values
