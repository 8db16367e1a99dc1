"""Changes of a compiled network from outside, as callbacks make them: learning rates and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidValueError, check_real, shown, unknown
from ..initializers import real_array
from ..network import Connection, Population
from .contents import Contents
from .rates import owner_name
from .turns import in_turn


class Adjusted(Contents):
    """The part of :class:`~genn_delays.training.compiled_network.CompiledNetwork` that is changed from outside."""

    @in_turn
    def learning_rates(self) -> dict[tuple[str, str], float]:
        """The learning rate of everything that is learned, by name of the connection or population and variable, at
        this point of training."""
        found = {}
        for what, optimiser in self.plan.learning().items():
            alpha = self.plan.alphas.get(what, optimiser.at(self._progress).alpha)
            found[owner_name(self.plan, what), what.variable] = alpha
        return found

    @in_turn
    def set_learning_rate(
        self, alpha: float, owner: Connection | Population | str | None = None, variable: str | None = None
    ) -> None:
        """Set a learning rate, from the next training step on; a checkpoint keeps it.

        Args:
            alpha: at least 0.
            owner: a connection or a population, or its name; everything that is learned where not given.
            variable: ``"weight"``, ``"delay"``, ``"tau_mem"``, ...; all that `owner` learns where not given.

        Raises:
            InvalidValueError: nothing of that is learned, or its optimiser has a schedule.
        """
        self._check_open()
        alpha = check_real("learning rate", alpha, 0.0)
        if variable is not None and not isinstance(variable, str):
            raise InvalidValueError(f"variable must be the name of one, got {shown(variable)}")
        learning = self.plan.learning()
        named = {what: (owner_name(self.plan, what), what.variable) for what in learning}
        name = None if owner is None else self._owner_name(owner)
        chosen = [w for w, (o, v) in named.items() if name in (None, o) and variable in (None, v)]
        if not chosen:
            known = [f"{o}, {v}" for o, v in named.values()]
            wanted = ", ".join(str(part) for part in (name, variable) if part is not None)
            raise unknown("learned variable", wanted or "of any kind", known)
        for what in chosen:
            if (schedule := learning[what].schedule) is not None:
                raise InvalidValueError(
                    f"learning rate of {', '.join(named[what])}: its optimiser has a schedule, "
                    f"{type(schedule).__name__}; set it from outside or give it a schedule, not both"
                )
        self.plan.alphas.update(dict.fromkeys(chosen, alpha))

    def _owner_name(self, owner: Connection | Population | str) -> str:
        if isinstance(owner, Connection):
            return self._connection(owner).name
        if isinstance(owner, str) and any(c.name == owner for c in self.network.connections):
            return owner
        return self.population(owner).name

    @in_turn
    def set_weights(self, connection: Connection | str, weight: Any) -> None:
        """Set the weights of a connection; its optimiser's moments stay as they are.

        Args:
            connection: itself or its name.
            weight: an array ``[synapse]`` in the order of :meth:`synapses`.

        Raises:
            InvalidValueError: the array does not fit, or it gives a synapse another sign while a rewiring rule keeps
                signs.
        """
        self._check_open()
        connection = self._connection(connection)
        state = self.engine.state(connection.index)
        old = state.synapses.weight
        what = f"weights of connection {connection.name!r}"
        new = real_array(what, weight, old.shape, single=True).astype(np.float32)
        rule = self.plan.connections[connection.index].rewiring
        if rule is not None and rule.signed:
            flipped = (new != 0) & (np.signbit(new) != np.signbit(old))
            if flipped.any():
                k = int(np.flatnonzero(flipped)[0])
                raise InvalidValueError(
                    f"{what}: {type(rule).__name__} keeps the signs of synapses, but no. {k} would change from "
                    f"{old[k]:g} to {new[k]:g}"
                )
            new = np.copysign(new, old)
        state.values["weight"] = new
        self.engine.set_state(connection.index, state)
