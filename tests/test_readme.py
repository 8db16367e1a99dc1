"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_script_prints_what_the_readme_says(tmp_path):
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None
    script, expected = found.groups()
    assert len([line for line in script.splitlines() if line.strip()]) <= 18  # it is there to be read at a glance
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


def test_what_it_links_to_is_there():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) >= 20
    for target in targets:
        assert (ROOT / target).exists(), target
