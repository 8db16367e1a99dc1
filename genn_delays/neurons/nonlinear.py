"""The base of neurons with nonlinear equations."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_choice
from .neuron import NONLINEAR, DynamicNeuron, Integration, check_parameter, check_reset


@dataclass(kw_only=True)
class NonlinearNeuron(DynamicNeuron, ABC):
    """Base of spiking neurons whose equations are integrated by ``"euler"`` or ``"rk4"``.

    A class names its parameters in `constants`, those that must be above 0 in `positive` too, and its variables, whose
    initial values are fields of the same names, in `states`.
    """

    constants: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ()
    states: ClassVar[tuple[str, ...]] = ()
    reset: ClassVar[tuple[str, str] | None] = None
    """Names of the peak and of the potential after a spike, which must be below it; None without a reset."""

    integration: Integration = field(default="euler", kw_only=True)
    tau_refrac: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_readout(spiking=True)
        for name in (*self.constants, *self.states):
            if name in self.positive:
                setattr(self, name, check_parameter(name, getattr(self, name), 0.0, open_low=True))
            else:
                setattr(self, name, check_parameter(name, getattr(self, name)))
        if self.tau_refrac is not None:
            self.tau_refrac = check_parameter("tau_refrac", self.tau_refrac, 0.0, open_low=True)
        check_choice("integration", self.integration, NONLINEAR)
        self._check_reset(f"{type(self).__name__} ", vars(self))

    def check_sampled(self, population: str, values: dict[str, npt.NDArray[np.float64]]) -> None:
        for name in self.positive:
            if not (values[name] > 0).all():
                raise InvalidValueError(
                    f"{name} of population {population!r} must be above 0, got {values[name].min():g}"
                )
        self._check_reset(f"population {population!r}: ", values)

    def _check_reset(self, what: str, values: Any) -> None:
        if self.reset is not None:
            peak, after = self.reset
            check_reset(what, {"v_thresh": values[peak], "v_reset": values[after]}, relative=False, names=self.reset)

    def parameter_values(self) -> dict[str, Any]:
        names = (*self.constants, *self.states, *(["tau_refrac"] if self.tau_refrac is not None else []))
        return {name: getattr(self, name) for name in names}
