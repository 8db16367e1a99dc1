"""Settings given for one run, on top of what a model says."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ..backends import BACKENDS
from ..connectivity.connectivity import CONNECTIVITY
from ..errors import InvalidValueError, check_count, check_real, unknown
from ..random import MAX_SEED
from ..rewiring import REWIRING
from .config import NO_REWIRING, Config, ConnectionConfig, RewiringConfig
from .tables import arguments_of, complete


@dataclass(frozen=True)
class Overrides:
    """Settings of one run, each as the command line's option of the same name; None leaves the model's.

    Attributes:
        sparsity: of every connection whose connectivity has one.
        epochs, batch_size, threads, backend, validation, data_dir: as in the model's tables.
        seed: of the network and of training.
        rewiring: ``"none"`` or a rule; a rule the model does not use takes its defaults.
        growth_delay, dale: of the rewiring rule.
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

    def given(self) -> dict[str, Any]:
        """Those that are not None, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def apply(self, config: Config) -> Config:
        """The configuration with these settings in it.

        Raises:
            InvalidValueError: a value is not allowed, or the model has nothing to set.
        """
        config = self._apply_numbers(config)
        if self.sparsity is not None:
            sparsity = check_real("--sparsity", self.sparsity, 0.0, 1.0, open_high=True)
            config = replace(config, connections=_with_sparsity(config.connections, sparsity))
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
            if self.backend not in BACKENDS:
                raise unknown("--backend", self.backend, BACKENDS)
            compiler = replace(compiler, backend=self.backend)
        if self.epochs is not None:
            training = replace(training, num_epochs=check_count("--epochs", self.epochs))
        if self.validation is not None:
            validation = check_real("--validation", self.validation, 0.0, 1.0, open_high=True)
            training = replace(training, validation=validation)
        if self.data_dir is not None:
            training = replace(training, data_dir=str(self.data_dir))
        return replace(config, compiler=compiler, training=training)

    def _rewiring(self, rewiring: RewiringConfig) -> RewiringConfig:
        rules = {**REWIRING, NO_REWIRING: dict}
        if self.rewiring is not None and self.rewiring not in rules:
            raise unknown("--rewiring", self.rewiring, rules)
        name = self.rewiring or rewiring.name
        if self.sparsity == 0:
            if self.rewiring not in (None, NO_REWIRING):
                raise InvalidValueError(
                    f"--rewiring {self.rewiring} was asked for at --sparsity 0, where every pair is connected and "
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
            rewiring = RewiringConfig({"rule": name})
        for key in asked:
            if key not in arguments_of(REWIRING[name]):
                raise InvalidValueError(f"--{key.replace('_', '-')} is no setting of the rewiring rule {name!r}")
        return replace(rewiring, rule=complete("rewiring rule", rules, "rewiring", {**rewiring.rule, **asked}, "rule"))


def _has_sparsity(connection: ConnectionConfig) -> bool:
    return "sparsity" in arguments_of(CONNECTIVITY[connection.connectivity["connectivity"]])


def _with_sparsity(connections: tuple[ConnectionConfig, ...], sparsity: float) -> tuple[ConnectionConfig, ...]:
    if not any(_has_sparsity(c) for c in connections):
        kinds = ", ".join(sorted({c.connectivity["connectivity"] for c in connections}))
        raise InvalidValueError(
            f"--sparsity {sparsity:g}: no connection of this model has a sparsity (they are: {kinds})"
        )
    return tuple(
        replace(c, connectivity={**c.connectivity, "sparsity": sparsity}) if _has_sparsity(c) else c
        for c in connections
    )


def overrides_in(config: Config) -> Overrides:
    """The settings that, on top of a model, give this configuration; None where one setting cannot tell.

    The sparsity and the seed are None where connections, or network and training, have different ones.
    """
    sparsities = {c.connectivity["sparsity"] for c in config.connections if _has_sparsity(c)}
    seeds = {config.seed, config.compiler.rng_seed}
    rule = config.rewiring.rule
    return Overrides(
        sparsity=sparsities.pop() if len(sparsities) == 1 else None,
        epochs=config.training.num_epochs,
        seed=seeds.pop() if len(seeds) == 1 else None,
        batch_size=config.compiler.batch_size,
        threads=config.compiler.threads,
        backend=config.compiler.backend,
        rewiring=config.rewiring.name,
        growth_delay=rule.get("growth_delay"),
        dale=rule.get("dale"),
        validation=config.training.validation,
        data_dir=config.training.data_dir,
    )
