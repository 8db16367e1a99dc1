"""The synapses of a connection: which pairs, with which delay and which sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_count, shown
from .style import as_axes, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def connectivity(
    synapses: Any,
    ax: Axes | None = None,
    *,
    num_pre: int | None = None,
    num_post: int | None = None,
    most_marks: int = 20_000,
) -> Axes:
    """A mark for every synapse, source neurons from left to right and target neurons from below.

    Its colour, dark to bright, is its delay (time steps); a synapse of a positive weight points up, one of a negative
    weight down. Where there are many the number of synapses is drawn in their place, of small fields of pairs.

    Args:
        synapses: with `pre`, `post`, `delay` and `weight` ``[synapse]``: ``connection.synapses`` or
            ``compiled.synapses(connection)``.
        ax: where to draw; a new figure where not given.
        num_pre, num_post: sizes of the populations; up to the last neurons with a synapse where not given.
        most_marks: connections of more synapses are drawn as their numbers.

    Raises:
        InvalidValueError: these are no synapses, or neurons are beyond the sizes.
    """
    pre, post, delay, weight = _columns(synapses)
    sizes = []
    for name, neurons, size in (("num_pre", pre, num_pre), ("num_post", post, num_post)):
        most = int(neurons.max(initial=-1)) + 1
        sizes.append(max(most, 1) if size is None else check_count(name, size, max(most, 1)))
    ax = as_axes(ax, 6.0, 4.6)
    if pre.size > check_count("most_marks", most_marks, 0):
        fields = [min(size, 200) for size in sizes]
        counts, _, _ = np.histogram2d(pre, post, bins=fields, range=[(-0.5, size - 0.5) for size in sizes])
        edges = (-0.5, sizes[0] - 0.5, -0.5, sizes[1] - 0.5)
        drawn: Any = ax.imshow(counts.T, origin="lower", aspect="auto", cmap="cividis", extent=edges)
        ax.figure.colorbar(drawn, ax=ax, label="synapses")
    else:
        area = float(np.clip(1.2e4 / max(pre.size, 1), 4.0, 60.0))
        drawn = None
        for shape, chosen, name in (("^", weight >= 0, "positive weight"), ("v", weight < 0, "negative weight")):
            if chosen.any():
                drawn = ax.scatter(
                    pre[chosen], post[chosen], area, delay[chosen], marker=shape, cmap="cividis", linewidths=0,
                    label=name, vmin=float(delay.min()), vmax=float(delay.max()),
                )  # fmt: skip
        if drawn is not None:
            ax.figure.colorbar(drawn, ax=ax, label="delay (time steps)")
            ax.legend(
                fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, markerscale=2.0
            )
    ax.set(
        xlabel="source neuron", ylabel="target neuron", xlim=(-0.5, sizes[0] - 0.5), ylim=(-0.5, sizes[1] - 0.5)
    )  # fmt: skip
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _columns(synapses: Any) -> list[npt.NDArray[Any]]:
    """Sources, targets, delays and weights of synapses, checked."""
    names = ("pre", "post", "delay", "weight")
    try:
        given = [getattr(synapses, name) for name in names]
    except AttributeError as error:
        raise InvalidValueError(f"synapses must have pre, post, delay and weight, got {shown(synapses)}") from error
    columns = [numbers(f"{name} of synapses", values, 1) for name, values in zip(names, given, strict=True)]
    if len({values.size for values in columns}) > 1:
        raise InvalidValueError(f"pre, post, delay and weight differ in length: {[len(values) for values in columns]}")
    return columns
