"""All synapses of a simulation in NumPy: the definition of what every backend keeps of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...plan.simulation import F64, Places


class ReferenceWiring:
    """See :class:`~genn_delays.plan.simulation.Wiring`.

    Attributes:
        synapses: by connection.
        weight: by connection the weights as whole numbers, int32 ``[synapse]``, once they are rounded.
    """

    def __init__(self, places: Places) -> None:
        network = places.network
        self.places, self.synapses = places, [c.draw() for c in network.connections]
        self.sources = [places.first[c.source.index] + s.pre for c, s in zip(network.connections, self.synapses,
                                                                             strict=True)]  # fmt: skip
        self.largest = np.array([np.abs(s.weight).max(initial=0.0) for s in self.synapses], np.float32)
        self.weight: list[npt.NDArray[np.int32]] = []

    def _column(self, number: int) -> npt.NDArray[np.int64]:
        return self.places.column[number] + self.synapses[number].post.astype(np.int64)

    def sums(self, scale: F64) -> tuple[F64, npt.NDArray[np.int64]]:
        total, count = np.zeros(scale.size), np.zeros(scale.size, np.int64)
        for number, s in enumerate(self.synapses):
            column = self._column(number)
            units = np.ceil(np.abs(s.weight.astype(np.float64)) * scale[column])
            total += np.bincount(column, units, scale.size)
            count += np.bincount(column, minlength=scale.size)
        return total, count

    def round(self, scale: F64) -> None:
        for number, s in enumerate(self.synapses):
            scaled = s.weight.astype(np.float64) * scale[self._column(number)]
            self.weight.append(np.rint(scaled).astype(np.int32))

    def checksum(self) -> int:
        sum_ = np.uint64(0)
        with np.errstate(over="ignore"):  # modulo 2^64
            for number, (s, source) in enumerate(zip(self.synapses, self.sources, strict=True)):
                offset = s.delay.astype(np.int64) * self.places.columns + self._column(number)
                x = (source + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
                x ^= offset.astype(np.uint64) << np.uint64(32) | self.weight[number].view(np.uint32)
                x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
                x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
                sum_ += (x ^ x >> np.uint64(31)).sum(dtype=np.uint64)
        return int(sum_)
