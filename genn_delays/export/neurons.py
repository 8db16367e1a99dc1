"""NIR's neurons as ours: time constants from seconds to ms, resistances into weights, leaks into biases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_choice
from ..learning.readouts import READOUTS
from ..neurons import DynamicNeuron, LeakyIntegrate, LeakyIntegrateFire, UserNeuron
from .flat import kind, metadata_of, size_of
from .writer import SECOND

Array = npt.NDArray[Any]
_SAME = 1e-9
"""Values in our units that a file also gives are taken where the node's agree with them to this."""


class Step(Protocol):
    """The settings of reading that concern neurons; see :class:`.reader.Setting`."""

    @property
    def integration(self) -> str: ...

    def step(self, name: str, node: str) -> float: ...


@dataclass(frozen=True)
class Node:
    """A neuron node, read.

    Attributes:
        make: the neuron with a readout.
        readout: of a population that is an output.
        factor: of weights onto each neuron, ``[neuron]``; None for 1.
        given_bias: the bias that the node itself has, ``[neuron]``; None for 0.
        bias_factor: of a bias that leads to it, as `factor`.
        tau_syn: of exponential synapses in ms, ``[neuron]``; None for delta synapses.
        kept: whether its readout is that of the file, whatever leads from it.
    """

    make: Callable[[str | None], DynamicNeuron]
    readout: str
    factor: Array | None
    given_bias: Array | None
    tau_syn: Array | None
    kept: bool

    def neuron(self, output: bool) -> DynamicNeuron:
        """Our neuron, with a readout where it is an output."""
        return self.make(self.readout if (self.kept or output) and self.readout else None)

    def weights(self, weight: Array, post: Array) -> Array:
        """Weights in our unit, in single precision."""
        if self.factor is None:
            return np.asarray(weight, np.float32)
        return np.asarray(weight.astype(np.float64) * self.factor[post], np.float32)

    def bias(self, led: Array | None) -> Any:
        """The bias current: the node's own and that which leads to it, ``[neuron]``; 0 for none."""
        total = self.given_bias
        if led is not None and led.any():
            scaled = led if self.factor is None else led * self.factor
            total = scaled if total is None else total + scaled
        return 0.0 if total is None else total.tolist()


def read_neuron(name: str, node: Any, setting: Step) -> Node:
    """A neuron node.

    Raises:
        InvalidValueError: a parameter is missing, out of range or has no counterpart; the message names the node.
    """
    reader = _Neuron(name, node, setting)
    return reader.integrator() if kind(node) in ("IF", "I") else reader.leaky()


class _Neuron:
    def __init__(self, name: str, node: Any, setting: Step) -> None:
        self.name, self.node, self.setting = name, node, setting
        self.kind, self.size = kind(node), size_of(name, node)
        self.metadata = metadata_of(node)
        self.spiking = self.kind in ("LIF", "CubaLIF", "IF")
        self.cuba = self.kind in ("CubaLIF", "CubaLI")

    def fail(self, what: str) -> InvalidValueError:
        return InvalidValueError(f"NIR node {self.name!r} of type {self.kind}: {what}")

    def values(self, name: str, *, above: float | None = None) -> Array:
        """A parameter, ``[neuron]``."""
        array = np.asarray(getattr(self.node, name)).ravel()
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise self.fail(f"{name} must be finite real numbers")
        if array.size != self.size:
            raise self.fail(f"{name} must be {self.size} numbers, one a neuron, got {array.size}")
        if above is not None and array.min() <= above:
            raise self.fail(f"{name} must be above {above:g}, got {array.min()}")
        return array.astype(np.float64)

    def kept(self, name: str, found: Array) -> Array:
        """A value of the metadata in our units, where the node's agrees with it; a node that was edited counts."""
        parameters = self.metadata.get("parameters", {})
        if name in parameters:
            ours = np.asarray(parameters[name], np.float64).ravel()
            if ours.shape == found.shape and np.allclose(ours, found, rtol=_SAME, atol=0):
                return ours
        return found

    def readout(self) -> tuple[str, bool]:
        """The readout, and whether the file says it."""
        if "readout" in self.metadata:
            return check_choice(f"NIR node {self.name!r}: readout", self.metadata["readout"], READOUTS), True
        return ("spike_count" if self.spiking else "var"), False

    def integration(self) -> Any:
        rule = self.metadata.get("integration", self.setting.integration)
        return check_choice(f"NIR node {self.name!r}: integration", rule, ("linear_euler", "exact"))

    def leaky(self) -> Node:
        tau = self.kept("tau_mem", self.values("tau_mem" if self.cuba else "tau", above=0.0) / SECOND)
        r, leak = self.values("r"), self.values("v_leak")
        plain = bool(np.allclose(r, tau, rtol=_SAME, atol=0)) and not self.metadata.get("scale_i", 0)
        factor = None if plain or (r == 1).all() else r
        if self.cuba and leak.any():
            raise self.fail(
                "v_leak must be 0, as a bias of ours passes the exponential synapse; give a constant input as an Affine"
            )
        bias = None
        if leak.any():
            bias = self.kept("bias", leak / tau if plain else leak)
        tau_syn, kept = None, self.readout()
        if self.cuba:
            tau_syn = self.kept("tau_syn", self.values("tau_syn", above=0.0) / SECOND)
            jump = self.values("w_in") * self.setting.step(self.name, self.kind) / tau_syn
            if not np.allclose(jump, 1, rtol=_SAME, atol=0):
                factor = jump if factor is None else factor * jump
        values: dict[str, Any] = {"tau_mem": tau.tolist(), "scale_i": not plain, "integration": self.integration()}
        if self.spiking:
            values |= {"v_thresh": self.values("v_threshold").tolist(), "v_reset": self.values("v_reset").tolist()}

        def make(readout: str | None) -> DynamicNeuron:
            neuron = LeakyIntegrateFire if self.spiking else LeakyIntegrate
            try:
                return neuron(**values, readout=readout)
            except InvalidValueError as error:
                raise self.fail(str(error)) from error

        return Node(make, kept[0], factor, bias, tau_syn, kept[1])

    def integrator(self) -> Node:
        """``dv/dt = r I``, per second; a spike of weight 1 adds ``r dt``."""
        parameters: dict[str, Any] = {"r": (self.values("r") * SECOND).tolist()}
        threshold, jump, kept = None, None, self.readout()
        if self.spiking:
            threshold, jump = "v - v_thresh", "v_reset"
            parameters |= {"v_thresh": self.values("v_threshold").tolist(), "v_reset": self.values("v_reset").tolist()}
        equations = {"v": ("r * Isyn", jump)}

        def make(readout: str | None) -> DynamicNeuron:
            return UserNeuron(vars=equations, threshold=threshold, param_vals=parameters, readout=readout)

        return Node(make, kept[0], None, None, None, kept[1])
