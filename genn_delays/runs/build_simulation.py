"""From the configuration of a simulation to the objects of the library: network, compiler, recordings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import InvalidValueError, unknown
from ..network import Network
from ..neurons import DynamicNeuron
from ..plan.receptors import joined
from ..simulation import SimulationCompiler, Trace
from .build import backend_of, build_network
from .scaling import scaled
from .simulated import SPIKES, SimulationConfig
from .tables import within


def build_scaled_network(config: SimulationConfig) -> Network:
    """The network at the scale that the configuration asks for, described; nothing is sampled yet."""
    smaller, scale = scaled(config), config.simulation.scale
    try:
        return build_network(smaller)
    except InvalidValueError as error:
        if scale == 1:
            raise
        build_network(replace(config, simulation=replace(config.simulation, scale=1.0)))  # errors of the network itself
        raise InvalidValueError(f"scale {scale:g} is too small for this network: {error}") from error


def build_simulation_compiler(config: SimulationConfig) -> SimulationCompiler:
    """The compiler."""
    s = config.simulation
    made: SimulationCompiler = within(
        "[simulation]", SimulationCompiler, s.dt, backend=backend_of(s.backend, s.threads), rng_seed=s.rng_seed
    )
    return made


def recordings(config: SimulationConfig, network: Network) -> dict[str, list[Any]]:
    """By population what ``compile`` shall record: all spikes, unless the model says something else.

    Raises:
        InvalidValueError: a population does not spike, or has no such variable.
    """
    if config.simulation.record is None:
        return {p.name: [SPIKES] for p in network.populations if p.spiking}
    found: dict[str, list[Any]] = {}
    for name, entries in config.simulation.record.items():
        section, p = f"[simulation] record {name}", network.find("population", name)
        variables = list(joined(p).equations.variables) if isinstance(p.neuron, DynamicNeuron) else []
        found[name] = []
        for entry in entries:
            if entry == SPIKES:
                if not p.spiking:
                    raise InvalidValueError(f"{section}: population {name!r} does not spike")
                found[name].append(SPIKES)
                continue
            table = {"variable": entry} if isinstance(entry, str) else entry
            if table["variable"] not in variables:
                raise unknown(f"variable in {section}", table["variable"], (SPIKES, *variables))
            found[name].append(within(section, Trace, **table))
    return found


def validate_simulation(config: SimulationConfig) -> None:
    """Raise a configuration's errors by describing everything and discarding the result; nothing is sampled."""
    build_simulation_compiler(config)
    network = build_scaled_network(config)
    recordings(config, network)
