"""The ways in which spikes act on a population: its receptors, one for every kind of synapse that leads to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..drives import PoissonDrive
from ..errors import InvalidValueError
from ..network import Population
from ..neurons import DynamicNeuron, Equations
from ..synapses import Delta, Exponential, Synapse


@dataclass(frozen=True)
class Joined:
    """A neuron's equations together with its receptors.

    Attributes:
        equations: with a variable for every receptor that has a current of its own.
        synapses: the receptors, in order of first use: by connections as they were made, then by drives.
        variables: of every receptor the variable that what arrives is added to at the end of the step; None where it is
            (part of) `Isyn` of the step.
        values: parameters and initial values ``[neuron]`` each, and the bias.
        biased: the receptor that a bias current acts through, as in training; None where it is part of `Isyn`.
    """

    equations: Equations
    synapses: tuple[Synapse, ...]
    variables: tuple[str | None, ...]
    values: dict[str, npt.NDArray[np.float64]]
    biased: int | None


def receptors_of(p: Population) -> tuple[Synapse, ...]:
    """The different synapse models of the connections and Poisson drives onto a population."""
    found: list[Synapse] = []
    used = [c.synapse for c in p.incoming] + [d.synapse for d in p.drives if isinstance(d, PoissonDrive)]
    for synapse in used:
        assert isinstance(synapse, Synapse)
        if synapse not in found:
            found.append(synapse)
    return tuple(found)


def joined(p: Population) -> Joined:
    """The equations of a population for a simulation.

    A population with one kind of synapse and no current onto it has the equations that training has, to the bit. Where
    exponential currents stand beside others, or beside `Isyn`, every right-hand side has their sum in place of `Isyn`.
    """
    assert isinstance(p.neuron, DynamicNeuron)
    equations, synapses, values = p.neuron.equations(), receptors_of(p), p.parameters()
    direct = any(not isinstance(d, PoissonDrive) for d in p.drives)
    for synapse in synapses:
        if not isinstance(synapse, (Delta, Exponential)):
            raise InvalidValueError(
                f"population {p.name!r}: synapse {synapse!r} is not known in simulations; known: Delta, Exponential"
            )
    if len(synapses) <= 1 and not (direct and synapses and isinstance(synapses[0], Exponential)):
        for synapse in synapses:
            equations = synapse.join(equations)
            values |= {n: p.synapse_parameter(n, v, 0) for n, v in synapse.parameter_values().items()}
        return Joined(equations, synapses, (None,) * len(synapses), values, None)
    variables: list[str | None] = []
    taus: dict[str, str] = {}
    for number, synapse in enumerate(synapses):
        if isinstance(synapse, Delta):
            variables.append(None)
            continue
        ending = f"_{len(taus) + 1}" if taus else ""
        name, tau = f"{Exponential.current}{ending}", f"tau_syn{ending}"
        _check_free(p, equations, (name, tau))
        variables.append(name)
        taus[name] = tau
        values[tau] = p.synapse_parameter(tau, synapse.tau, number)  # type: ignore[attr-defined]
    terms = (["Isyn"] if direct or None in variables else []) + list(taus)
    total = terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"
    rates = {v: (re.sub(r"\bIsyn\b", total, rate), jump) for v, (rate, jump) in equations.variables.items()}
    rates |= {name: (f"-{name} / {tau}", None) for name, tau in taus.items()}
    both = replace(equations, variables=rates, parameters=(*equations.parameters, *taus.values()))
    biased = 0 if variables and variables[0] is not None else None
    return Joined(both, synapses, tuple(variables), values, biased)


def _check_free(p: Population, equations: Equations, names: tuple[str, ...]) -> None:
    for name in names:
        if name in (*equations.variables, *equations.parameters):
            raise InvalidValueError(
                f"population {p.name!r}: synapse Exponential brings {name!r} into its target's equations, which use "
                "this name already; choose another name there"
            )
