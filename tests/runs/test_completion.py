"""Scripts for shells: they can be read by the shell, and complete commands, models and files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genn_delays.cli import main
from genn_delays.cli.completion import SHELLS


def printed(capsys: Any, shell: str) -> str:
    assert main(["completion", shell]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    return str(found.out)


@pytest.fixture
def shtab() -> Any:
    return pytest.importorskip("shtab", reason="needs shtab: pip install 'genn-delays[completion]'")


@pytest.mark.completion
@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_commands_options_and_models(capsys: Any, shtab: Any, shell: str) -> None:
    script = printed(capsys, shell)
    assert script.endswith("\n") and "genn-delays" in script
    for word in ("show-code", "train-step", "growth-delay", "fsdd_paper"):
        assert word in script, word


@pytest.mark.completion
def test_bash_completes(capsys: Any, shtab: Any, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    path = tmp_path / "genn-delays"
    path.write_text(printed(capsys, "bash"))
    (tmp_path / "folder").mkdir()

    def completed(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in ("genn-delays", *words))
        lines = [
            f"source '{path}'", f"COMP_WORDS=({line}); COMP_CWORD={len(words)}",
            "complete -p genn-delays | sed 's/.*-F \\([^ ]*\\).*/\\1/' > name", "$(cat name) genn-delays",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        ]  # fmt: skip
        done = subprocess.run([bash, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=tmp_path, check=False)
        return done.stdout.split()

    assert completed("tr") == ["train"]
    assert "fsdd_paper" in completed("train", "fsdd") and "--growth-delay" in completed("train", "--gro")
    assert completed("evaluate", "fol") == ["folder"]


def test_without_shtab_the_error_says_what_to_install(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "completion needs shtab: pip install 'genn-delays[completion]'" in capsys.readouterr().err


def test_a_shell_that_nobody_knows(capsys: Any) -> None:
    assert main(["completion", "tcsh"]) == 2
    found = capsys.readouterr().err
    assert "'tcsh'" in found and "fish" in found and found.count("\n") == 1
