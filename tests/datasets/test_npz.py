"""Arrays of one's own as a data set, and every fault of such a file as one error that names it."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refused import refused

from genn_delays.datasets import Events, OwnData, load_dataset, load_digits, load_npz, stratified_split
from genn_delays.errors import DatasetError, InvalidValueError
from genn_delays.training.data import steps_of

draws = np.random.default_rng(0)
X, Y = draws.random((12, 5, 3)), np.arange(12) % 3


def dense(**changes: Any) -> dict[str, Any]:
    """The arrays of a file with a test part; None removes one."""
    return changed({"x_train": X, "y_train": Y, "x_test": X[:6], "y_test": Y[:6]}, changes)


def together(**changes: Any) -> dict[str, Any]:
    return changed({"x": X, "y": Y}, changes)


def spikes(**changes: Any) -> dict[str, Any]:
    """Four examples of 2, 0, 1 and 3 spikes."""
    times, neurons = np.array([0.0, 2.5, 7.9, 1.0, 1.0, 3.0]), np.array([0, 4, 1, 2, 3, 4])
    arrays = {"times": times, "neurons": neurons, "starts": np.array([0, 2, 2, 3, 6]), "y": np.array([0, 1, 0, 1])}
    return changed({**arrays, "num_neurons": 5}, changes)


def spikes_apart(**changes: Any) -> dict[str, Any]:
    whole = spikes()
    arrays = {f"{key}_{part}": whole[key] for part in ("train", "test") for key in ("times", "neurons", "starts", "y")}
    return changed({**arrays, "num_neurons": 5}, changes)


def changed(arrays: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: array for key, array in {**arrays, **changes}.items() if array is not None}


def with_value(array: np.ndarray, place: Any, value: Any) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


@pytest.fixture
def saved(tmp_path: Path):
    """Writes arrays and gives the path."""

    def save(arrays: dict[str, Any]) -> Path:
        np.savez(tmp_path / "my.npz", **arrays)
        return tmp_path / "my.npz"

    return save


# --- what is loaded --------------------------------------------------------------------------------------------------


def test_dense_with_a_test_part(saved) -> None:
    path = saved(dense())
    found = load_dataset(str(path))
    assert (found.name, found.kind, found.num_inputs, found.example_timesteps) == (str(path), "dense", 3, 5)
    assert found.num_classes == 3
    for array, expected in ((found.x_train, X), (found.x_test, X[:6])):
        np.testing.assert_array_equal(array, expected.astype(np.float32))
    np.testing.assert_array_equal(found.y_test, Y[:6])


@pytest.mark.parametrize("own", [OwnData(), OwnData(test_share=0.5), OwnData(split_seed=3)])
def test_dense_to_be_split(saved, own: OwnData) -> None:
    """The split is :func:`stratified_split`, a fifth with seed 0 where nothing else is asked for."""
    found = load_npz(saved(together()), own)
    train, test = stratified_split(Y, own.test_share or 0.2, own.split_seed or 0)
    np.testing.assert_array_equal(found.x_train, X[train].astype(np.float32))
    np.testing.assert_array_equal(found.x_test, X[test].astype(np.float32))
    np.testing.assert_array_equal(found.y_train, Y[train])
    np.testing.assert_array_equal(found.y_test, Y[test])


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int16, np.uint8, np.bool_, ">f4"])
def test_numbers_of_any_type(saved, kind: Any) -> None:
    x = (4 * X).astype(kind)
    np.testing.assert_array_equal(load_npz(saved(dense(x_train=x))).x_train, x.astype(np.float32))


def test_compressed_and_transposed(saved, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "small.npz", **dense(x_train=np.asfortranarray(X)))
    found = load_npz(tmp_path / "small.npz")
    np.testing.assert_array_equal(found.x_train, X.astype(np.float32))
    assert found.sha256 != load_npz(saved(dense())).sha256


def same(found: list[Events], expected: list[tuple[list[float], list[int]]]) -> bool:
    return [(times.tolist(), neurons.tolist()) for times, neurons in found] == expected


def test_spikes_with_a_test_part(saved) -> None:
    found = load_npz(saved(spikes_apart(starts_test=np.array([0, 6]), y_test=np.array([1]))))
    assert (found.kind, found.num_inputs, found.example_timesteps, found.num_classes) == ("spikes", 5, 8, 2)
    assert same(found.x_train, [([0.0, 2.5], [0, 4]), ([], []), ([7.9], [1]), ([1.0, 1.0, 3.0], [2, 3, 4])])
    assert same(found.x_test, [([0.0, 2.5, 7.9, 1.0, 1.0, 3.0], [0, 4, 1, 2, 3, 4])])


def test_spikes_to_be_split_are_those_of_the_data_set_by_name(saved) -> None:
    """The digits of scikit-learn, written as one's own: the same examples on both sides of the split."""
    expected = load_digits()
    from genn_delays.datasets.digits import _bundled, latency_code

    images, y = _bundled()
    x = latency_code(images)
    starts = np.cumsum([0, *(len(times) for times, _ in x)])
    arrays = {"times": np.concatenate([e.times for e in x]), "neurons": np.concatenate([e.neurons for e in x])}
    found = load_npz(saved({**arrays, "starts": starts, "y": y, "num_neurons": 64, "example_ms": 30}))
    assert (found.num_inputs, found.num_classes, found.example_timesteps) == (64, 10, 30)
    for part in ("train", "test"):
        np.testing.assert_array_equal(getattr(found, f"y_{part}"), getattr(expected, f"y_{part}"))
        for mine, theirs in zip(getattr(found, f"x_{part}"), getattr(expected, f"x_{part}"), strict=True):
            np.testing.assert_array_equal(mine.times, theirs.times)
            np.testing.assert_array_equal(mine.neurons, theirs.neurons)


@pytest.mark.parametrize(("dt", "length"), [(1.0, 5), (0.1, 1), (0.2, 1), (2.5, 13)])
def test_dense_spikes(saved, dt: float, length: int) -> None:
    """A step of the array is a step of the model, so that the API finds each spike in its own step again."""
    x = X > 0.6
    found = load_npz(saved(together(x=x)), OwnData(spike_dt=dt))
    assert (found.kind, found.example_timesteps) == ("spikes", length)
    train, _ = stratified_split(Y, 0.2, 0)
    for (times, neurons), i in zip(found.x_train, train, strict=True):
        again = np.zeros((5, 3), bool)
        again[steps_of(times, dt)[0], neurons] = True
        np.testing.assert_array_equal(again, x[i])


def test_dense_data_that_are_no_spikes(saved) -> None:
    x = with_value(np.round(X), (2, 4, 1), 0.5)
    with refused("x_train[2, 4, 1] is 0.5", "0 or 1", "'input'", error=DatasetError):
        load_npz(saved(dense(x_train=x, x_test=np.round(X[:6]))), OwnData(spike_dt=1.0))


def test_classes_that_do_not_occur(saved) -> None:
    assert load_npz(saved(dense(num_classes=7)), OwnData(num_classes=7)).num_classes == 7


# --- faults ----------------------------------------------------------------------------------------------------------

RAGGED = np.array([np.zeros((5, 3)), np.zeros((4, 3))], dtype=object)
FAULTS: list[tuple[dict[str, Any], list[str]]] = [
    # keys
    (dense(y_test=None), ["lacks y_test", "it has x_train, y_train, x_test", "needed"]),
    (dense(x_train=None, y_train=None), ["lacks x_train, y_train"]),
    (together(y=None), ["lacks y;", "it has x"]),
    (spikes(num_neurons=None), ["lacks num_neurons"]),
    (spikes_apart(starts_test=None), ["lacks starts_test"]),
    ({"arr_0": X, "arr_1": Y}, ["none of the keys", "arr_0, arr_1", "x_train, y_train, x_test, y_test", "times, neu"]),
    (dense(y_tset=Y, y_test=None), ["key", "'y_tset'", "Did you mean 'y_test'?"]),
    (dense(example_ms=5), ["'example_ms'", "dense"]),
    (dense(x=X), ["'x'"]),
    (spikes(num_clases=3), ["'num_clases'", "Did you mean 'num_classes'?"]),
    # objects, types and shapes
    (dense(x_train=RAGGED), ["x_train", "Python objects", "different lengths"]),
    (dense(y_test=np.array([0, None], dtype=object)), ["y_test", "Python objects"]),
    (dense(x_train=X[:, :, 0]), ["x_train", "[example, time, neuron]", "(12, 5)"]),
    (dense(x_train=X.astype(str)), ["x_train", "real numbers"]),
    (dense(x_train=X + 1j), ["x_train", "real numbers", "complex128"]),
    (dense(x_test=X[:6, :4]), ["x_train and x_test", "(12, 5, 3)", "(6, 4, 3)"]),
    (dense(x_train=X[:0], y_train=Y[:0]), ["y_train is empty"]),
    (dense(x_test=X[:, :0]), ["x_test", "empty", "(12, 0, 3)"]),
    (dense(y_train=Y[:11]), ["x_train has 12 examples", "y_train 11 labels"]),
    (together(y=Y[:11]), ["x has 12 examples", "y 11 labels"]),
    # labels
    (dense(y_train=with_value(Y, 4, -1)), ["y_train[4] is -1", "[0, "]),
    (dense(y_train=Y.astype(float)), ["y_train", "whole numbers", "float64"]),
    (dense(y_train=np.eye(3)[Y]), ["y_train", "whole numbers", "(12, 3)"]),
    (dense(y_train=Y > 0), ["y_train", "whole numbers", "bool"]),
    (dense(y_test=with_value(Y[:6], 5, 3), num_classes=3), ["y_test[5] is 3", "[0, 3)", "num_classes of the file"]),
    (dense(y_test=with_value(Y[:6], 1, 1 << 40)), ["y_test[1] is 1099511627776"]),
    (dense(num_classes=0), ["num_classes", "at least 1", "got 0"]),
    (dense(num_classes=2.5), ["num_classes", "whole number", "2.5"]),
    (dense(num_classes=[1, 2]), ["num_classes", "whole number", "(2,)"]),
    (together(y=with_value(Y, 0, 3)), ["class 3 has one example", "for testing"]),
    # values
    (dense(x_train=with_value(X, (7, 2, 1), np.nan)), ["x_train[7, 2, 1] is nan", "finite"]),
    (dense(x_test=with_value(X[:6], (0, 4, 2), -np.inf)), ["x_test[0, 4, 2] is -inf"]),
    (dense(x_train=with_value(X, (0, 0, 0), 1e300)), ["x_train[0, 0, 0] is 1e+300", "single precision"]),
    # spikes
    (spikes(times=np.array([0, 1, 2, 3, np.nan, 5])), ["times[4] is nan"]),
    (spikes(times=np.array([0, 1, -0.5, 3, 4, 5])), ["times[2] is -0.5", "ms"]),
    (spikes(example_ms=7), ["times[2] is 7.9", "[0, 7)", "example_ms"]),
    (spikes(example_ms=0), ["example_ms", "at least 1"]),
    (spikes(num_neurons=4), ["neurons[1] is 4", "[0, 4)", "num_neurons is 4"]),
    (spikes(num_neurons=-5), ["num_neurons", "got -5"]),
    (spikes(neurons=np.array([0, 4, -1, 2, 3, 4])), ["neurons[2] is -1"]),
    (spikes(neurons=np.array([0.0, 4, 1, 2, 3, 4])), ["neurons", "whole numbers"]),
    (spikes(neurons=np.array([0, 4])), ["times has 6 spikes", "neurons 2"]),
    (spikes(times=np.zeros(0), neurons=np.zeros(0, int), starts=np.zeros(5, int)), ["times is empty"]),
    (spikes(starts=np.array([0, 2, 2, 3])), ["starts", "ends with 3", "6"]),
    (spikes(starts=np.array([1, 2, 2, 3, 6])), ["starts", "begins with 1"]),
    (spikes(starts=np.array([0, 4, 3, 5, 6])), ["starts", "falls from 4 to 3 at [2]"]),
    (spikes(starts=np.array([0, 2, 6])), ["starts has 2 examples", "y 4 labels"]),
    (spikes(starts=np.array([0.0, 2, 2, 3, 6])), ["starts", "whole numbers"]),
    (spikes_apart(times_test=np.zeros((6, 1))), ["times_test", "real numbers", "(6, 1)"]),
]


@pytest.mark.parametrize(("arrays", "named"), FAULTS, ids=[named[0].replace("/", "") for _, named in FAULTS])
def test_a_fault_is_one_error_that_names_file_and_array(saved, arrays: dict[str, Any], named: list[str]) -> None:
    path = saved(arrays)
    with refused(str(path), *named, error=DatasetError):
        load_npz(path)


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        (dense(), ["y_train[1] is 1", "[0, 1)", "1 classes by the model's output"]),
        (dense(num_classes=4), ["y_train[1] is 1", "[0, 1)"]),
    ],
)
def test_more_classes_than_the_model_has(saved, arrays: dict[str, Any], named: list[str]) -> None:
    with refused(*named, error=DatasetError):
        load_npz(saved(arrays), OwnData(num_classes=1))


def test_fewer_classes_than_the_model_has(saved) -> None:
    with refused("3 classes", "labels y of 0 to 2", "output has 10", "num_classes in the file", error=DatasetError):
        load_npz(saved(dense()), OwnData(num_classes=10))
    with refused("4 classes", "output has 10", error=DatasetError):
        load_npz(saved(dense(num_classes=4)), OwnData(num_classes=10))


@pytest.mark.parametrize("own", [OwnData(test_share=0.3), OwnData(split_seed=0)])
def test_a_split_of_data_that_have_one(saved, own: OwnData) -> None:
    with refused("without a test part", "y_test", "leave"):
        load_npz(saved(dense()), own)


def test_other_content_than_was_meant(saved) -> None:
    digest = load_npz(saved(dense())).sha256
    assert load_npz(saved(dense()), OwnData(sha256=digest)).sha256 == digest
    path = saved(dense(x_test=2 * X[:6]))
    with refused(str(path), "has changed", str(digest), error=DatasetError):
        load_npz(path, OwnData(sha256=digest))


# --- real targets ----------------------------------------------------------------------------------------------------

T = draws.standard_normal((12, 2))
OF_EXAMPLES, OF_STEPS = OwnData(targets="example", num_classes=2), OwnData(targets="step", example_timesteps=5)


def test_targets_of_examples(saved) -> None:
    found = load_npz(saved(together(y=T)), OF_EXAMPLES)
    assert not found.labelled and found.num_classes == 2 and repr(found).endswith("2 targets)")
    train, test = stratified_split(np.zeros(12, int), 0.2, 0)
    np.testing.assert_array_equal(found.y_train, T[train].astype(np.float32))
    np.testing.assert_array_equal(found.x_test, X[test].astype(np.float32))


def test_targets_of_steps(saved) -> None:
    y = np.repeat(T[:, None], 5, axis=1)
    found = load_npz(saved(dense(y_train=y, y_test=y[:6])), OF_STEPS)
    np.testing.assert_array_equal(found.y_test, y[:6].astype(np.float32))


@pytest.mark.parametrize(
    ("y", "own", "named"),
    [
        (Y, OF_EXAMPLES, ["y_train", "real targets", "[example, 2]", "(12,)"]),
        (T[:, :1], OF_EXAMPLES, ["y_train", "[example, 2]", "(12, 1)"]),
        (T + 1j, OF_EXAMPLES, ["y_train", "real targets", "complex128"]),
        (T, OF_STEPS, ["y_train", "[example, 5, neuron]", "(12, 2)"]),
        (np.zeros((12, 4, 2)), OF_STEPS, ["y_train", "[example, 5, neuron]", "(12, 4, 2)"]),
        (with_value(T, (3, 1), np.nan), OF_EXAMPLES, ["y_train[3, 1] is nan", "finite"]),
        (T[:, :0], OwnData(targets="example"), ["y_train is empty"]),
        (T[:11], OF_EXAMPLES, ["12 examples", "y_train 11"]),
        (T, OwnData(), ["y_train", "whole numbers", "'mean_square_error'"]),
    ],
)
def test_targets_that_do_not_fit(saved, y: np.ndarray, own: OwnData, named: list[str]) -> None:
    with refused(*named, error=DatasetError):
        load_npz(saved(dense(y_train=y, y_test=T[:6])), own)


def test_train_and_test_targets_of_different_neurons(saved) -> None:
    with refused("y_train and y_test", "(12, 2)", "(6, 1)", error=DatasetError):
        load_npz(saved(dense(y_train=T, y_test=T[:6, :1])), OwnData(targets="example"))


def test_classes_of_targets(saved) -> None:
    with refused("num_classes", "real values", error=DatasetError):
        load_npz(saved(together(y=T, num_classes=2)), OF_EXAMPLES)


# --- files that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npy", "text", "pickle", "empty"])
def test_no_npz(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.npz"
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, X)
    else:
        path.write_bytes({"text": b"1,2,3\n", "pickle": pickle.dumps(dense()), "empty": b""}[kind])
    with refused(str(path), "no .npz file", "numpy.savez", error=DatasetError):
        load_npz(path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_truncated_file(saved, share: float) -> None:
    path = saved(dense())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with refused(str(path), "damaged", error=DatasetError):
        load_npz(path)


def test_a_changed_byte(saved) -> None:
    path = saved(dense())
    content = bytearray(path.read_bytes())
    content[content.index(b"\x93NUMPY") + 200] ^= 1
    path.write_bytes(content)
    with refused(str(path), "damaged", "x_train", error=DatasetError):
        load_npz(path)


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with refused("none of the keys", "readme.txt", error=DatasetError):
        load_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("x", "y"):
            archive.writestr(key, "1 2 3")
    with refused("x is no array", error=DatasetError):
        load_npz(path)


@pytest.mark.parametrize(
    ("name", "named"), [("gone.npz", "there is no data set"), ("some.h5", "must be an .npz file or a folder")]
)
def test_no_such_file(tmp_path: Path, name: str, named: str) -> None:
    (tmp_path / "some.h5").write_bytes(b"x")
    with refused(named, str(tmp_path / name), error=DatasetError):
        load_dataset(str(tmp_path / name))


def test_data_dir_beside_a_path(saved, tmp_path: Path) -> None:
    with refused("data_dir", "my.npz", error=InvalidValueError):
        load_dataset(str(saved(dense())), tmp_path)
