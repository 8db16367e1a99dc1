"""Settings given for one run, on top of what a model says."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ..backends import BACKENDS
from ..datasets.own import is_path
from ..errors import InvalidValueError, check_count, check_real, unknown
from ..random import MAX_SEED
from ..rewiring import DEEP_R_RIGL, REWIRING
from ..training.registry import COMPILERS
from .config import Config, with_compiler
from .sections import NO_REWIRING, RewiringConfig, registered, with_data
from .shape import delays_of, has, hidden_of, hidden_sizes, with_connectivity, with_delays, with_hidden
from .tables import arguments_of, as_text, check_utf8, complete


@dataclass(frozen=True)
class Overrides:
    """Settings of one run, each as the command line's option of the same name; None leaves the model's.

    Attributes:
        sparsity: of every connection whose connectivity has one.
        epochs, batch_size, threads, backend, validation, data_dir: as in the model's tables.
        seed: of the network and of training.
        rewiring: ``"none"``, a rule, or ``"deep_r_rigl"``, DEEP R that grows where the gradient is most negative; a
            rule the model does not use takes its defaults.
        growth_delay, dale: of the rewiring rule.
        delays: ``"fixed"`` or ``"learned"``.
        kernel_count: synapses of every pair.
        hidden: sizes of the hidden layers, ``"256,256"``.
        compiler: ``"surrogate"`` or ``"eventprop"``.
        data: a data set's name, or the path of data of one's own, absolute.
    """

    sparsity: Any = None
    epochs: Any = None
    seed: Any = None
    batch_size: Any = None
    threads: Any = None
    backend: Any = None
    rewiring: Any = None
    growth_delay: Any = None
    dale: Any = None
    validation: Any = None
    data_dir: Any = None
    delays: Any = None
    kernel_count: Any = None
    hidden: Any = None
    compiler: Any = None
    data: Any = None

    def given(self) -> dict[str, Any]:
        """Those that are not None, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def apply(self, config: Config) -> Config:
        """The configuration with these settings in it.

        Raises:
            InvalidValueError: a value is not allowed, or the model has nothing to set.
        """
        config = self._apply_numbers(config)
        if self.compiler is not None:
            registered("--compiler", self.compiler, COMPILERS)
            config = with_compiler(config, self.compiler)
        if self.hidden is not None:
            config = with_hidden(config, hidden_sizes(self.hidden))
        if self.sparsity is not None:
            sparsity = check_real("--sparsity", self.sparsity, 0.0, 1.0, open_high=True)
            config = with_connectivity(config, "sparsity", sparsity)
        if self.kernel_count is not None:
            config = with_connectivity(config, "kernel_count", check_count("--kernel-count", self.kernel_count))
        if self.delays is not None:
            config = with_delays(config, self.delays)
        return replace(config, rewiring=self._rewiring(config.rewiring))

    def _apply_numbers(self, config: Config) -> Config:
        compiler, training = config.compiler, config.training
        if self.seed is not None:
            seed = check_count("--seed", self.seed, 0, MAX_SEED)
            config, compiler = replace(config, seed=seed), replace(compiler, rng_seed=seed)
        if self.batch_size is not None:
            compiler = replace(compiler, batch_size=check_count("--batch-size", self.batch_size))
        if self.threads is not None:
            compiler = replace(compiler, threads=check_count("--threads", self.threads, 1, 1024))
        if self.backend is not None:
            registered("--backend", self.backend, BACKENDS)
            compiler = replace(compiler, backend=self.backend)
        if self.epochs is not None:
            training = replace(training, num_epochs=check_count("--epochs", self.epochs))
            check_count("--epochs", self.epochs, high=(1 << 63) - 1)
        if self.validation is not None:
            validation = check_real("--validation", self.validation, 0.0, 1.0, open_high=True)
            training = replace(training, validation=validation)
        if self.data is not None:
            training = with_data(training, self.data)
        if self.data_dir is not None:
            if is_path(training.dataset):
                raise InvalidValueError(
                    f"--data-dir is where files of data sets by name are; the data set here is {training.dataset}"
                )
            check_utf8("--data-dir", as_text("--data-dir", self.data_dir))
            training = replace(training, data_dir=self.data_dir)
        return replace(config, compiler=compiler, training=training)

    def _rewiring(self, rewiring: RewiringConfig) -> RewiringConfig:
        rules = {**REWIRING, NO_REWIRING: dict}
        if self.rewiring is not None and self.rewiring not in (*rules, DEEP_R_RIGL):
            raise unknown("--rewiring", self.rewiring, (*rules, DEEP_R_RIGL))
        name, growth = self.rewiring or rewiring.name, {}
        if self.rewiring in ("deep_r", DEEP_R_RIGL):
            name, growth = "deep_r", {"growth": "random" if self.rewiring == "deep_r" else "gradient"}
        if self.sparsity == 0:
            if self.rewiring not in (None, NO_REWIRING):
                raise InvalidValueError(
                    f"--rewiring {self.rewiring} cannot be used at --sparsity 0, where every pair is connected and "
                    "nothing can grow; use a sparsity above 0 or --rewiring none"
                )
            name = NO_REWIRING
        asked = {key: value for key in ("growth_delay", "dale") if (value := getattr(self, key)) is not None}
        if name == NO_REWIRING:
            for key, value in asked.items():
                if value is not False:  # --no-dale asks for nothing
                    raise InvalidValueError(f"--{key.replace('_', '-')} needs a rewiring rule, and rewiring is 'none'")
            return RewiringConfig()
        if name != rewiring.name:
            rewiring = RewiringConfig({"rule": name}, rewiring.connections)
        if "dale" not in arguments_of(REWIRING[name]) and asked.get("dale") is False:
            del asked["dale"]  # --no-dale asks for nothing
        for key in asked:
            if key not in arguments_of(REWIRING[name]):
                raise InvalidValueError(f"--{key.replace('_', '-')} is not a setting of the rewiring rule {name!r}")
        table = {**rewiring.rule, **growth, **asked}
        return replace(rewiring, rule=complete("rewiring rule", rules, "rewiring", table, "rule"))


def overrides_in(config: Config) -> Overrides:
    """The settings that, on top of a model, give this configuration; None where one setting cannot tell.

    The sparsity and the seed are None where connections, or network and training, have different ones.
    """
    sparsities = {c.connectivity["sparsity"] for c in config.connections if has(c, "sparsity")}
    counts = {c.connectivity["kernel_count"] for c in config.connections if has(c, "kernel_count")}
    seeds = {config.seed, config.compiler.rng_seed}
    rule = config.rewiring.rule
    return Overrides(
        sparsity=sparsities.pop() if len(sparsities) == 1 else None,
        epochs=config.training.num_epochs,
        seed=seeds.pop() if len(seeds) == 1 else None,
        batch_size=config.compiler.batch_size,
        threads=config.compiler.threads,
        backend=config.compiler.backend,
        rewiring=config.rewiring.label,
        growth_delay=rule.get("growth_delay"),
        dale=rule.get("dale"),
        validation=config.training.validation,
        data_dir=config.training.data_dir,
        delays=delays_of(config),
        hidden=hidden_of(config),
        compiler=config.compiler.kind,
        kernel_count=counts.pop() if len(counts) == 1 else None,
        data=config.training.dataset if is_path(config.training.dataset) else None,
    )
