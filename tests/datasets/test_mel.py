"""The mel spectrogram against its definition in plain loops, against tones, and against librosa."""

from __future__ import annotations

import cmath
import math
from pathlib import Path

import numpy as np
import pytest

from genn_delays.datasets import mel_spectrogram
from genn_delays.datasets.archives import read_files
from genn_delays.datasets.audio import read_wav
from genn_delays.datasets.fsdd import find_source
from genn_delays.datasets.mel import mel_filters
from genn_delays.errors import InvalidValueError


def chirp(samples: int, rate: int = 8000) -> np.ndarray:
    time = np.arange(samples) / rate
    return 0.5 * np.sin(2 * np.pi * (200 + 2000 * time) * time) + 0.01 * np.cos(2 * np.pi * 3100 * time)


def plain_mel(signal: list[float], rate: int, bands: int, frames: int, fft_size: int) -> list[list[float]]:
    """The seven steps of the docstring, one number at a time."""
    emphasised = [s - (0.95 * signal[k - 1] if k else 0.0) for k, s in enumerate(signal)]
    window, hop = min(rate * 25 // 1000, fft_size), rate * 10 // 1000

    def hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * math.log(rate / 2 / 1000) / math.log(6.4)
    edges = [hz(top * b / (bands + 1)) for b in range(bands + 2)]
    powers = []
    for f in range(min(frames, 1 + len(signal) // hop)):
        first = f * hop - fft_size // 2 + (fft_size - window) // 2
        windowed = []
        for k in range(window):
            inside = 0 <= first + k < len(signal)
            weight = 0.5 - 0.5 * math.cos(2 * math.pi * k / window)
            windowed.append(weight * emphasised[first + k] if inside else 0.0)
        row = [0.0] * bands
        for q in range(fft_size // 2 + 1):
            # where the window starts within the FFT shifts the phase only, and power has none
            value = sum(v * cmath.exp(-2j * math.pi * q * k / fft_size) for k, v in enumerate(windowed))
            frequency = q * rate / fft_size
            for b in range(bands):
                low, middle, high = edges[b : b + 3]
                share = min((frequency - low) / (middle - low), (high - frequency) / (high - middle))
                row[b] += max(0.0, share) * 2 / (high - low) * abs(value) ** 2
        powers.append(row)
    powers += [[0.0] * bands] * (frames - len(powers))
    loudest = max(map(max, powers))
    return [[(max(10 * math.log10(max(p, 1e-10) / loudest), -80) + 80) / 50 for p in row] for row in powers]


@pytest.mark.parametrize(
    ("samples", "rate", "bands", "frames", "fft_size"),
    [
        (300, 8000, 10, 6, 256),  # shorter than its frames: filled up
        (700, 8000, 10, 4, 256),  # longer: cropped before the maximum is taken
        (500, 22050, 8, 3, 128),  # the window is cut to the FFT size
        (1, 8000, 10, 2, 256),
    ],
)
def test_against_the_definition(samples: int, rate: int, bands: int, frames: int, fft_size: int) -> None:
    signal = chirp(samples, rate) + 0.1
    found = mel_spectrogram(signal, rate, bands, frames, fft_size=fft_size)
    expected = plain_mel(signal.tolist(), rate, bands, frames, fft_size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_shape_type_range() -> None:
    x = mel_spectrogram(chirp(3000), 8000)
    assert x.shape == (80, 40)
    assert x.dtype == np.float32
    assert x.min() == 0
    assert x.max() == np.float32(1.6)
    assert (x[38 + 4 :] == 0).all(), "frames beyond the end are silent"


@pytest.mark.parametrize("hertz", [150, 440, 1000, 2500, 3700])
def test_pure_tone_peaks_in_its_band(hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(8000) / 8000)
    peak = int(mel_spectrogram(tone, 8000)[20].argmax())
    response = mel_filters(8000, 512, 40) @ (np.fft.rfftfreq(512, 1 / 8000) == 8000 * round(hertz * 512 / 8000) / 512)
    assert peak == int(response.argmax())
    # and the band's own edges contain the tone: 40 bands, equally spaced in mel
    mel = 15 + 27 * math.log(hertz / 1000) / math.log(6.4) if hertz >= 1000 else hertz * 3 / 200
    assert abs(mel / ((15 + 27 * math.log(4) / math.log(6.4)) / 41) - (peak + 1)) < 1


def test_level_matters_only_through_amin() -> None:
    loud, quiet = chirp(3000), 1e-4 * chirp(3000)
    np.testing.assert_allclose(mel_spectrogram(quiet, 8000, amin=1e-30), mel_spectrogram(loud, 8000), atol=1e-6)
    assert mel_spectrogram(quiet, 8000).min() > 0, "librosa's amin lies less than 80 dB below a quiet recording"


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ([], "signal is empty"),
        (np.zeros(800), "signal is silent in its first 80 frames"),
        (np.append(np.zeros(9000), chirp(800)), "signal is silent in its first 80 frames"),
        ([0.1, math.nan, 0.2], "signal is not finite at sample 1"),
        ([0.1, 0.2, -math.inf], "signal is not finite at sample 2"),
        (np.zeros((800, 2)), r"got float64 of shape \(800, 2\)"),
        (np.ones(800, dtype=np.int16), "full scale 1 .*got int16"),
    ],
)
def test_refused_signals(signal: object, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        mel_spectrogram(signal, 8000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be at least 1"),
        ({"sample_rate": 50}, "frame_ms=10 is less than one sample at 50 Hz"),
        ({"num_bands": 0}, "num_bands must be at least 1"),
        ({"num_bands": 400}, "num_bands=400 is too many for fft_size=512 at 8000 Hz"),
        ({"num_frames": -1}, "num_frames must be at least 1"),
        ({"hop_ms": 0}, "hop_ms must lie in"),
        ({"pre_emphasis": 1.5}, "pre_emphasis must lie in"),
        ({"amin": 0}, "amin must lie in"),
    ],
)
def test_refused_parameters(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        mel_spectrogram(chirp(800), **{"sample_rate": 8000, "frame_ms": 10.0, **parameters})  # type: ignore[arg-type]


def librosa_mel(signal: np.ndarray, rate: int) -> np.ndarray:
    """The published preprocessing, with librosa's own functions."""
    librosa = pytest.importorskip("librosa", reason="parity of the mel spectrogram needs librosa")
    power = librosa.feature.melspectrogram(
        y=np.append(signal[0], signal[1:] - 0.95 * signal[:-1]),
        sr=rate,
        n_fft=512,
        hop_length=int(rate * 0.01),
        win_length=min(int(rate * 0.025), 512),
        n_mels=40,
    )[:, :80]
    power = np.pad(power, ((0, 0), (0, 80 - power.shape[1])))
    return (librosa.power_to_db(power, ref=np.max).T + 80) / 50


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large:UserWarning")  # librosa's, of the short one
@pytest.mark.parametrize("rate", [8000, 22050])
@pytest.mark.parametrize("samples", [300, 3000, 30000])
def test_parity_with_librosa(samples: int, rate: int) -> None:
    signal = chirp(samples, rate)
    np.testing.assert_allclose(mel_spectrogram(signal, rate), librosa_mel(signal, rate), rtol=0, atol=1e-5)


def test_parity_with_librosa_on_recordings(real_place: Path) -> None:
    source = find_source(real_place)
    assert source
    files = read_files(source, lambda path: path.suffix == ".wav" and path.stem.endswith("_0"))
    for name, content in files.items():
        signal = read_wav(name, content, 8000)
        np.testing.assert_allclose(mel_spectrogram(signal, 8000), librosa_mel(signal, 8000), rtol=0, atol=1e-5)
