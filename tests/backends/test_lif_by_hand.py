"""The default neuron against its published formulas, written here once more, by hand, with plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from genn_delays import (
    Connection,
    FixedNumber,
    Input,
    LeakyIntegrate,
    LeakyIntegrateFire,
    Network,
    Normal,
    Population,
    SurrogateCompiler,
    UniformInt,
)

T, B, TAU, ALPHA = 25, 3, 8.0, 5.0


def described():
    network = Network(seed=3)
    with network:
        a = Population(Input(), 5, name="in")
        h = Population(LeakyIntegrateFire(tau_mem=TAU, v_thresh=0.7), 7, name="hidden")
        o = Population(LeakyIntegrate(tau_mem=TAU, readout="sum_var"), 3, name="out")
        Connection(a, h, FixedNumber(sparsity=0.4, weight=Normal(0.2, 0.4), delay=UniformInt(0, 6)))
        Connection(h, o, FixedNumber(sparsity=0.4, weight=Normal(0.0, 0.3), delay=UniformInt(0, 6)))
    return network


def delayed_sum(synapses, sent, size, t):
    """I_i[t] = sum_k w_k S_pre(k)[t - d_k]."""
    current = np.zeros((size, B))
    for j, i, d, w in zip(*synapses, strict=True):
        if t >= d:
            current[i] += w * sent[j, t - int(d)]
    return current


@pytest.mark.parametrize("detach", [True, False])
def test_forward_and_adjoint(detach, backend):
    network = described()
    first, second = (c.synapses for c in network.connections)
    random = np.random.default_rng(0)
    x, labels = random.random((B, T, 5)).astype(np.float32), np.array([0, 2, 1])
    a = 1 - 1 / TAU

    # u[t] = a u[t-1] (1 - S[t-1]) + I[t],  S[t] = u[t] >= v_thresh
    u, spikes, out = np.zeros((7, T, B)), np.zeros((7, T, B)), np.zeros((3, T, B))
    for t in range(T):
        u[:, t] = (a * u[:, t - 1] * (1 - spikes[:, t - 1]) if t else 0) + delayed_sum(
            first, x.transpose(2, 1, 0), 7, t
        )
        spikes[:, t] = u[:, t] >= 0.7
        out[:, t] = (a * out[:, t - 1] if t else 0) + delayed_sum(second, spikes, 3, t)
    z = out.sum(axis=1)
    q = np.exp(z) / np.exp(z).sum(axis=0)
    loss = -np.log(q[labels, range(B)]).mean()

    # lambda[t] = sigma'(u - v_thresh) (e[t] [- a u lambda[t+1]]) + a (1 - S) lambda[t+1]
    dz = (q - np.eye(3)[:, labels]) / B
    lam_out, lam = np.zeros((3, T + 1, B)), np.zeros((7, T + 1, B))
    for t in reversed(range(T)):
        lam_out[:, t] = dz + a * lam_out[:, t + 1]
    for t in reversed(range(T)):
        e = np.zeros((7, B))
        for j, i, d, w in zip(*second, strict=True):
            if t + d < T:
                e[j] += w * lam_out[i, t + int(d)]
        surrogate = (ALPHA / 2) / (1 + (np.pi * ALPHA * (u[:, t] - 0.7) / 2) ** 2)
        reset = 0 if detach else a * u[:, t] * lam[:, t + 1]
        lam[:, t] = surrogate * (e - reset) + a * (1 - spikes[:, t]) * lam[:, t + 1]

    def gradient(synapses, sent, adjoint):
        return np.array(
            [
                (sent[j, : T - d] * adjoint[i, d:T]).sum()
                for j, i, d in zip(*(s.tolist() for s in synapses[:3]), strict=True)
            ]
        )

    expected = [gradient(first, x.transpose(2, 1, 0), lam), gradient(second, spikes, lam_out)]
    with SurrogateCompiler(T, B, backend=backend, detach_reset=detach).compile(network) as compiled:
        found_loss, found = compiled.gradients({"in": x}, {"out": labels})
        np.testing.assert_array_equal(compiled.engine.spikes(1), spikes)
    assert 0.02 < spikes.mean() < 0.5
    assert found_loss == pytest.approx(loss, rel=1e-5)
    for mine, theirs in zip(expected, found.values(), strict=True):
        np.testing.assert_allclose(theirs, mine, atol=1e-5 * np.abs(mine).max())
