"""A data set out of one ``.npz`` file, as ``numpy.savez`` writes it.

The keys of such a file are described in ``docs/data.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, GennDelaysError, unknown
from .archives import file_digest
from .dataset import Dataset, Events, Examples
from .members import is_zip
from .own import OwnData, existing
from .sources import shown

Arrays = dict[str, npt.NDArray[Any]]

_PARTS = ("_train", "_test")
_DENSE, _SPIKES = ("x", "y"), ("times", "neurons", "starts", "y")
_FORMS = {
    "dense, with a test part": tuple(f"{name}{part}" for part in _PARTS for name in _DENSE),
    "dense, to be split": _DENSE,
    "spikes, with a test part": (*(f"{name}{part}" for part in _PARTS for name in _SPIKES), "num_neurons"),
    "spikes, to be split": (*_SPIKES, "num_neurons"),
}
_CELLS = 1 << 20  # of which a temporary array is made at once


def load_npz(path: str | PathLike[str], own: OwnData | None = None) -> Dataset:
    """The data set in an ``.npz`` file; its keys are described in ``docs/data.md``.

    Args:
        path: the file.
        own: how it is split, and what a model asks of it.

    Returns:
        Dense data or spikes, split as the file or `own` says.

    Raises:
        DatasetError: there is no such file, it is damaged, or an array is missing, unknown, empty, of the wrong type or
            shape, not finite or out of range. The message names the file and the array.
        InvalidValueError: `own` asks for a split of data that have a test part.

    Example:
        >>> np.savez("my.npz", x=np.random.rand(20, 30, 8), y=np.arange(20) % 2)  # doctest: +SKIP
        >>> load_npz("my.npz")  # doctest: +SKIP
        Dataset('/home/me/my.npz', dense: 16 training and 4 test examples of 8 inputs x 30 time steps, 2 classes)
    """
    path, own = existing(path), own or OwnData()
    digest = file_digest(path, "sha256")
    own.check_content(path, digest)
    arrays = _arrays(path)
    together = "y" in arrays
    labels: list[npt.NDArray[Any]]
    if not together:
        own.check_unsplit(path, "y_test")
    parts = ("",) if together else _PARTS
    if own.targets == "labels":
        labels = [_labels(path, f"y{part}", arrays) for part in parts]
        num_classes = _num_classes(path, arrays, parts, labels, own)
    else:
        labels = [_targets(path, f"y{part}", arrays, own) for part in parts]
        num_classes = labels[0].shape[-1]
        if labels[-1].shape[1:] != labels[0].shape[1:]:
            shapes = f"{labels[0].shape} and {labels[-1].shape}"
            raise DatasetError(f"{path}: y_train and y_test must have the same axes but the first, got {shapes}")
    keys = [f"{'starts' if 'num_neurons' in arrays else 'x'}{part}" for part in parts]
    if "num_neurons" in arrays:
        num_inputs, steps, x = _spikes(path, arrays, parts)
    else:
        num_inputs, steps, x = _dense(path, arrays, parts)
        if own.spike_dt is not None:
            steps, x = _as_spikes(path, parts, x, own.spike_dt)
    for part, key, inputs, y in zip(parts, keys, x, labels, strict=True):
        if len(inputs) != len(y):
            raise DatasetError(f"{path}: {key} has {len(inputs)} examples and y{part} {len(y)} labels")
    if together:
        (inputs,), (y,) = x, labels
        held = own.split(path, y if own.targets == "labels" else np.zeros(len(y), np.int64))
        x = [[inputs[i] for i in some] if isinstance(inputs, list) else inputs[some] for some in held]
        labels = [y[some] for some in held]
    return Dataset(
        name=str(path), citation="", licence="", num_inputs=num_inputs, num_classes=num_classes,
        example_timesteps=steps, x_train=x[0], y_train=labels[0], x_test=x[1], y_test=labels[1], sha256=digest,
    )  # fmt: skip


# --- the file --------------------------------------------------------------------------------------------------------


def _arrays(path: Path) -> Arrays:
    """The arrays of a file that has all keys of one form, and no others."""
    try:
        with path.open("rb") as file:
            if not is_zip(file):
                raise DatasetError(f"{path} is no .npz file, as numpy.savez(...) writes it: it is no zip archive")
            with np.load(file, allow_pickle=False) as entry:
                _check_keys(path, entry.files)
                broken = entry.zip.testzip()
                if broken is not None:
                    raise DatasetError(f"{path} is damaged: the checksum of {broken} is wrong")
                return {key: _array(path, entry, key) for key in entry.files}
    except GennDelaysError:
        raise
    except Exception as error:  # damage surfaces as any of a dozen errors of zipfile and NumPy
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path} cannot be read; is it damaged? ({reason})") from error


def _array(path: Path, entry: Any, key: str) -> npt.NDArray[Any]:
    try:
        array = entry[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DatasetError(
            f"{path}: {key} holds Python objects, which are never loaded, as rows of different lengths do; it must be "
            "an array of numbers (spikes of examples stand one after the other, with starts)"
        ) from error
    if not isinstance(array, np.ndarray):
        raise DatasetError(f"{path}: {key} is no array that numpy.savez wrote")
    return array


def _optional(form: Iterable[str]) -> list[str]:
    return ["num_classes", *(["example_ms"] if "num_neurons" in form else [])]


def _check_keys(path: Path, found: list[str]) -> None:
    """Raise an error if a file has not the keys of one form."""
    own = {name: sum(key in found for key in keys) / len(keys) for name, keys in _FORMS.items()}
    form = max(own, key=lambda name: own[name])  # the one of which the largest part is there
    keys = _FORMS[form]
    expected = "; or ".join(f"{', '.join(keys)} ({name})" for name, keys in _FORMS.items())
    if own[form] == 0:
        raise DatasetError(f"{path} has none of the keys of a data set; it has {shown(found)}; needed: {expected}")
    for key in found:
        if key not in keys and key not in _optional(keys):
            raise DatasetError(str(unknown(f"key of {path} ({form})", key, [*keys, *_optional(keys)])))
    missing = [key for key in keys if key not in found]
    if missing:
        raise DatasetError(
            f"{path} lacks {', '.join(missing)}; it has {', '.join(found)}; needed for {form}: {', '.join(keys)}"
        )


# --- arrays ----------------------------------------------------------------------------------------------------------


def _whole(path: Path, key: str, arrays: Arrays, low: int = 1) -> int:
    """A single whole number."""
    array = arrays[key]
    if array.size != 1 or array.dtype.kind not in "iu" or not low <= int(array.item()) < 1 << 31:
        got = array.item() if array.size == 1 else f"{array.dtype} of shape {array.shape}"
        raise DatasetError(f"{path}: {key} must be a whole number of at least {low}, got {got}")
    return int(array.item())


def _labels(path: Path, key: str, arrays: Arrays) -> npt.NDArray[np.int64]:
    y = arrays[key]
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: {key} must be whole numbers [example], the classes, got {y.dtype} of shape {y.shape}; real "
            "targets are for a loss such as 'mean_square_error'"
        )
    if not y.size:
        raise DatasetError(f"{path}: {key} is empty; at least one example is needed")
    _check_range(path, key, y, 0, 1 << 31, "a class, from 0")
    return y.astype(np.int64)


def _targets(path: Path, key: str, arrays: Arrays, own: OwnData) -> npt.NDArray[np.float32]:
    y, steps = arrays[key], own.example_timesteps or "time"
    axes = (own.num_classes or "neuron",) if own.targets == "example" else (steps, own.num_classes or "neuron")
    fits = y.ndim == 1 + len(axes) and all(
        axis in ("time", "neuron", n) for axis, n in zip(axes, y.shape[1:], strict=True)
    )
    if y.dtype.kind not in "fiu" or not fits:
        wanted = ", ".join(str(axis) for axis in ("example", *axes))
        raise DatasetError(
            f"{path}: {key} must be the real targets of the model's loss [{wanted}], got {y.dtype} of shape {y.shape}"
        )
    if "num_classes" in arrays:
        raise DatasetError(f"{path}: num_classes is of labels, and the model's loss compares with real values")
    if not y.size:
        raise DatasetError(f"{path}: {key} is empty; at least one example is needed")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(y, dtype=np.float32)
    finite = np.isfinite(found)
    if not finite.all():
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise DatasetError(f"{path}: {key}{list(at)} is {y[at]}; it must be finite in single precision")
    return found


def _num_classes(path: Path, arrays: Arrays, parts: Iterable[str], labels: list[npt.NDArray[Any]], own: OwnData) -> int:
    """The number of classes, that of the model if it says one."""
    most = max(int(y.max()) for y in labels) + 1
    number = _whole(path, "num_classes", arrays) if "num_classes" in arrays else most
    limit = min(number, own.num_classes or number)
    of = "num_classes of the file" if limit == number else "the model's output population"
    for part, y in zip(parts, labels, strict=True):
        _check_range(path, f"y{part}", y, 0, limit, f"{limit} classes by {of}")
    if own.num_classes not in (None, number):
        hint = f" (--set populations.NAME.size={number} gives it as many)"
        hint += "" if "num_classes" in arrays else "; if some classes do not occur, say num_classes in the file"
        raise DatasetError(
            f"{path} has {number} classes, labels y of 0 to {most - 1}; the model's output has {own.num_classes}{hint}"
        )
    return number


def _check_range(path: Path, key: str, values: npt.NDArray[Any], low: int, high: int, why: str) -> None:
    bad = (values < low) | (values >= high)
    if bad.any():
        at = int(np.argmax(bad))
        raise DatasetError(f"{path}: {key}[{at}] is {values[at]}; it must lie in [{low}, {high}) ({why})")


def _dense(path: Path, arrays: Arrays, parts: Iterable[str]) -> tuple[int, int, list[Examples]]:
    """Number of neurons, of time steps, and the inputs of every part."""
    found: list[npt.NDArray[np.float32]] = []
    for part in parts:
        key = f"x{part}"
        given = arrays.pop(key)  # so that it is freed when it has been converted
        if given.dtype.kind not in "fiub":
            raise DatasetError(f"{path}: {key} must be real numbers [example, time, neuron], got dtype {given.dtype}")
        if given.ndim != 3 or 0 in given.shape:
            fault = "is empty" if given.ndim == 3 else "has another number of axes"
            raise DatasetError(f"{path}: {key} must be [example, time, neuron]; it {fault}, its shape is {given.shape}")
        if found and given.shape[1:] != found[0].shape[1:]:
            raise DatasetError(
                f"{path}: x_train and x_test must have the same time steps and neurons, got {found[0].shape} and "
                f"{given.shape}"
            )
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(given, dtype=np.float32)
        many = max(1, _CELLS // math.prod(x.shape[1:]))
        for first in range(0, len(x), many):
            finite = np.isfinite(x[first : first + many])
            if not finite.all():
                example, step, neuron = (int(i) for i in np.argwhere(~finite)[0])
                raise DatasetError(
                    f"{path}: {key}[{first + example}, {step}, {neuron}] is {given[first + example, step, neuron]}; "
                    "it must be finite in single precision"
                )
        found.append(x)
    return found[0].shape[2], found[0].shape[1], [*found]


def _as_spikes(path: Path, parts: Iterable[str], x: list[Examples], dt: float) -> tuple[int, list[Examples]]:
    """Length of an example in ms, and dense arrays of 0 and 1 as spikes at the beginnings of time steps of `dt` ms."""
    found: list[Examples] = []
    last = 0.0
    for part, array in zip(parts, x, strict=True):
        examples = []
        for number, example in enumerate(array):
            bad = (example != 0) & (example != 1)
            if bad.any():
                step, neuron = (int(i) for i in np.argwhere(bad)[0])
                raise DatasetError(
                    f"{path}: x{part}[{number}, {step}, {neuron}] is {example[step, neuron]}; it must be 0 or 1, as "
                    "the model's input takes spikes (one that takes real values is 'input')"
                )
            steps, neurons = np.nonzero(example)
            examples.append(Events(steps * dt, neurons))
        found.append(examples)
        last = max(last, example.shape[0] * dt)
    return math.ceil(last - 1e-9 * last), found


def _spikes(path: Path, arrays: Arrays, parts: Iterable[str]) -> tuple[int, int, list[Examples]]:
    """Number of neurons, length of an example in ms, and the inputs of every part."""
    num_neurons = _whole(path, "num_neurons", arrays)
    limit = _whole(path, "example_ms", arrays) if "example_ms" in arrays else None
    found: list[Examples] = []
    last = 0.0
    for part in parts:
        times, neurons, starts = (arrays[f"{name}{part}"] for name in _SPIKES[:3])
        for key, array, kinds, what in (
            (f"times{part}", times, "fiu", "real numbers [spike], in ms"),
            (f"neurons{part}", neurons, "iu", "whole numbers [spike]"),
            (f"starts{part}", starts, "iu", "whole numbers [example + 1]"),
        ):
            if array.ndim != 1 or array.dtype.kind not in kinds:
                raise DatasetError(f"{path}: {key} must be {what}, got {array.dtype} of shape {array.shape}")
            if not array.size:
                raise DatasetError(f"{path}: {key} is empty; it must be {what}")
        if len(times) != len(neurons):
            raise DatasetError(f"{path}: times{part} has {len(times)} spikes and neurons{part} {len(neurons)}")
        _check_range(path, f"neurons{part}", neurons, 0, num_neurons, f"num_neurons is {num_neurons}")
        bad = ~((times >= 0) & (times < (limit or 1 << 31)))  # NaN, too
        if bad.any():
            at = int(np.argmax(bad))
            raise DatasetError(
                f"{path}: times{part}[{at}] is {times[at]}; it must lie in [0, {limit or 1 << 31}) ms"
                + (", as example_ms says" if limit else "")
            )
        found.append(_examples(path, part, times, neurons, starts))
        last = max(last, float(times.max()))
    return num_neurons, limit or math.floor(last) + 1, found


def _examples(
    path: Path, part: str, times: npt.NDArray[Any], neurons: npt.NDArray[Any], starts: npt.NDArray[Any]
) -> list[Events]:
    bounds = [int(start) for start in starts]
    fault = None
    if bounds[0] != 0:
        fault = f"begins with {bounds[0]}"
    elif bounds[-1] != len(times):
        fault = f"ends with {bounds[-1]}"
    for at, (first, end) in enumerate(pairwise(bounds)):
        if end < first:
            fault = f"falls from {first} to {end} at [{at + 1}]"
            break
    if fault:
        raise DatasetError(
            f"{path}: starts{part} must begin with 0, never fall, and end with {len(times)}, the number of spikes; it "
            f"{fault}"
        )
    return [Events(times[a:b], neurons[a:b]) for a, b in pairwise(bounds)]
