"""The source that builds rows: one text for all networks, which compiles without a warning."""

import subprocess

from genn_delays.backends.cpu.compiler import FLAGS, compiler
from genn_delays.codegen.rows import Kind, Weight, emit_rows, emit_rows_structures


def test_source_compiles_without_a_warning(tmp_path):
    path = tmp_path / "rows.cpp"
    path.write_text(emit_rows())
    command = [*compiler().command, *FLAGS, "-Wall", "-Wextra", "-Werror", str(path), "-o", str(tmp_path / "rows.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_source():
    """It begins with the structures, says what their numbers mean, and has no line that is too long."""
    text = emit_rows()
    assert text == emit_rows() and text.startswith(emit_rows_structures())
    for kind in (*Kind, *Weight):
        assert f"{kind.value} {kind.name.lower()}" in text
    assert max(map(len, text.splitlines())) <= 125
    assert "#include <vector>" not in text and text.count("#include") == 5
