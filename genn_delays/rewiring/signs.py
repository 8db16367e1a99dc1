"""Signs under a rule that keeps them: per pair, or per source neuron (Dale's law)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError
from ..network import Connection, Population
from ..random import Purpose, philox

Signs = npt.NDArray[np.int8]


def dale_signs(source: Population, connections: list[Connection]) -> Signs:
    """The sign (1 or -1) of every neuron of a source population, ``[neuron]``, for its connections under Dale's law.

    Explicit weights decide the signs of their source neurons; the others are functions of (seed, population, neuron).

    Raises:
        InvalidValueError: explicit weights give one source neuron both signs.
    """
    words = philox(source.network.seed, Purpose.DALE, source.index, np.arange(source.size))[0]
    threshold = connections[0].connectivity.home_sign_threshold(source.size)
    signs = np.where(words < threshold, -1, 1).astype(np.int8)
    given = np.zeros(source.size, dtype=np.int8)
    for connection in connections:
        if not connection.connectivity.explicit_weights:
            continue
        synapses = connection.synapses
        for sign in (1, -1):
            mine = np.unique(synapses.pre[synapses.weight * sign > 0])
            if (given[mine] == -sign).any():
                neuron = int(mine[given[mine] == -sign][0])
                raise InvalidValueError(
                    f"explicit weights of connection {connection.name!r} break Dale's law: neuron {neuron} of "
                    f"{source.name!r} has positive and negative weights; allowed is one sign per source neuron"
                )
            given[mine] = sign
    return np.where(given != 0, given, signs).astype(np.int8)
