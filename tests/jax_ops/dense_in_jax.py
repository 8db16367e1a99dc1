"""The same synapses as a dense convolution over delays in jax.numpy, in double precision."""

import jax
import jax.numpy as jnp
import numpy as np


def double_precision():
    """A context in which JAX has float64."""
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()


def dense_convolution(topology, x, weight, position, kernel, width):
    """``[time, batch, in] -> [time, batch, out]`` by a kernel ``[lag, in, out]``; arrays are float64.

    A position is a lag where there is no delay kernel, and is spread over lags by the kernel's formula otherwise, a
    Gaussian over those within five widths.
    """
    lags = jnp.arange(topology.max_delay + 1.0)
    away = lags - position[:, None]
    if kernel is None:
        share = (jnp.abs(away) <= 0.5).astype(jnp.float64)
    elif kernel == "gaussian":
        share = jnp.exp(-0.5 * (away / width) ** 2) * (jnp.abs(away) <= 5 * width)
    else:
        share = jax.nn.relu(width - jnp.abs(away))
    share = share / share.sum(1, keepdims=True)
    dense = jnp.zeros((lags.size, topology.num_pre, topology.num_post))
    dense = dense.at[:, topology.pre, topology.post].add((weight[:, None] * share).T)
    steps = np.arange(x.shape[0]) + topology.max_delay - np.arange(lags.size)[:, None]
    padded = jnp.concatenate([jnp.zeros((topology.max_delay, *x.shape[1:])), x])
    return jnp.einsum("ltbi,lio->tbo", padded[steps], dense)
