"""The ways in which spikes act on a population: its receptors, one for every kind of synapse that leads to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import synapses as models
from ..drives import PoissonDrive
from ..network import Population
from ..neurons import DynamicNeuron, Equations
from ..synapses import Receptor, Synapse


@dataclass(frozen=True)
class Joined:
    """A neuron's equations together with its receptors.

    Attributes:
        equations: with the variables of every receptor that has some of its own.
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
    synapses with variables of their own stand beside others, or beside `Isyn`, every right-hand side has the sum of
    their currents in place of `Isyn`; the names of the second such kind end with ``_2``, and so on.

    Raises:
        InvalidValueError: a synapse's names are the neuron's too, or it makes linear equations nonlinear.
    """
    assert isinstance(p.neuron, DynamicNeuron)
    equations, synapses, values = p.neuron.equations(), receptors_of(p), p.parameters()
    currents = any(not isinstance(d, PoissonDrive) for d in p.drives)
    if len(synapses) <= 1 and not (currents and any(_own(s, equations) for s in synapses)):
        for synapse in synapses:
            equations = _joined(p, synapse, equations, _own(synapse, equations), direct=False)
            values |= _values(p, synapse, 0, "", 1)
        return Joined(equations, synapses, (None,) * len(synapses), values, None)
    variables: list[str | None] = []
    receptors: list[Receptor] = []
    for number, synapse in enumerate(synapses):
        ending = f"_{len(receptors) + 1}" if receptors else ""
        receptor = _own(synapse, equations, ending)
        variables.append(None if receptor is None else receptor.impulse)
        if receptor is not None:
            _joined(p, synapse, equations, receptor, direct=True)  # an error of one kind names it
            receptors.append(receptor)
            values |= _values(p, synapse, number, ending, _MOST_KINDS)
    both = models.joined(equations, receptors, direct=currents or None in variables, what=f"population {p.name!r}")
    biased = 0 if variables and variables[0] is not None else None
    return Joined(both, synapses, tuple(variables), values, biased)


def _own(synapse: Synapse, equations: Equations, ending: str = "") -> Receptor | None:
    """A synapse's part of the equations of its target."""
    return synapse.receptor(ending, equations.output)


def _joined(
    p: Population, synapse: Synapse, equations: Equations, receptor: Receptor | None, *, direct: bool
) -> Equations:
    what = f"population {p.name!r}: synapse {type(synapse).__name__}"
    return models.joined(equations, () if receptor is None else (receptor,), direct=direct, what=what)


_MOST_KINDS = 64
"""The first parameters of so many kinds of synapses have random numbers before the second ones."""


def _values(p: Population, synapse: Synapse, number: int, ending: str, step: int) -> dict[str, npt.NDArray[np.float64]]:
    """The parameters of a population's synapses of a kind ``[neuron]`` each; a `step` of 1 is as in training."""
    return {
        f"{name}{ending}": p.synapse_parameter(f"{name}{ending}", value, number + step * place)
        for place, (name, value) in enumerate(synapse.parameter_values().items())
    }
