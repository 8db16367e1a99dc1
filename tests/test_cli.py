"""The commands that train nothing, and the shape of the command line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from genn_delays import __version__
from genn_delays.cli import main, one_line
from genn_delays.cli.parsers import parse
from genn_delays.errors import CompileError


def test_help_of_everything(capsys):
    for arguments in (["--help"], ["train", "--help"], ["evaluate", "-h"], ["show-code", "-h"], ["info", "-h"],
                      ["selftest", "-h"], ["simulate", "-h"]):  # fmt: skip
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    text = capsys.readouterr().out
    for option in (
        "--sparsity", "--epochs", "--seed", "--batch-size", "--threads", "--backend", "--rewiring", "--growth-delay",
        "--dale", "--no-dale", "--validation", "--data-dir", "--out", "--resume", "--json", "--quiet", "--quick",
        "--duration", "--scale",
    ):  # fmt: skip
        assert option in text


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"genn-delays {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["trian"], "'trian'"),
        (["evaluate"], "RUN"),
        (["train"], "MODEL"),
        (["show-code"], "MODEL"),
        (["show-code", "digitz"], "Did you mean 'digits'?"),
        (["info", "--all"], "'--all'"),
        (["train", "digits", "--lr", "0.01"], "--set training.optimiser.alpha=VALUE"),
        (["train", "digits", "--learning_rate=0.01"], "--set training.optimiser.alpha=VALUE"),
        (["train", "digits", "--device", "cuda"], "Did you mean '--backend'?"),
        (["train", "digits", "--num_epochs", "3"], "Did you mean '--epochs'?"),
        (["train", "digits", "--Sparsity", "0.5"], "Did you mean '--sparsity'?"),
        (["train", "digits", "-s", "0.5"], "unknown option of train '-s'"),
        (["evaluate", "run", "--ckeckpoint", "last"], "Did you mean '--checkpoint'?"),
        (["evaluate", "run", "--lr", "0.1"], "unknown option of evaluate '--lr'"),
        (["--verbose", "info"], "'--verbose'"),
    ],
)
def test_wrong_command_lines_are_one_line_and_status_2(capsys, arguments, named):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("genn-delays: error: ") and named in err


@pytest.mark.parametrize("option", ["--lr", "--lrx", "-x", "--hep", "--hello", "--rho", "--k", "--" + "x" * 50])
@pytest.mark.parametrize("command", [["train", "digits"], ["evaluate", "run"], ["show-code", "digits"], ["info"],
                                     ["simulate", "brunel"]])  # fmt: skip
def test_help_is_never_what_was_meant(capsys, command, option):
    assert main([*command, option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert repr(option) in line and "Did you mean '--help'" not in line


def test_the_commands_that_the_documentation_and_the_help_show_are_commands(capsys):
    pages = [Path(__file__).parents[1] / "README.md", *(Path(__file__).parents[1] / "docs").glob("*.md")]
    shown = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    with pytest.raises(SystemExit):
        main(["--help"])
    shown += capsys.readouterr().out.splitlines()
    lines = [found[1] for line in shown if (found := re.match(r" *genn-delays (\w.*?)(  |#|$)", line))]
    assert len(lines) >= 10
    for line in lines:
        assert parse(shlex.split(line)).command is not None


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom genn_delays.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'sympy', 'scipy', 'matplotlib', 'sklearn', 'jinja2', 'tqdm', 'pooch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_show_code_needs_no_compiler(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert main(["show-code", "digits"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for line in ("//     p[0]  pixels: 64 x spike_input", "//     p[2]  digit: 10 x leaky_integrate",
                 "//     c[1]  hidden_digit: hidden -> digit"):  # fmt: skip
        assert line in out.splitlines()
    assert "#include <math.h>" in out
    assert main(["show-code", "digits", "--output", str(tmp_path / "new" / "digits.cpp")]) == 0
    assert (tmp_path / "new" / "digits.cpp").read_text() == out
    (tmp_path / "file").write_text("")
    assert main(["show-code", "digits", "--output", str(tmp_path / "file" / "digits.cpp")]) == 2


def test_the_shown_code_is_the_code_that_is_compiled(capsys):
    from genn_delays.codegen.emit import emit
    from genn_delays.runs.build import plan_of
    from genn_delays.runs.models import load_model

    assert main(["show-code", "fsdd"]) == 0
    assert capsys.readouterr().out.endswith(emit(plan_of(load_model("fsdd"))))


@pytest.mark.parametrize("backend", ["cuda", "genn"])
def test_code_of_other_backends_needs_nothing_of_theirs(capsys, backend):
    from genn_delays.codegen.cuda import emit_cuda
    from genn_delays.codegen.genn import listing
    from genn_delays.runs.build import plan_of
    from genn_delays.runs.models import load_model

    assert main(["show-code", "fsdd", "--backend", backend]) == 0
    shown = (emit_cuda if backend == "cuda" else listing)(plan_of(load_model("fsdd")))
    assert capsys.readouterr().out.endswith(shown)


def test_info_says_what_is_there(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path))
    monkeypatch.setenv("GENN_DELAYS_DATA", "/some/data")
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for text in (
        __version__,
        "cpu",
        "reference",
        "available",
        "threads",
        str(tmp_path),
        "digits",
        "fsdd",
        "/some/data",
    ):
        assert text in out


def test_info_says_what_to_install_for_what_is_missing(capsys, monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert main(["info"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("cpu"))
    assert "not available" in line and "/no/such/compiler" in line


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m genn_delays show-code digits | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("// Model digits") and done.returncode == 0
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_a_module_that_cannot_be_loaded_is_one_error(tmp_path):
    """As where there is no memory left to map it: it was a traceback."""
    code = "import sys; sys.modules['genn_delays.runs.train'] = None; import genn_delays.cli as c; sys.exit(c.main())"
    command = [sys.executable, "-c", code, "train", "digits", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("genn-delays: error: a module cannot be loaded: ") and "genn_delays.runs.train" in line


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1", "No space left"),
        ("x.cpp: In function 'f':\nx.cpp:3:1: error: expected ';'\nnote: No", "x.cpp:3:1: error: expected ';'"),
        ("the compiler wrote no output file", "the compiler wrote no output file"),
        ("", "no output"),
    ],
    ids=["full disk", "refused", "no error", "silent"],
)  # fmt: skip
def test_of_what_a_compiler_says_the_cause_is_told(tmp_path, log, cause):
    """Of a full disk a linker does not say "error"; its driver's "ld returned 1" was given in its place."""
    line = one_line(CompileError("compile", log, str(tmp_path / "x.cpp")))
    assert cause in line.split(" (source: ")[0] and "ld returned" not in line
