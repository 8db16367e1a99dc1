"""Derived equations in the cache: a second start reads them, and whatever else lies there is made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refused import refused

from genn_delays import AdaptiveLeakyIntegrateFire, Exponential, Izhikevich, LeakyIntegrateFire, UserNeuron
from genn_delays.derive import derivations
from genn_delays.derive.derivations import discrete_model, surrogate_code
from genn_delays.errors import GennDelaysError
from genn_delays.learning.surrogates import ArcTan, Triangle

NEURONS = {
    "lif": LeakyIntegrateFire().equations(),
    "eventprop": Exponential(5.0).join(LeakyIntegrateFire(tau_refrac=3.0).equations()),
    "user": UserNeuron(
        vars={"v": ("-v / tau + Isyn", "w"), "a": ("-a / 9", "a + Abs(v)")},
        threshold="v - exp(a)",
        param_vals={"tau": 5.0, "w": 1.0},
    ).equations(),
}
posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "derivations"


@pytest.fixture
def derived(monkeypatch) -> list[str]:
    """What is derived anew while a test runs."""
    found: list[str] = []
    derive = derivations._equations.derive

    def counted(*arguments: Any) -> Any:
        found.append("neuron")
        return derive(*arguments)

    monkeypatch.setattr(derivations._equations, "derive", counted)
    return found


def entry_of(cache: Path, kind: str = "neuron") -> Path:
    (path,) = cache.glob(f"{kind}-*.json")
    return path


def altered(path: Path, change: Any) -> None:
    """Change an entry's value, with the checksum that belongs to it: what somebody who means harm would write."""
    entry = json.loads(path.read_text())
    change(entry["value"])
    entry["content"] = derivations._content(entry["value"])
    path.write_text(json.dumps(entry))


@pytest.mark.parametrize("name", NEURONS)
def test_a_second_start_reads_what_was_derived(name, cache, derived):
    first = discrete_model(NEURONS[name], True)
    assert discrete_model(NEURONS[name], True) == first
    assert derived == ["neuron"]
    assert derivations._equations.derive(NEURONS[name], True) == first


def test_a_second_start_does_not_import_sympy(cache):
    code = (
        "import sys; from genn_delays.derive.derivations import *; from genn_delays.learning.surrogates import *\n"
        "from genn_delays import AdaptiveLeakyIntegrateFire, Exponential\n"
        "equations = Exponential(5.0).join(AdaptiveLeakyIntegrateFire().equations())\n"
        "print(discrete_model(equations, True) is not None, surrogate_code(ArcTan()) is not None)\n"
        "print({'sympy', 'scipy'} & set(sys.modules))"
    )
    outputs = [subprocess.check_output([sys.executable, "-c", code], text=True).splitlines() for _ in range(2)]
    assert "sympy" in outputs[0][1]
    assert outputs[1] == ["True True", "set()"]
    assert AdaptiveLeakyIntegrateFire


def flips(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    random = np.random.default_rng(seed)
    for bit in random.integers(8 * len(data), size=count):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield bytes(changed)


def test_200_flipped_bits_are_told_or_change_nothing(cache):
    """10 of 90 ended in a traceback, and a changed digit trained to other bits."""
    readers = {
        "neuron": (140, lambda: discrete_model(NEURONS["lif"], True)),
        "surrogate": (60, lambda: surrogate_code(ArcTan())),
    }
    for kind, (count, read) in readers.items():
        expected = read()
        path = entry_of(cache, kind)
        whole = path.read_bytes()
        for damaged in flips(whole, count, seed=len(kind)):
            path.write_bytes(damaged)
            assert read() == expected
            assert json.loads(path.read_bytes()) == json.loads(whole)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000], ids=repr)
def test_what_is_no_entry_is_made_again(content, cache):
    expected = discrete_model(NEURONS["lif"], True)
    entry_of(cache).write_bytes(content)
    assert discrete_model(NEURONS["lif"], True) == expected


EVIL_C = (
    'v; system("x")', "system(v)", "v); system(1); (v", "(v", "v)", "v = 1", "v // x", "v /* x */", "v++", "v, abort()",
    "x", "v[0]", "*v", "&v", "v{1}", "#include <x>", "v\n", "v\\", '"v"', "'v'", "v.c", "v->c", "sizeof v", "par[1]",
    "0x10", "", "ｖ", "expf", "v ? 1 : abort()", "v" * 2_000_000, "v v", "v *", "* v", "v 1", "(v)(v)", "1(v)",
    "expf()", "v !v", "v +", "v & v", "v <<1", "? v", "fabsf", 3, None, ["v"],
)  # fmt: skip
EVIL_PY = (
    "__import__('os').system('x')", "v.__class__", "[v for v in (1,)]", "(lambda: v)()", "v if v else v", "f'{v}'",
    "'v'", "open(v)", "eval(v)", "v[0]", "x", "getattr(v, v)", "v := 1", "exp(*v)", "exp(x=v)", "True", "9**9**9",
    "v**9**9**9", "(" * 500 + "v" + ")" * 500, "-" * 100_000 + "v", "v\x00", "", "v; v", "ｖ", "1j", "exp.__call__(v)",
    3, None, ["v"],
)  # fmt: skip


@pytest.mark.parametrize(("language", "texts"), [("c", EVIL_C), ("py", EVIL_PY)], ids=["c", "py"])
def test_an_entry_holds_nothing_but_expressions_of_its_own_names(language, texts, cache, derived):
    """Also where its checksum is right: no text of an entry can call, assign or reach anything."""
    expected = discrete_model(NEURONS["lif"], True)
    for text in texts:
        derived.clear()
        altered(entry_of(cache), lambda value, text=text: value["jump"]["v"].update({language: text}))
        assert discrete_model(NEURONS["lif"], True) == expected, text
        assert derived == ["neuron"], text


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["coefficients"].update({"a_v": "exit(1)"}),
        lambda v: v["coefficients"].update({"x; abort()": "1"}),
        lambda v: v["sensitivity"].update({"tau_mem": {"a_v": "v"}}),
        lambda v: v["sensitivity"].update({"tau_mem": 3}),
        lambda v: v["states"].append("abort();"),
        lambda v: v["states"].clear(),
        lambda v: v["equations"].append("\n#include </etc/passwd>"),
        lambda v: v["step_parameters"].append("abort()"),
        lambda v: v["update"].pop("v"),
        lambda v: v["update"].update({"w": {"c": "v", "py": "v"}}),
        lambda v: v["update"]["v"].update({"more": "v"}),
        lambda v: v.update({"output": 7}),
        lambda v: v.update({"output": True}),
        lambda v: v.update({"held": ["v"]}),
        lambda v: v.update({"hold": {"c": "v", "py": "v"}}),
        lambda v: v.update({"threshold": None}),
        lambda v: v.update({"transitions": {}}),
        lambda v: v.pop("adjoint"),
        lambda v: v.clear(),
    ],
)
def test_an_entry_has_the_form_of_its_equations(change, cache, derived):
    expected = discrete_model(NEURONS["lif"], True)
    altered(entry_of(cache), change)
    assert discrete_model(NEURONS["lif"], True) == expected
    assert derived == ["neuron", "neuron"]


@posix
def test_an_entry_that_others_can_write_is_made_again(cache, derived):
    expected = discrete_model(NEURONS["lif"], True)
    for mode in (0o622, 0o660, 0o602):
        altered(entry_of(cache), lambda value: value["jump"]["v"].update({"c": "1.0F", "py": "1.0"}))
        entry_of(cache).chmod(mode)
        assert discrete_model(NEURONS["lif"], True) == expected
        assert entry_of(cache).stat().st_mode & 0o022 == 0
    assert len(derived) == 4


@posix
@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() != 0, reason="only root gives files away")
def test_an_entry_of_another_user_is_made_again(cache, derived):
    """Another user's entry ran as root."""
    expected = discrete_model(NEURONS["lif"], True)
    altered(entry_of(cache), lambda value: value["jump"]["v"].update({"c": "1.0F", "py": "1.0"}))
    os.chown(entry_of(cache), 12345, 12345)
    assert discrete_model(NEURONS["lif"], True) == expected
    os.chown(cache, 12345, 12345)
    with refused("derivations", "another user", "GENN_DELAYS_CACHE", error=GennDelaysError):
        discrete_model(NEURONS["lif"], True)


@posix
def test_a_folder_that_others_can_write_is_refused(cache):
    discrete_model(NEURONS["lif"], True)
    cache.chmod(0o777)
    with refused("derivations", "others can write", "GENN_DELAYS_CACHE", error=GennDelaysError):
        discrete_model(NEURONS["lif"], True)


@posix
def test_an_entry_is_a_file(cache, tmp_path):
    """A pipe would be waited for."""
    expected = discrete_model(NEURONS["lif"], True)
    path = entry_of(cache)
    path.unlink()
    os.mkfifo(path)
    assert discrete_model(NEURONS["lif"], True) == expected
    assert path.is_file()


@posix
def test_entries_count_whatever_the_umask(cache, derived):
    before = os.umask(0)
    try:
        for _ in range(2):
            discrete_model(NEURONS["lif"], True)
    finally:
        os.umask(before)
    assert derived == ["neuron"]


def test_sources_say_what_an_entry_depends_on():
    """Whatever takes part in deriving and printing is in the key, so an entry of another version is none."""
    expected = "grammar elementary names expressions printed exponentials integration transitions model gates written"
    expected += " nonlinear equations"
    assert {module.__name__.rpartition(".")[2] for module in derivations._DERIVING} == set(expected.split())


def test_surrogates_are_read_as_they_were_derived(cache):
    for surrogate in (ArcTan(), ArcTan(2.3), Triangle(), Triangle(0.3)):
        first = surrogate_code(surrogate)
        assert surrogate_code(surrogate) == first
    for path in cache.glob("surrogate-*.json"):
        altered(path, lambda value: value["spike"].update({"py": "open(x)"}))
    assert surrogate_code(surrogate) == first


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["steps"].update({"t__9": {"c": "abort()", "py": "v"}}),
        lambda v: v["steps"].update({"v": {"c": "v_", "py": "v"}}),
        lambda v: v["steps"].update({"z__9": {"c": "v_", "py": "v"}}),
        lambda v: v["back"].update({"j__9;x": {"c": "v_", "py": "v"}}),
        lambda v: v["back"].update({"m__v": {"c": "j__77", "py": "v"}}),
        lambda v: v["back"].update({"k__dt": {"c": "v_", "py": "v"}}),
        lambda v: v["coefficients"].update({"k__1;": "dt"}),
        lambda v: v["decay"].update({"v": "open(dt)"}),
        lambda v: v["decay"].update({"z": "dt"}),
        lambda v: v.update({"untrainable": "abort()"}),
    ],
)
def test_an_entry_of_a_nonlinear_neuron_has_its_form(change, cache):
    equations = Izhikevich().equations()
    expected = discrete_model(equations, True)
    (path,) = cache.glob("neuron-*.json")
    before = path.read_text()
    altered(path, change)
    assert path.read_text() != before
    assert discrete_model(equations, True) == expected
    assert path.read_text() == before
