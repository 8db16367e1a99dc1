"""Runs on the workers of a Dask scheduler.

A worker has this package and the data, and sees the folder of the sweep under the same path; results and checkpoints
are written there. That it is the same folder is checked by a file with a random word. The word also ends what it began:
a worker whose file is gone, as the sweep was interrupted, or begun again after it was killed, stops its run.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import GennDelaysError, InvalidValueError, RunFolderError, install_extra
from ..paths import atomic_write
from ..runs.lock import locked
from .processes import Process, stop

TIMEOUT = 5.0
"""Seconds that a scheduler has to answer."""
TOKEN = ".cluster-{}"
_POLL = 0.2
_LOOK = 1.0
"""Seconds between two looks at the token, which may lie on a network file system."""
_PATIENCE = 30.0
"""Seconds that a run of a sweep that was killed has to end."""


def check_installed() -> None:
    """Raise an error if Dask's scheduler is not installed.

    Raises:
        GennDelaysError: it says what to install.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise GennDelaysError(
            f"--scheduler needs Dask's package distributed, which cannot be imported ({error}): "
            f"{install_extra('cluster')}"
        ) from error


def run_on_cluster(
    address: str,
    folder: Path,
    waiting: Sequence[tuple[Any, Path, int]],
    ended: Callable[[Any, str | None], None],
    note: Callable[[str], None],
) -> None:
    """Train runs on the workers of a scheduler; as :func:`.processes.run_in_processes` does in local processes.

    Args:
        address: of the scheduler, ``tcp://HOST:PORT``.
        folder: of the sweep, which all workers share.
        waiting: of every run what `ended` is called with, its folder and its number of threads.
        ended: called when a run has ended, with its error or None.
        note: called with remarks.

    Raises:
        GennDelaysError: the scheduler does not answer, or a worker does not share the folder or lacks this package.
        KeyboardInterrupt: by the keyboard; all runs are told to stop.
    """
    check_installed()
    from distributed import as_completed

    word = secrets.token_hex(8)
    token = folder.resolve() / TOKEN.format(word)
    with connected(address) as client:
        for old in folder.glob(TOKEN.format("*")):
            with contextlib.suppress(OSError):
                old.unlink()
        atomic_write(token, word.encode())
        try:
            _check_workers(client, address, token, word, note)
            futures = {
                client.submit(
                    train_on_worker, str(path.resolve()), threads, str(token), word, key=f"{path.name}-{word}-{number}",
                    pure=False,
                ): run
                for number, (run, path, threads) in enumerate(waiting)
            }  # fmt: skip
            for future in as_completed(list(futures), loop=client.loop):
                if future.status not in ("finished", "error"):
                    raise GennDelaysError(
                        f"the Dask scheduler {address} is gone (a task was {future.status}); nothing that was "
                        "finished is lost, and the same command goes on"
                    )
                ended(futures[future], _outcome(future))
        finally:
            token.unlink(missing_ok=True)


@contextlib.contextmanager
def connected(address: str) -> Any:
    """A client of a scheduler, closed after the body.

    Raises:
        GennDelaysError: it does not answer.
    """
    from distributed import Client

    try:
        _ask(address)  # a client waits for an answer, and has no limit for that
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except GennDelaysError:
        raise
    except Exception as error:  # of sockets, of name resolution, of a server that is no scheduler
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GennDelaysError(f"no Dask scheduler answers at {address} within {TIMEOUT:g} s: {reason}") from error
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=TIMEOUT)


def _ask(address: str) -> None:
    """Raise an error if no scheduler tells its identity within :data:`TIMEOUT`."""
    if not re.fullmatch(r"((tcp|tls|ws|wss)://)?[^\s/]+:\d{1,5}", address):
        raise InvalidValueError(f"--scheduler must be an address such as tcp://HOST:8786, got {address!r}")
    from distributed import Security
    from distributed.core import rpc

    async def identity() -> Any:
        security = Security().get_connection_args("client")  # as Dask's configuration says
        async with rpc(address, timeout=TIMEOUT, connection_args=security) as server:
            return await server.identity()

    async def in_time() -> Any:
        return await asyncio.wait_for(identity(), TIMEOUT)

    kind = asyncio.run(in_time()).get("type")
    if kind != "Scheduler":
        raise GennDelaysError(f"--scheduler {address} is no scheduler of Dask, but a {kind}")


def _check_workers(client: Any, address: str, token: Path, word: str, note: Callable[[str], None]) -> None:
    """Raise an error if a worker that is there cannot train; later ones are checked by their first run."""
    if not client.nthreads():
        note(f"the scheduler {address} has no workers yet: runs begin when the first one comes")
        return
    for worker, found in client.run(token_error, str(token), word, on_error="return").items():
        if isinstance(found, BaseException):
            found = f"{type(found).__name__}: {found}"
        if found is not None:
            raise GennDelaysError(f"worker {worker} cannot train runs of this sweep: {' '.join(str(found).split())}")


def _outcome(future: Any) -> str | None:
    """The error of a run that a worker has trained, on one line."""
    if future.status == "finished":
        found: str | None = future.result()
        return found
    error = future.exception()
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# --- on workers ------------------------------------------------------------------------------------------------------


def token_error(token: str, word: str) -> str | None:
    """On a worker: the error if it does not see the folder of the sweep."""
    try:
        seen = Path(token).read_text() == word
    except OSError:
        seen = False
    place = Path(token).parent
    return None if seen else f"it does not see the folder {place}; workers must share it under the same path (--out)"


def train_on_worker(folder: str, threads: int, token: str, word: str) -> str | None:
    """On a worker: train, or resume, a run in a process of its own.

    Returns:
        its error on one line, or None.
    """
    error = token_error(token, word)
    if error is not None:
        return error
    _wait_for_lock(Path(folder))
    process = Process(Path(folder), threads)
    try:
        looked = time.monotonic()
        while not process.ended:
            time.sleep(_POLL)
            if time.monotonic() - looked > _LOOK:
                if token_error(token, word) is not None:
                    return "it was stopped, as its sweep was"
                looked = time.monotonic()
        return process.error()
    finally:
        stop([process])


def _wait_for_lock(folder: Path) -> None:
    """Wait until nobody writes a run's folder: a run of a sweep that was killed notices within moments."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(RunFolderError), locked(folder, lambda text: None):
            return
        time.sleep(_POLL)
