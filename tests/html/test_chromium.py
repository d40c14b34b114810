"""The page in a browser, as wide as a desk's and as a phone's: nothing sticks out, all pictures and clips are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.html.made import GREEDY, TOPK, a_sweep, lossy, with_video
from tests.results.made import a_record, write_run
from tests.results.test_runs import config
from vsd.commands import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here (chromium, chromium-browser, google-chrome)")

# A window cannot be as narrow as a phone, a frame can; the page is in it as it is, with its own policy.
_FRAME = """<!doctype html><body><pre id="found"></pre><script>
const frame = document.createElement("iframe");
frame.style = "border: 0; width: WIDTHpx; height: 800px";
frame.srcdoc = PAGE;
frame.onload = async () => {
  const page = frame.contentDocument, wide = frame.contentWindow.innerWidth;
  const ready = video => new Promise(resolve => {
    if (video.readyState || video.error) resolve();
    for (const event of ["loadedmetadata", "error"]) video.addEventListener(event, resolve);
  });
  await Promise.all([...page.querySelectorAll("video")].map(ready));
  const outside = [...page.body.querySelectorAll("*")].filter(each =>
    each.getBoundingClientRect().right > wide + 1 && !each.closest(".scroll"));
  document.getElementById("found").textContent = JSON.stringify({
    wide, scroll: page.documentElement.scrollWidth,
    images: [...page.images].map(image => image.complete && image.naturalWidth),
    videos: [...page.querySelectorAll("video")].map(video => video.videoWidth),
    pictures: [...page.querySelectorAll("svg")].map(each => each.getBoundingClientRect().width),
    columns: getComputedStyle(page.querySelector(".headline")).gridTemplateColumns.split(" ").length,
    outside: outside.map(each => each.outerHTML.slice(0, 100)),
  });
};
document.body.append(frame);
</script>"""


def seen(page: Path, wide: int, folder: Path) -> dict[str, Any]:
    """What a browser makes of a page of this width, in pixels. Fails for what it writes to its console."""
    assert BROWSER is not None
    text = json.dumps(page.read_text(encoding="utf-8")).replace("</", "<\\/")
    file = folder / f"{wide}.html"
    file.write_text(_FRAME.replace("WIDTH", str(wide)).replace("PAGE", text), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000", "--enable-logging=stderr"]
    options += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [BROWSER, *options, file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(folder)},
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(unescape(found[1]))
    return answer


def page_of(kind: str, folder: Path) -> Path:
    if kind == "sweep":
        runs = a_sweep(folder)
    elif kind == "lossy":
        write_run(folder / "all" / "0", [with_video(a_record("a", [5, 5], 6.0), folder / "v")], GREEDY)
        runs = write_run(folder / "all" / "1", [lossy(folder / "v")], TOPK).parent
    else:  # words, names and numbers as long as they come
        record = with_video(a_record("a" * 150, [5], 5.0, name="a" * 150), folder / "v", question="why" * 300)
        long = replace(record, text="Wort" * 500, pieces=("Wort" * 80,) * 7, baseline_text="Wort" * 500)
        failed = replace(long, trace=None, failure="/a/path/" * 60)
        names: dict[str, Any] = {f"dial_{number}": "value" * 9 for number in range(9)}
        for number in range(3):
            records = [long, replace(failed, sample=replace(failed.sample, id="b"))]
            setting = config(ratio=number / 10) | GREEDY | {name: f"{v}{number}" for name, v in names.items()}
            overrides = [f"{name}={value}{number}" for name, value in names.items()]
            write_run(folder / "all" / f"{'run' * 30}{number}", records, setting, overrides=overrides)
        runs = folder / "all"
    assert report.main([str(runs), "--html", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.mark.parametrize("kind", ["sweep", "lossy", "long"])
def test_a_page_fits_a_desk_and_a_phone(kind: str, tmp_path: Path) -> None:
    page = page_of(kind, tmp_path)
    for wide, columns in ((1280, 2), (390, 1)):
        found = seen(page, wide, tmp_path)
        assert found["wide"] == wide
        assert found["scroll"] <= wide
        assert found["outside"] == []
        assert len(found["images"]) >= 4
        assert all(found["images"])
        assert all(found["videos"])
        assert len(found["videos"]) >= 1
        assert all(200 < width <= wide for width in found["pictures"])
        assert found["columns"] == columns
