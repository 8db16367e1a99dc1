"""The PyTorch layer on a GPU: equal to the one on the CPU, and its step beside the dense convolution over delays."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from part import HERE, PartError, SkippedError


class Kind(NamedTuple):
    """A layer, its batch, and whether its input is spikes alone."""

    kernel: str | None
    sigma: float
    batch: int
    spikes: bool


KINDS = (
    Kind(None, 0.0, 256, True), Kind(None, 0.0, 1, False), Kind("gaussian", 6.0, 33, True),
    Kind("gaussian", 0.23, 256, True), Kind("triangle", 3.0, 33, False),
)  # fmt: skip
SPARSITIES = [0.0, 0.875, 0.99]


def needs_gpu(backend: str) -> None:
    """A SkippedError that says what is missing."""
    if backend != "cuda":
        raise SkippedError("it needs a GPU; on the CPU the layer is measured by experiments/torch_layer/step_time.py")
    try:
        import torch
    except ImportError as error:
        raise SkippedError("PyTorch is not installed") from error
    if not torch.cuda.is_available():
        raise SkippedError(f"PyTorch {torch.__version__} sees no GPU: a CUDA build of it is needed")


def difference(kind: Kind, device: str, steps: int = 80) -> dict[str, Any]:
    """The layer there and on the CPU: whether the output has the same bits, and the differences of gradients, of the
    largest each."""
    import torch

    from genn_delays import UniformInt
    from genn_delays.torch import SparseDelayed

    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(steps, kind.batch, 40, generator=generator) < 0.05).float()
    if not kind.spikes:
        x = torch.randn(x.shape, generator=generator)
    gradient = torch.randn(steps, kind.batch, 64, generator=generator)
    found = []
    for place in ("cpu", device):
        layer = SparseDelayed(40, 64, 0.875, UniformInt(0, 24), delay_kernel=kind.kernel, kernel_count=2, seed=0)
        if kind.kernel is not None:
            layer.sigma = kind.sigma
        layer, own = layer.to(place), x.to(place).requires_grad_()
        y = layer(own)
        y.backward(gradient.to(place))
        gradients = {"input": own.grad, **{name: p.grad for name, p in layer.named_parameters()}}
        found.append((y.detach().cpu(), {name: g.cpu() for name, g in gradients.items()}))
    (one, expected), (other, gradients) = found
    largest = {
        name: float((gradients[name] - exact).abs().max() / exact.abs().max()) for name, exact in expected.items()
    }
    return {"equal": bool(torch.equal(one, other)), "gradients": largest}


def check(found: dict[str, Any], kind: Kind) -> None:
    """Raise an error unless a layer is that of the CPU."""
    if not found["equal"] or not all(d < 1e-5 for d in found["gradients"].values()):
        raise PartError(f"{kind} is not the layer of the CPU: {found}")


def step_times(size: tuple[int, int], kernel: str | None, device: str, repeats: int) -> dict[str, float]:
    """Milliseconds of a training step by sparsity, and of the dense convolution."""
    sys.path.append(str(HERE.parent / "torch_layer"))
    from step_time import measure

    found = measure(*size, kernel, SPARSITIES, repeats, device)["median"]
    return {f"{name} ms": 1e3 * value for name, value in found.items()}
