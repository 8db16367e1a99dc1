"""The passes over ragged synapses on an NVIDIA GPU, for arrays of whatever library computes there.

The same three operations as :mod:`genn_delays.ops`, by the kernels that train networks on backend ``cuda``, on arrays
that other libraries hold (PyTorch, CuPy, Numba, JAX): everything with ``__dlpack__`` or ``__cuda_array_interface__``.
They are queued on a stream of that library, in order with its own work. Nothing waits for the GPU and no activity is
copied to the host. Results and scratch memory come from that library's allocator too.

Example, with CuPy::

    stream = cupy.cuda.get_current_stream()
    queue = Queue(lambda shape: cupy.empty(shape, cupy.float32), device=0, stream=stream.ptr)
    synapses = DeviceTopology(topology, queue)             # a genn_delays.ops.Topology, copied there once
    x = DeviceActivity(spikes, queue)                      # [40, time, batch], with any strides
    current = gather(synapses, x, weight)                  # [256, time, batch]
    dx = backgather(synapses, g, weight)
    dw = correlate(synapses, x, g, weight).weight

Numbers that may not be (an activity or a weight that is infinite or NaN, a position out of range) are found by the GPU
and raised as an error by the first call, or by :meth:`Queue.check`, that comes after it has found them. Sums over the
synapses of a target have the bits of those on the host; the other results differ from theirs by rounding, as the GPU
rounds a product and a sum once. A batch takes the time and memory of the next multiple of 32.
"""

from .activity import DeviceActivity, DeviceGradient
from .passes import backgather, correlate, gather
from .queue import Queue
from .topology import DeviceTopology

__all__ = ["DeviceActivity", "DeviceGradient", "DeviceTopology", "Queue", "backgather", "correlate", "gather"]
