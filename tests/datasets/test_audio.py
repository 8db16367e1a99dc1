"""Recordings as samples: what a damaged or unusual header makes of them. Whole, or one error; never fewer samples."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from refused import refused
from tiny_fsdd import wav_bytes

from genn_delays.datasets import gsc
from genn_delays.datasets.audio import read_wav
from genn_delays.errors import DatasetError

RATE = 8000
TONE = (8000 * np.sin(np.arange(200))).astype("<i2")
PLAIN = wav_bytes(TONE)
HEADER = 44


def rewritten(at: int, form: str, value: int) -> bytes:
    return PLAIN[:at] + struct.pack(form, value) + PLAIN[at + struct.calcsize(form) :]


def with_chunks(before: bytes = b"", after: bytes = b"") -> bytes:
    body = PLAIN[12:36] + before + PLAIN[36:] + after
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def test_samples() -> None:
    assert np.array_equal(read_wav("a.wav", PLAIN, RATE), TONE / 32768)
    title = b"LIST" + struct.pack("<I", 5) + b"title\0"
    for content in (with_chunks(title), with_chunks(after=title), with_chunks(after=title[:-1]), PLAIN + b"\0"):
        assert np.array_equal(read_wav("a.wav", content, RATE), TONE / 32768)


def test_the_long_form_of_the_format() -> None:
    """WAVE_FORMAT_EXTENSIBLE: the format is the start of a GUID at the end."""
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    long = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 2 * RATE, 2, 16, 22, 16, 4) + guid
    body = b"WAVEfmt " + struct.pack("<I", len(long)) + long + PLAIN[36:]
    content = b"RIFF" + struct.pack("<I", len(body)) + body
    assert np.array_equal(read_wav("a.wav", content, RATE), TONE / 32768)
    with refused("a.wav", "format 65534", error=DatasetError):
        read_wav("a.wav", content.replace(guid, guid[::-1]), RATE)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (rewritten(4, "<I", 0), ("its header says that it has 8 bytes, it has 444",)),
        (rewritten(4, "<I", 2**32 - 1), ("it has 444",)),
        (rewritten(22, "<H", 0), ("must be mono", "0 channel(s)")),
        (rewritten(22, "<H", 2), ("must be mono", "2 channel(s)")),
        (rewritten(24, "<I", 0), ("must be mono", "0 Hz")),
        (rewritten(32, "<H", 0), ("must be mono", "0 bytes a sample")),
        (rewritten(34, "<H", 0), ("must be mono", "int0")),
        (rewritten(20, "<H", 3), ("must be mono", "float16")),
        (rewritten(20, "<H", 85), ("must be mono", "format 85")),
        (rewritten(40, "<I", 0), ("is not a readable WAV file",)),
        (rewritten(40, "<I", 200), ("is not a readable WAV file",)),
        (rewritten(40, "<I", 399), ("is not a readable WAV file",)),
        (rewritten(40, "<I", 2**32 - 1), ("is not a readable WAV file", "behind the file")),
        (PLAIN[:36] + b"tada" + PLAIN[40:], ("no part b'data'",)),
        (with_chunks(b"data" + struct.pack("<I", 0)), ("two parts b'data'",)),
        (
            PLAIN[:4] + struct.pack("<I", 36) + PLAIN[8:40] + struct.pack("<I", 0) + PLAIN[44:],
            ("44 bytes, it has 444",),
        ),
        (wav_bytes(TONE[:0]), ("signal is empty",)),
        (PLAIN[:HEADER], ("it has 44",)),
        (PLAIN[:12], ("it has 12",)),
    ],
)
def test_headers_that_are_wrong(content: bytes, parts: tuple[str, ...]) -> None:
    with refused("a.wav", *parts, error=DatasetError):
        read_wav("a.wav", content, RATE)


def test_no_samples_are_not_silence() -> None:
    """An example of Speech Commands is filled up with zeros; one of zeros alone would be an example of its word."""
    for content in (wav_bytes(TONE[:0], rate=16000), wav_bytes(TONE, rate=16000)[:40] + bytes(4)):
        with refused("a.wav", error=DatasetError):
            gsc.frames("a.wav", content)


def test_a_thousand_changes_of_a_header() -> None:
    """One to four bytes each: an error of ours, or the very same samples."""
    chosen = random.Random(0)
    refusals = 0
    for count in range(1000):
        changed = bytearray(PLAIN)
        for _ in range(1 + count % 4):
            changed[chosen.randrange(HEADER)] = chosen.choice((0, 1, 255, chosen.randrange(256)))
        try:
            assert np.array_equal(read_wav("a.wav", bytes(changed), RATE), TONE / 32768)
        except DatasetError as error:
            refusals += 1
            assert str(error).startswith("a.wav")
    assert refusals > 700
