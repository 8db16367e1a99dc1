"""Floating point operations of sparse training beside dense training, as Evci et al. count them.

With f_S and f_D, what forward takes for an example in the sparse and in the dense network, and a backward pass that
takes twice as much (half for gradients of activity, half for gradients of weights)::

    dense                        3 f_D
    static, SET, DEEP R          3 f_S
    SNFS                         2 f_S + f_D        a dense gradient at every step
    RigL                         (3 f_S interval + 2 f_S + f_D) / (interval + 1)

DEEP R that grows by the gradient at every step takes what SNFS takes. Source: Evci, Gale, Menick, Castro & Elsen 2020
(arXiv 1911.11134), appendix H. There everything is in proportion to the synapses (f_S = (1 - sparsity) f_D); operations
of neurons, optimisers and the choice of synapses are not in it.
"""

from __future__ import annotations

from ..errors import check_choice, check_count, check_real

SPARSITIES = (0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
METHODS = ("dense", "static", "SET", "DEEP R", "DEEP R, by the gradient", "SNFS", "RigL")

QUOTED = {
    "RigL": (0.9, 1 / 4, "ResNet-50, sparsity by layer (ERK) such that forward takes 0.24 of the dense one"),
    "DEEP R": (0.9, 1 / 10, "operations in proportion to the synapses"),
}  # fmt: skip
"""Figures quoted by Mészáros, Knight & Nowotny 2024 (doi 10.3389/fncom.2024.1460309): sparsity, share of the operations
of
dense training, and the network."""


def training_share(method: str, sparsity: float, interval: int = 100) -> float:
    """Operations of training, as a share of dense training's.

    Args:
        method: one of :data:`METHODS`.
        sparsity: share of the pairs without a synapse, in [0, 1).
        interval: training steps of RigL from one rewiring to the next.

    Raises:
        InvalidValueError: another method, or a number out of its range.
    """
    check_choice("method", method, METHODS)
    sparsity = check_real("sparsity", sparsity, 0.0, 1.0, open_high=True)
    interval = check_count("interval", interval)
    sparse, dense = 1.0 - sparsity, 1.0
    steps = {
        "dense": 3 * dense,
        "static": 3 * sparse,
        "SET": 3 * sparse,
        "DEEP R": 3 * sparse,
        "DEEP R, by the gradient": 2 * sparse + dense,
        "SNFS": 2 * sparse + dense,
        "RigL": (3 * sparse * interval + 2 * sparse + dense) / (interval + 1),
    }
    return steps[method] / (3 * dense)
