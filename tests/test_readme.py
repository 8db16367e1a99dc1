"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_script_prints_what_the_readme_says(tmp_path):
    found = re.search(r"```python\n(from genn_delays import .*?)```\n\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None
    script, expected = found.groups()
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
