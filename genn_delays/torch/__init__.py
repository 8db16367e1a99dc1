"""Sparse delayed synapses for PyTorch, on this library's generated kernels: ``pip install 'genn-delays[torch]'``.

- :class:`SparseDelayed`: an ordinary ``nn.Module``, ``[time, batch, in] -> [time, batch, out]``, whose parameters are
  one weight, and where delays are learned one delay, a synapse.
- :func:`rewire`: DEEP R, RigL or SET on such layers, after ``optimizer.step()``.
- :class:`Adam`: counts the steps of every synapse, for layers that are rewired.
- :func:`shrink`: narrows delay kernels from epoch to epoch.
- :func:`as_module`: a whole described network as one module.

Layers compute on the CPU or on CUDA, where they and their input lie. ``docs/torch.md`` is the guide.
"""

from .installed import TorchMissingError
from .layer import SparseDelayed, shrink
from .network import NetworkModule, as_module
from .optimiser import Adam
from .rewiring import rewire

__all__ = ["Adam", "NetworkModule", "SparseDelayed", "TorchMissingError", "as_module", "rewire", "shrink"]
