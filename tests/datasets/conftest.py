"""A cache folder of its own for every test, the real recordings where they are, a set of tiny ones, and a server."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tiny_fsdd import wav_bytes, write_zip

from genn_delays.datasets import Dataset, load_fsdd
from genn_delays.datasets.fsdd import SAMPLE_RATE, listing
from genn_delays.datasets.sources import DATA_VARIABLE
from genn_delays.paths import CACHE_VARIABLE

_PLACE = Path(os.environ.get(DATA_VARIABLE) or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; and no test reads the user's data by accident."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def real_place() -> Path:
    """Where the real recordings are."""
    if not any(_PLACE.glob("*free-spoken-digit-dataset-*")) and not (_PLACE / "recordings").is_dir():
        pytest.skip(f"no Free Spoken Digit Dataset in {_PLACE}; set {DATA_VARIABLE} to its archive or folder")
    return _PLACE


@pytest.fixture(scope="session")
def real(real_place: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The real data set, its features computed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("real")))
        return load_fsdd(real_place)


@pytest.fixture(scope="session")
def tiny_files() -> dict[str, bytes]:
    """A complete set of 2,500 recordings of 25 ms: a tone whose pitch is the digit's, a little different in each."""
    time = np.arange(200) / SAMPLE_RATE
    files = {}
    for count, recording in enumerate(listing()):
        hertz = 300 * (recording.digit + 1) + 0.01 * count
        files[recording.file_name] = wav_bytes((8000 * np.sin(2 * np.pi * hertz * time)).astype("<i2"))
    return files


@pytest.fixture(scope="session")
def tiny_zip(tiny_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zip(tmp_path_factory.mktemp("tiny") / "free-spoken-digit-dataset-1.0.9.zip", tiny_files)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()
    with warnings.catch_warnings():
        # pooch leaves the connection of a 404 to the garbage collector, which else complains in some later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
