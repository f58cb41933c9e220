"""The report as a reader meets it: rendered by headless Chromium, which must reach for nothing outside the machine."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Workspace
from PIL import Image
from synthetic import FIGURES, draw, page, write

from interneuron import io

pytestmark = pytest.mark.system

SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    *("--disable-default-apps", "--hide-scrollbars"),
)
# Chromium asks for its own updates however it is told not to; no name resolves, so that nothing of it leaves either.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"


def chromium(folder: Path, *arguments: str) -> str:
    program = shutil.which("chromium")
    assert program, "Chromium is not installed; `make test-system` installs Debian's"
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [program, *SWITCHES, OFFLINE, f"--user-data-dir={folder / 'user'}", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked_for(log: Path) -> list[str]:
    """http(s) addresses that a page, not the browser itself, asked for."""
    record = json.loads(log.read_text())
    start = record["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [
        event["params"] for event in record["events"] if event["type"] == start and "url" in event.get("params", {})
    ]
    own = [request["url"] for request in requests if request.get("initiator") != "not an origin"]
    return [url for url in own if url.startswith(("http:", "https:", "ws:", "wss:"))]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("browser")
    paths = write(folder)
    figures = [draw(paths, folder / "figures" / name) for name in FIGURES]
    return SimpleNamespace(
        folder=folder, paths=paths, figures=figures, file=page(paths, figures, folder / "report.html")
    )


def test_the_page_asks_for_nothing_outside_the_machine(report: SimpleNamespace, tmp_path: Path) -> None:
    log = tmp_path / "page.json"
    dom = chromium(tmp_path / "page", f"--log-net-log={log}", "--dump-dom", report.file.as_uri())
    assert "The ledger" in dom
    assert asked_for(log) == []
    # The same look at a page that does ask, or the empty list above would say nothing.
    greedy = tmp_path / "greedy.html"
    greedy.write_text('<link rel="stylesheet" href="https://a.invalid/s.css"><img src="http://b.invalid/i.png">')
    log = tmp_path / "greedy.json"
    chromium(tmp_path / "greedy", f"--log-net-log={log}", "--dump-dom", greedy.as_uri())
    assert sorted(set(asked_for(log))) == ["http://b.invalid/i.png", "https://a.invalid/s.css"]


def measure(file: Path, tmp_path: Path) -> dict[str, Any]:
    """What Chromium makes of a page: its figures, the ledger's rows, and by how much it is too wide."""
    # The page itself allows no scripts: a copy of it measures.
    text = file.read_text()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)
    assert policy
    probe = """<pre id="measured"></pre><script>
      const places = (selector, of) => [...document.querySelectorAll(selector)].map(of);
      document.getElementById("measured").textContent = JSON.stringify({
        figures: places("figure", f => [f.id, f.querySelector("img").naturalWidth, f.querySelector("img").width]),
        rows: places("tr.claim", r => [r.id, r.getBoundingClientRect().height, r.innerText]),
        overflow: document.documentElement.scrollWidth - window.innerWidth,
      });
    </script>"""
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace(policy.group(), "").replace("</body>", f"{probe}</body>"))
    dom = chromium(tmp_path, "--window-size=1000,800", "--dump-dom", copy.as_uri())
    found = re.search(r'<pre id="measured">(.+?)</pre>', dom, re.S)
    assert found
    return dict(json.loads(unescape(found.group(1))))


def test_every_figure_and_every_row_is_rendered(report: SimpleNamespace, tmp_path: Path) -> None:
    measured = measure(report.file, tmp_path)
    widths = []
    for path in report.figures:
        with Image.open(path) as picture:
            widths.append(picture.width)
    assert len(widths) == 12
    assert [natural for _, natural, _ in measured["figures"]] == widths
    assert [shown for _, _, shown in measured["figures"]] == widths, "figures are shown at their own size"
    assert [anchor for anchor, _, _ in measured["figures"]] == [
        f"tiny-{path.stem}{'-gif' * (path.suffix == '.gif')}" for path in report.figures
    ]
    claims = io.load_table(report.paths.claims)
    assert [row for row, _, _ in measured["rows"]] == [f"claim-tiny-{claim}" for claim in claims["claim"]]
    for (_, height, shown), claim in zip(measured["rows"], claims.itertuples(), strict=True):
        assert height > 20
        assert str(claim.verdict) in shown
        assert str(claim.states) in shown
    assert measured["overflow"] <= 0


def test_the_report_of_a_run_shows_its_figures_and_its_ledger(finished: Workspace, tmp_path: Path) -> None:
    measured = measure(finished.folder / "results/report.html", tmp_path)
    figures = list((finished.folder / "results/studies").glob("*/figures/*"))
    assert len(figures) > 5
    assert sorted(anchor for anchor, _, _ in measured["figures"]) == sorted(
        f"{path.parts[-3]}-{path.stem}{'-gif' * (path.suffix == '.gif')}" for path in figures
    )
    assert all(width > 300 for _, width, _ in measured["figures"])
    claims = io.load_table(finished.folder / "results/claims.tsv")
    assert len(claims) > 3
    assert [row for row, _, _ in measured["rows"]] == [
        f"claim-{claim.study}-{claim.claim}" for claim in claims.itertuples()
    ]
    for (_, _, shown), claim in zip(measured["rows"], claims.itertuples(), strict=True):
        assert str(claim.verdict) in shown
    assert measured["overflow"] <= 0


def test_the_page_looks_like_something_at_its_anchors(report: SimpleNamespace, tmp_path: Path) -> None:
    shots = {}
    for anchor in ("ledger", "tiny-traversal", "tiny-null"):
        shot = tmp_path / f"{anchor}.png"
        arguments = ("--window-size=1000,700", "--virtual-time-budget=5000", f"--screenshot={shot}")
        for attempt in range(3):  # on a busy machine the picture may be taken before anything is painted
            chromium(tmp_path / f"{anchor}-{attempt}", *arguments, f"{report.file.as_uri()}#{anchor}")
            with Image.open(shot) as picture:
                assert picture.size == (1000, 700)
                shots[anchor] = np.asarray(picture.convert("RGB"), dtype=int)
            if shots[anchor].std() > 5:
                break
        assert shots[anchor].std() > 5, "the page is not blank"
    assert not np.array_equal(shots["ledger"], shots["tiny-traversal"])
    # The verdicts' green and red.
    for colour in ((220, 242, 228), (251, 224, 220)):
        assert (np.abs(shots["ledger"] - colour).max(axis=2) < 3).sum() > 200
