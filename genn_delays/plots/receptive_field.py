"""A receptive field as a picture: inputs upwards, time to the right, excitation orange and inhibition blue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidValueError, check_real
from .style import as_axes, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap

_INHIBITION, _EXCITATION = ("#08306B", "#3F83BE", "#A9CCE6"), ("#FBC791", "#EE8A3A", "#C44E00")


def diverging() -> LinearSegmentedColormap:
    """The map of colours from inhibition through white, which is 0, to excitation.

    Colour-blind readers tell blue from orange. Blue is the darker one, so that a print without colours still tells
    signs of strong values.
    """
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("inhibition_excitation", [*_INHIBITION, "#FFFFFF", *_EXCITATION])


def receptive_field(
    field: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    dt: float = 1.0,
    unit: str = "time steps",
    label: str = "sum of signed weights",
    source: str = "input",
    limit: float | None = None,
    title: str | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw a spatio-temporal receptive field, with time as it passes: from left, longest ago, to right, just heard.

    Args:
        field: ``[input, delay]``, the delay being the index, as :func:`~genn_delays.analysis.receptive_fields` has it.
        ax: to draw into.
        dt: duration of a time step in the unit of time `unit`.
        label: of the values.
        source: name of the inputs.
        limit: value of the strongest colours; the largest of the field where not given. 0 is white always.
        title: above the picture.
        colorbar: beside it.

    Raises:
        InvalidValueError: the field is no array of finite numbers ``[input, delay]``.
    """
    values = numbers("field of a picture", field, 2)
    if not values.size or not np.isfinite(values).all():
        raise InvalidValueError("field of a picture must have finite numbers, one at least")
    dt = check_real("dt of a picture", dt, 0.0, open_low=True)
    largest = float(np.abs(values).max())
    limit = largest or 1.0 if limit is None else check_real("limit of a picture", limit, 0.0, open_low=True)
    ax = as_axes(ax, 5.4, 3.8)
    rows, columns = values.shape
    edges = (-(columns - 0.5) * dt, 0.5 * dt, -0.5, rows - 0.5)
    shown: Any = ax.imshow(
        values[:, ::-1], cmap=diverging(), vmin=-limit, vmax=limit, extent=edges, origin="lower", aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    ax.set(xlabel=f"time before the neuron hears it ({unit})", ylabel=source)
    if title:
        ax.set_title(title, fontsize=10)
    if colorbar:
        bar = ax.figure.colorbar(shown, ax=ax, pad=0.02)
        bar.set_label(f"{label}\nblue inhibits, orange excites", fontsize=9)
    return ax
