"""Data sets by name, or by path: data of one's own. A new one is a new file here and one line in :data:`DATASETS`.

Importing this package imports NumPy alone; what a loader needs beyond that is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike

from ..errors import InvalidValueError
from ..floating import usual_errors
from .archives import existing_path
from .dataset import Dataset, Events, Examples, stratified_split
from .digits import DIGITS_TIMESTEPS, load_digits
from .encoders import encoded, integrate_and_fire
from .fsdd import load_fsdd
from .fsdd_spikes import load_fsdd_spikes
from .gsc import load_gsc
from .mel import mel_spectrogram
from .npz import load_npz
from .own import OwnData, check_dataset, existing, is_path
from .rawhd import load_rawhd
from .saying import quietly
from .sequence_detection import load_sequence_detection
from .shd import load_shd, load_ssc
from .store_recall import load_store_recall
from .wav_folder import load_wav_folder
from .yin_yang import load_yin_yang

DATASETS: dict[str, Callable[[str | PathLike[str] | None], Dataset]] = {
    "digits": load_digits,
    "fsdd": load_fsdd,
    "fsdd_spikes": load_fsdd_spikes,
    "gsc": load_gsc,
    "rawhd": load_rawhd,
    "sequence_detection": load_sequence_detection,
    "shd": load_shd,
    "ssc": load_ssc,
    "store_recall": load_store_recall,
    "yin_yang": load_yin_yang,
}

__all__ = [
    "DATASETS",
    "DIGITS_TIMESTEPS",
    "Dataset",
    "Events",
    "Examples",
    "OwnData",
    "encoded",
    "integrate_and_fire",
    "load_dataset",
    "load_digits",
    "load_fsdd",
    "load_fsdd_spikes",
    "load_gsc",
    "load_npz",
    "load_rawhd",
    "load_sequence_detection",
    "load_shd",
    "load_ssc",
    "load_store_recall",
    "load_wav_folder",
    "load_yin_yang",
    "mel_spectrogram",
    "stratified_split",
]


def load_dataset(
    name: str,
    data_dir: str | PathLike[str] | None = None,
    *,
    quiet: bool = False,
    own: OwnData | None = None,
) -> Dataset:
    """Load a data set by its name, or by the path of data of one's own.

    Args:
        name: a key of :data:`DATASETS`, or the path of an ``.npz`` file (see :mod:`.npz`) or of a folder of WAV files
            (see :mod:`.wav_folder`). A path has a ``/`` in it or ends in ``.npz``.
        data_dir: where its files are, if not where its loader looks by itself (see the loader).
        quiet: do not say on standard error when something is downloaded or features are computed, which takes seconds
            or more the first time.
        own: how data of one's own are read; data sets by name do not look at it.

    Returns:
        The data set, in memory.

    Raises:
        InvalidValueError: there is no data set of that name; or `data_dir` is given besides a path.
        DatasetError: ``data_dir`` does not exist, or the data is missing, incomplete or damaged.

    Example:
        >>> digits = load_dataset("digits")
        >>> digits.kind, digits.num_inputs, len(digits.x_train)
        ('spikes', 64, 1438)
    """
    check_dataset("dataset", name, DATASETS)
    if data_dir is not None:  # also for data sets that need no folder: a mistyped path is never passed over
        if is_path(name):
            raise InvalidValueError(f"data_dir is where files of data sets by name are; {name} is a path of its own")
        data_dir = existing_path("data_dir", data_dir)
    with quietly(quiet), usual_errors():
        if is_path(name):
            return load_wav_folder(name, own) if existing(name).is_dir() else load_npz(name, own)
        return DATASETS[name](data_dir)
