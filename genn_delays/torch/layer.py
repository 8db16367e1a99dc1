"""A layer of sparse synapses, each with a weight and a delay, as an ordinary PyTorch module."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..connectivity import Synapses
from ..connectivity.connectivity import Connectivity
from ..delays import DelayKernel
from ..errors import InvalidValueError, check_count, check_real, check_switch, shown
from ..learning.schedules import Progress
from ..network import Connection, Network, Population
from ..neurons import Input, LeakyIntegrate
from ..ops import Topology
from ..ops.library import threads_of
from ..rewiring.signs import dale_signs
from .function import Call, Recent, delayed
from .loading import other_kind
from .making import check_made, connectivity_of, exact_sparsity
from .mark import Seen, check_mark, check_marked_state, mark_of
from .numbers import KeepsNumbers
from .penalty import Penalised
from .places import DTYPES, Place, place_of

MAX_SEED = (1 << 63) - 1
MOST_PLACES = 4
"""That a layer keeps its synapses on: streams of GPUs."""
_TOPOLOGY = ("pre", "post", "delay")


class SparseDelayed(Penalised, KeepsNumbers):
    """Sparse synapses with a delay each: ``y[t, b, i] = sum_k w_k x[t - d_k, b, pre_k]`` over the synapses k onto i.

    The whole sequence is given at once; what comes before it is zero. Parameters are one number a synapse and there is
    no array of size in x out. Input of zeros and ones is passed over as lists of spikes. It computes on the CPU, or on
    CUDA after ``.to("cuda")``, queued on PyTorch's current stream. See ``docs/torch.md``.

    Args:
        in_features, out_features: number of source and of target neurons.
        sparsity: share of the pairs without a synapse, in [0, 1).
        delay: time steps: a whole number or a delay initialiser such as ``UniformInt(0, 24)``.
        weight: a number, an initialiser or its name.
        delay_kernel: ``"gaussian"``, ``"triangle"`` or a :class:`~genn_delays.GaussianKernel`: in training every
            synapse is spread over the lags around its delay, which is real-valued and learned (DCLS). Evaluation uses
            the rounded delay.
        learn_delay: whether delays are a parameter; by default they are where there is a `delay_kernel`. Without one
            their gradient is the difference between the neighbouring steps.
        max_delay: delays stay within [0, max_delay] (time steps); the largest of `delay` where not given.
        kernel_count: synapses of every connected pair.
        connectivity: any other connectivity in place of `sparsity`, `delay`, `weight` and `kernel_count`, such as
            ``Sparse(pre, post, weight, delay)`` with given synapses.
        dale: Dale's law: weights begin with the sign of their source neuron, and rules with ``dale=True`` keep it.
        bias: whether a learned constant is added for every target.
        batch_first: tensors are ``[batch, time, feature]`` in place of ``[time, batch, feature]``.
        seed: of connectivity, weights and delays, and of what rewiring draws; one of PyTorch's generator where not
            given, so that ``torch.manual_seed`` decides.
        threads: to compute on; ``torch.get_num_threads()`` where not given. Results do not depend on it. On CUDA it has
            no meaning.
        others: none; an unknown name is an error that offers the nearest one.

    Attributes:
        weight: parameter ``[synapse]``.
        delay: parameter ``[synapse]``, the real-valued delays in time steps; None where they are whole and fixed.
        bias: parameter ``[out_features]`` or None.
        topology: ends and delays of the synapses, sorted by (post, pre); weight k is that of its synapse k.
        steps: how often :func:`~genn_delays.torch.rewire` was called.
        l1: the L1 penalty of the optimiser's next step: ``l1 sign(w)`` is added to the gradient of the weights.
            `rewire` sets it to that of its rule and the step sets it back to 0; to be set at will.
        mark: buffer, a checksum of the synapses, by which averages over layers of different synapses are noticed.

    Raises:
        InvalidValueError: an argument, or later an input tensor, is not allowed.
    """

    mark: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        sparsity: float | None = None,
        delay: Any = None,
        *,
        weight: Any = None,
        delay_kernel: str | DelayKernel | None = None,
        learn_delay: bool | None = None,
        max_delay: int | None = None,
        kernel_count: int | None = None,
        connectivity: Connectivity | None = None,
        dale: bool = False,
        bias: bool = False,
        batch_first: bool = False,
        seed: int | None = None,
        threads: int | None = None,
        **others: Any,
    ) -> None:
        super().__init__()
        check_made(type(self).__init__, others)
        self.in_features = check_count("in_features", in_features)
        self.out_features = check_count("out_features", out_features)
        if sparsity is not None and connectivity is None:
            sparsity = exact_sparsity(sparsity, self.in_features, self.out_features)
        given = {"sparsity": sparsity, "delay": delay, "weight": weight, "kernel_count": kernel_count}
        self.connectivity = connectivity_of({k: v for k, v in given.items() if v is not None}, connectivity)
        self.dale, self.batch_first = check_switch("dale", dale), check_switch("batch_first", batch_first)
        drawn = int(torch.randint(0, MAX_SEED, (), device="cpu").item()) if seed is None else seed
        self.seed = check_count("seed", drawn, 0, MAX_SEED)
        self.threads = None if threads is None else threads_of(threads)
        self.steps = 0
        described = self.describe(max_delay, delay_kernel)
        self.max_delay, self.delay_kernel = described.max_delay_steps, described.delay_kernel
        learn = self.delay_kernel is not None if learn_delay is None else check_switch("learn_delay", learn_delay)
        self._sigma = 0.0
        if self.delay_kernel is not None:
            self._sigma = self.delay_kernel.width(self.max_delay, Progress(0, 1, 0, 1)) - self.delay_kernel.offset
        synapses = described.draw()
        values = synapses.weight
        if self.dale:
            values = np.copysign(values, self.source_signs()[synapses.pre])
        self._set(synapses.pre, synapses.post, synapses.delay)
        self.weight = nn.Parameter(torch.from_numpy(values.astype(np.float32)))
        self.register_parameter("delay", None)
        if learn or self.delay_kernel is not None:
            position = torch.from_numpy(synapses.delay.astype(np.float32))
            self.delay = nn.Parameter(position, requires_grad=learn)
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_features)) if check_switch("bias", bias) else None)
        self._recent: list[Recent] = []
        self._places: dict[Any, Place] = {}
        self._negative = torch.signbit(self.weight.detach())

    def describe(
        self, max_delay: int | None = None, delay_kernel: Any = None, *, seed: int | None = None
    ) -> Connection:
        """The layer as a connection of a network of its seed, from which its first synapses and homes are drawn."""
        network = Network(self.seed if seed is None else seed)
        source = Population(Input(), self.in_features, name="input", network=network)
        target = Population(LeakyIntegrate(readout="sum_var"), self.out_features, name="output", network=network)
        self.connectivity.check_trainable("SparseDelayed")
        return Connection(source, target, self.connectivity, "delta", "SparseDelayed", max_delay, delay_kernel)

    # as connections of networks read, where layers and those are rewired alike
    kind, maker, index = "layer", "SparseDelayed", 0

    @property
    def named(self) -> str:
        """Its name in errors."""
        return f"SparseDelayed({self.in_features}, {self.out_features})"

    @property
    def training_seed(self) -> int:
        """The seed of what is drawn while training."""
        return self.seed

    def source_signs(self) -> npt.NDArray[np.int8]:
        """Under Dale's law the sign of every source neuron, 1 or -1."""
        return self._signs(self.seed)

    def _signs(self, seed: int) -> npt.NDArray[np.int8]:
        described = self.describe(seed=seed)
        return dale_signs(described.source, [described])

    def _set(self, pre: Any, post: Any, delay: Any) -> None:
        """Other synapses, as many as before."""
        self.topology = self._topology(pre, post, delay)
        self._recent = []
        self._marked = mark_of(self.topology)
        mark: Any = torch.tensor(self._marked, dtype=torch.float64, device="cpu")
        if "mark" in self._buffers:
            self.mark.copy_(mark)
        else:  # it says to which synapses parameters belong, and is copied and averaged along with them
            self.register_buffer("mark", mark, persistent=False)
        self._mark_seen: Seen | None = None

    def _check_mark(self) -> None:
        """Raise an error if parameters were mixed with those of other synapses."""
        self._mark_seen = check_mark(self.maker, self.mark, self._marked, self._mark_seen)

    def _topology(self, pre: Any, post: Any, delay: Any) -> Topology:
        return Topology(
            pre, post, delay, num_pre=self.in_features, num_post=self.out_features, max_delay=self.max_delay
        )

    # --- computing ---------------------------------------------------------------------------------------------------

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Any) -> Any:
        """The input currents of the targets, of the same layout; see the class."""
        self._check(x)
        self._check_mark()
        self._keep_delays_in_range()
        if self._recent:  # of the step before
            self._recent = []
        if self.training:
            self._negative = torch.signbit(self.weight.detach())
        if self.training and torch.is_grad_enabled():
            self._remember()
        if x.numel() == 0:  # no examples; the gradients are zero
            y = torch.zeros((*x.shape[:2], self.out_features), dtype=self.weight.dtype, device=x.device)
            return y + 0 * (x.sum() + sum(p.sum() for p in self.parameters()))
        spread = self.training and self.delay_kernel is not None
        call = Call(
            self._place(),
            self.topology,
            self.delay_kernel if spread else None,
            self.width if spread else None,
            self._recent if self.training else None,
        )
        try:
            y = delayed(self.weight.device.type).apply(
                x.transpose(0, 1) if self.batch_first else x, self.weight, self.delay, call
            )
        except InvalidValueError as error:
            raise InvalidValueError(f"SparseDelayed: {error}") from error
        if self.bias is not None:
            y = y + self.bias
        return y.transpose(0, 1) if self.batch_first else y

    def _keep_delays_in_range(self) -> None:
        """Delays that the optimiser moved out of [0, max_delay] go back to its ends, as in DCLS."""
        if self.delay is None:
            return
        # unasked, as to ask a GPU is to wait for it; past autograd's watch, as a second forward pass changes nothing
        self.delay.data.clamp_(0.0, float(self.max_delay))

    def _place(self) -> Place:
        """The place to compute on, the one that was used before if there is one."""
        found = place_of(self.weight.device, self.threads)
        place = self._places.pop(found.key, found)
        self._places[found.key] = place  # the most recently used goes to the end (LRU)
        if len(self._places) > MOST_PLACES:
            del self._places[next(iter(self._places))]
        return place

    def check_passes(self) -> None:
        """Wait for the GPU that the layer is on, and raise an error if a pass there met a number that may not be.

        On the CPU every pass looks before it computes.

        Raises:
            InvalidValueError: an activity or a weight was not finite.
        """
        try:
            self._place().check()
        except InvalidValueError as error:
            raise InvalidValueError(f"SparseDelayed: {error}") from error

    def _check(self, x: Any) -> None:
        """Raise an error unless the layer can compute on this tensor."""
        axes = "batch, time" if self.batch_first else "time, batch"
        shape = f"[{axes}, {self.in_features}]"
        if not isinstance(x, torch.Tensor):
            raise InvalidValueError(f"SparseDelayed input must be a tensor {shape}, got a {type(x).__name__}")
        if torch.compiler.is_compiling():  # never by torch.compile, which goes around the layer
            raise InvalidValueError(
                "SparseDelayed cannot be exported by PyTorch, whose operations do not express it; genn_delays.export "
                "writes described networks as NIR graphs"
            )
        if x.layout is not torch.strided:
            raise InvalidValueError(
                f"SparseDelayed takes dense tensors, got one of layout {x.layout}: call .to_dense()"
            )
        if x.device != self.weight.device:
            raise InvalidValueError(
                f"SparseDelayed input must be on {self.weight.device} like the layer's weights, got one on {x.device}; "
                f'call .to("{self.weight.device}") on it, or move the layer'
            )
        cast = torch.is_autocast_enabled(x.device.type) and x.is_floating_point() and x.dtype != torch.float64
        if x.dtype != self.weight.dtype and not cast:
            other = " (or .double() on the layer, which is slow)" if x.dtype == torch.float64 else ""
            raise InvalidValueError(
                f"SparseDelayed input must be {self.weight.dtype} like the layer's weights, got {x.dtype}; "
                f"call .to({self.weight.dtype}) on it{other}"
            )
        if x.ndim != 3 or x.shape[2] != self.in_features:
            raise InvalidValueError(f"SparseDelayed input must have shape {shape}, got {tuple(x.shape)}")
        if x.shape[1 if self.batch_first else 0] == 0:
            raise InvalidValueError(
                f"SparseDelayed input must have at least one time step, got {shape} = {tuple(x.shape)}"
            )

    # --- the delay kernel --------------------------------------------------------------------------------------------

    @property
    def sigma(self) -> float | None:
        """The width of the delay kernel in time steps, above 0, to be set at will; None without a kernel."""
        return None if self.delay_kernel is None else self._sigma

    @sigma.setter
    def sigma(self, value: float) -> None:
        if self.delay_kernel is None:
            raise InvalidValueError(f"sigma {shown(value)}: this SparseDelayed has no delay_kernel")
        self._sigma = check_real("sigma", value, 0.0, open_low=True)

    @property
    def width(self) -> float | None:
        """The same with the kernel's offset, as the passes take it."""
        return None if self.delay_kernel is None else self._sigma + self.delay_kernel.offset

    # --- reading, moving, saving -------------------------------------------------------------------------------------

    def synapses(self) -> Synapses:
        """Copies of all synapses, sorted by (post, pre): ends, rounded delays and weights."""
        self._check_mark()
        delay = self.topology.delay.copy()
        if self.delay is not None:
            delay = np.rint(on_host(self.delay.clamp(0, self.max_delay))).astype(np.uint16)
        weight = on_host(self.weight).astype(np.float32)
        return Synapses(self.topology.pre.copy(), self.topology.post.copy(), delay, weight)

    def extra_repr(self) -> str:
        pairs = self.in_features * self.out_features * self.connectivity.synapses_per_pair()
        parts = [f"in_features={self.in_features}", f"out_features={self.out_features}"]
        share = self.topology.size / pairs
        digits = 6 + max(0, int(-math.log10(share)))  # never rounded to 1
        parts += [f"synapses={self.topology.size}", f"sparsity={1 - share:.{digits}g}"]
        parts += [f"max_delay={self.max_delay}", f"learn_delay={self.delay is not None and self.delay.requires_grad}"]
        if self.delay_kernel is not None:
            parts.append(f"delay_kernel={self.delay_kernel.registered_name}, sigma={self._sigma:g}")
        return ", ".join([*parts, f"bias={self.bias is not None}", f"batch_first={self.batch_first}"])

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        moved = fn(torch.empty(0, dtype=self.weight.dtype, device=self.weight.device))
        if moved.dtype not in DTYPES.get(moved.device.type, ()):
            raise InvalidValueError(
                "SparseDelayed computes on the CPU or on CUDA in torch.float32 (on the CPU in torch.float64 too, by "
                f"NumPy, slowly, for gradcheck), got {moved.dtype} on {moved.device}; leave the layer where it is and "
                "move its input and output. Modules of the model that come before it are converted already: "
                f'model.to("{self.weight.device}", {self.weight.dtype}) takes them back'
            )
        place_of(moved.device, self.threads)  # an error now where something is missing
        self._recent, self._places, self._mark_seen = [], {}, None
        super()._apply(fn, recurse)
        self.mark, self._negative = self.mark.double(), self._negative.to(self.weight.device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": [], "_places": {}, "_mark_seen": None, "_before_step": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.l1 = self._l1  # a copy waits for its own optimiser

    def _numbers(self) -> dict[str, Any]:
        """The contents of a state besides parameters, as tensors."""
        arrays = (getattr(self.topology, name) for name in _TOPOLOGY)
        found = {f"topology.{n}": torch.from_numpy(a.astype(np.int32)) for n, a in zip(_TOPOLOGY, arrays, strict=True)}
        found |= {"seed": torch.tensor(self.seed), "steps": torch.tensor(self.steps)}
        found |= {"l1": torch.tensor(self._l1, dtype=torch.float64), "mark": self.mark}
        return found if self.delay_kernel is None else found | {"sigma": torch.tensor(self._sigma, dtype=torch.float64)}

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any, unexpected_keys: Any,
        error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Parameters as every module loads them, then the synapses that they belong to."""
        found, rest = self._parted(state_dict, prefix, strict, missing_keys)
        complete, before = len(found) == len(self._numbers()), len(error_msgs)
        present = {key[len(prefix) :] for key in state_dict if key.startswith(prefix)}
        if wrong := other_kind(present, {*self._numbers(), *(n for n, _ in self.named_parameters())} - {"bias"}):
            error_msgs.append(f"{prefix.rstrip('.') or 'SparseDelayed'}: {wrong}")
            return
        if complete:  # parameters belong to synapses: all of them are loaded, or none
            try:
                self._check_loaded(found, state_dict.get(prefix + "weight"))
            except InvalidValueError as error:
                error_msgs.append(f"{prefix or 'SparseDelayed: '}{error}")
                return
        super()._load_from_state_dict(
            rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )  # fmt: skip
        if not complete or len(error_msgs) > before:
            return
        self._set(*(found[f"topology.{name}"].cpu().numpy() for name in _TOPOLOGY))
        self.seed, self.steps, self.l1 = int(found["seed"]), int(found["steps"]), float(found["l1"])
        if self.delay_kernel is not None:
            self.sigma = float(found["sigma"])
        self._negative = torch.signbit(self.weight.detach())

    def _check_loaded(self, found: dict[str, Any], weight: Any) -> None:
        """Raise an error if loaded synapses do not fit this layer."""
        arrays = [found[f"topology.{name}"].cpu().numpy() for name in _TOPOLOGY]
        if arrays[0].size != self.topology.size:
            raise InvalidValueError(
                f"topology.pre has {arrays[0].size} synapses, this layer {self.topology.size}; make it with the same "
                "arguments, its sparsity among them"
            )
        if (longest := int(arrays[2].max(initial=0))) > self.max_delay:
            raise InvalidValueError(
                f"topology.delay has delays up to {longest}, this layer up to {self.max_delay}; make it with "
                f"max_delay={longest}"
            )
        topology = self._topology(*arrays)
        check_marked_state(found["mark"], topology)
        if self.dale and isinstance(weight, torch.Tensor) and weight.shape == self.weight.shape:
            signs = self._signs(int(found["seed"]))[topology.pre]
            wrong = int((weight.detach().cpu().numpy() * signs < 0).sum())
            if wrong:
                raise InvalidValueError(
                    f"{wrong} of {weight.numel()} weights have not the sign of their source neuron, as dale=True asks"
                )


def on_host(tensor: Any) -> npt.NDArray[Any]:
    """A tensor's numbers: its own memory on the CPU, a copy of what a GPU holds."""
    found: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return found


def layers_of(module: Any) -> list[SparseDelayed]:
    """All such layers of a module, itself included.

    Raises:
        InvalidValueError: there is none.
    """
    found = [m for m in module.modules() if isinstance(m, SparseDelayed)] if isinstance(module, nn.Module) else []
    if not found:
        raise InvalidValueError(f"a SparseDelayed layer, or a module with such layers, is needed, got {shown(module)}")
    return found


def shrink(module: Any, epoch: int, num_epochs: int) -> None:
    """Set the width of every delay kernel of a module to that of an epoch: its own schedule, as compilers follow it.

    Args:
        module: a :class:`SparseDelayed` layer or a module with such layers.
        epoch: from 0 to `num_epochs` - 1.
        num_epochs: of the whole training.
    """
    total = check_count("num_epochs", num_epochs)
    progress = Progress(check_count("epoch", epoch, 0, total - 1), total, 0, 1)
    for layer in layers_of(module):
        if layer.delay_kernel is not None:
            layer.sigma = layer.delay_kernel.width(layer.max_delay, progress) - layer.delay_kernel.offset
