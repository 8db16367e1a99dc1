"""A report in a real browser without a network: everything is shown, and nothing is wider than a phone or a laptop."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest
from page import Page

from genn_delays.reports import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

MEASURE = """
<script>
addEventListener("load", () => {
  const images = [...document.images];
  const found = {
    inner: innerWidth,
    scroll: document.documentElement.scrollWidth,
    wide: [...document.querySelectorAll("body *")]
      .filter(e => !e.closest("table") && e.getBoundingClientRect().right > innerWidth + 1)
      .map(e => e.outerHTML.slice(0, 80)),
    images: images.length,
    broken: images.filter(i => !i.complete || i.naturalWidth == 0).length,
    narrow: images.filter(i => i.getBoundingClientRect().width < 100).length,
    cut: [...document.querySelectorAll("td, th")].filter(e => e.scrollWidth > e.clientWidth + 1).length,
    hidden: [...document.querySelectorAll("h2, h3")].filter(e => e.getBoundingClientRect().height == 0).length,
    loaded: performance.getEntriesByType("resource").map(e => e.name.slice(0, 60)).filter(n => !n.startsWith("data:")),
    small: [...document.querySelectorAll("p, td, th, figcaption")]
      .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).length,
  };
  const place = parent.document.createElement("pre");
  place.id = "measured";
  place.textContent = JSON.stringify(found);
  parent.document.body.append(place);
});
</script>
"""


def dom(page: Path, width: int) -> str:
    """The page's document after loading, with the network cut off."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", f"--window-size={width},900",
        f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def html(trained):
    """Two runs side by side, one of which has a long name."""
    first = trained("digits", hidden="32")
    other = Path(shutil.copytree(trained("digits", hidden="32", seed=3), first.parent / ("a_long_name_" * 12)))
    return report([first, other])


def test_a_browser_reads_the_page_as_it_was_written(html, tmp_path):
    """Chromium repairs wrong nesting and unknown structure: a page that it changes was wrong."""
    (tmp_path / "report.html").write_text(html)
    found = dom(tmp_path / "report.html", 1280)
    written, read = Page(html), Page(found)
    assert [element for element in read.elements if element[0] != "details"] == [
        element for element in written.elements if element[0] != "details"
    ]
    assert read.headings == written.headings and read.tables == written.tables


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(html, tmp_path, width):
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n')
    assert policy.search(html)  # it forbids scripts, also the one that measures
    assert "<td>3</td>" in html  # a seed; a digest in its place is a word that is wider than its column
    measured = policy.sub("", html).replace("</body>", f"{MEASURE}</body>")
    measured = measured.replace("<td>3</td>", f"<td>{64 * '8'}</td>")
    frame = tmp_path / "frame.html"  # a window cannot be as narrow as a phone, a frame can
    frame.write_text(
        f'<!DOCTYPE html><title>frame</title><iframe width="{width}" height="800" frameborder="0" '
        f'srcdoc="{escape(measured)}"></iframe>'
    )
    read = re.search(r'<pre id="measured">(.*?)</pre>', dom(frame, width + 100))
    assert read
    found = json.loads(unescape(read[1]))
    assert found["inner"] == width
    assert found["scroll"] <= width, found["wide"]
    assert found["wide"] == [] and found["broken"] == found["hidden"] == found["narrow"] == found["small"] == 0
    assert found["cut"] == 0
    assert found["loaded"] == []
    assert found["images"] == len(Page(html).of("img")) > 30
