"""The passes over ragged synapses with delays as operations on NumPy arrays, for whoever binds another library.

A connection of synapses ``k`` from neuron ``pre[k]`` to ``post[k]``, each with a weight ``w_k`` and a delay ``d_k`` in
time steps, is three operations on activity that lies as ``[neuron, time, batch]``:

    gather      I[i, t] = sum_k w_k x[pre_k, t - d_k]     over the synapses of target i: the input current
    backgather  e[j, t] = sum_k w_k g[post_k, t + d_k]    over those of source j: dL/dx, with g = dL/dI
    correlate   dw_k    = sum_t x[pre_k, t - d_k] g[post_k, t]                     dL/dw, and dL/d(delay)

zero outside of ``0 .. T - 1``, and ``t`` standing for all lanes of the batch. Under a delay kernel (DCLS) a synapse is
spread over lags around its *position*, a real-valued delay; see :mod:`genn_delays.delays.kernels`. Cost and memory
follow the synapses. The code is generated from the templates of backend ``cpu``, by which networks are trained: sums
have the same order, and do not depend on the number of threads.

Numbers are float32. :mod:`genn_delays.ops.reference` defines the results with NumPy, in float32 or float64.
:mod:`genn_delays.ops.cuda` has the same on arrays of a GPU.

Example::

    topology = Topology(pre, post, delay, num_pre=40, num_post=256)
    x = Activity(spikes)                         # [40, time, batch]; rows of spikes are found
    current = gather(topology, x, weight)        # [256, time, batch]
    dx = backgather(topology, g, weight)         # g: [256, time, batch]
    dw = correlate(topology, x, g, weight).weight
"""

from .activity import Activity
from .arguments import Gradients
from .passes import backgather, correlate, gather
from .topology import Topology

__all__ = ["Activity", "Gradients", "Topology", "backgather", "correlate", "gather"]
