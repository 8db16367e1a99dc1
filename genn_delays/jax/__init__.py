"""Sparse delayed synapses for JAX, on this library's generated kernels: ``pip install 'genn-delays[jax]'``.

- :func:`propagate`: the input currents of a layer, ``[time, batch, in] -> [time, batch, out]``, differentiable by
  spikes, by one weight a synapse and, where delays are learned, by one delay a synapse.
- :func:`synapses`: a topology and its first weights, drawn by a connectivity.
- :func:`rewire`: DEEP R or SET between two steps of training.

``docs/jax.md`` is the guide.
"""

from .installed import JaxMissingError
from .propagation import propagate
from .rewiring import Rewired, rewire, synapses

__all__ = ["JaxMissingError", "Rewired", "propagate", "rewire", "synapses"]
