"""The real server in a real browser: it shows what is recorded, asks no other host, and its slider is quick.

Screenshots land in screenshots/.
"""

import csv
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import pandas as pd
import pytest
from browser import ARGUMENTS, executable
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ffn import moving_shapes
from ffn.card import read_card
from workbench import analysis, plots

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "workbench" / "demo"
SCREENSHOTS = ROOT / "screenshots"
CHECKPOINT = "tsm-16"
PATIENCE = 60_000  # milliseconds: continuous integration is slow

# The least that a page with these charts can do: every figure is in memory, nothing else is drawn.
BARE_PAGE = """
import json
from pathlib import Path
import plotly.io
import streamlit as st

@st.cache_resource
def figures():
    return {int(t): [plotly.io.from_json(f) for f in both] for t, both in json.loads(Path(FIGURES).read_text()).items()}

st.set_page_config(layout="wide")
num_frames = st.sidebar.slider("Frames per clip, T", 1, 32, 4)
st.subheader(f"At {num_frames} frames")
for column, figure in zip(st.columns(2), figures()[num_frames], strict=True):
    column.plotly_chart(figure, config={"displayModeBar": False})
"""

# Starts a clock when a key goes down, and stops it when text and charts show the frame count.
CLOCK = """
frames => {
  const shown = () => {
    const text = document.querySelector('[data-testid=stMain] h3')?.innerText ?? '';
    const charts = [...document.querySelectorAll('.js-plotly-plot')];
    const told = chart => (chart.layout?.meta?.alt ?? '').includes(` at ${frames} frames`);
    return text.startsWith(`At ${frames} frames`) && charts.length > 1 && charts.every(told);
  };
  window.took = null;
  document.addEventListener('keydown', () => {
    const start = performance.now();
    const look = () => { if (shown()) window.took = performance.now() - start; else requestAnimationFrame(look); };
    look();
  }, {once: true, capture: true});
}
"""

pytestmark = pytest.mark.browser


@contextmanager
def served(script: Path) -> Iterator[str]:
    """The address of a server that runs a Streamlit script while the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.headless", "true", "--server.port", str(port), "--server.address", "127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options, "--browser.gatherUsageStats", "false"]
    server = subprocess.Popen(command, cwd=script.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/_stcore/health", server)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    moving_shapes.prepare("test")
    with served(ROOT / "app.py") as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = executable()  # starts Playwright itself, which cannot be nested
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def title() -> str:
    return read_card(DEMO / f"{CHECKPOINT}.safetensors")["title"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recorded(num_frames: int) -> str:
    row = next(row for row in rows_of(DEMO / f"{CHECKPOINT}.accuracy.csv") if int(row["num_frames"]) == num_frames)
    return f"{100 * int(row['correct']) / int(row['clips']):.1f} %"


def link(address: str, **choices: object) -> str:
    return f"{address}/?{urlencode({'checkpoint': title(), **choices})}"


def settled(page: Page) -> Page:
    """The page once everything on it is there."""
    expect(page.locator(".stMarkdownBadge", has_text="recorded")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_attached(timeout=PATIENCE)
    expect(page.get_by_text("measuring")).to_have_count(0, timeout=PATIENCE)
    return page


def top1(page: Page):
    return page.get_by_test_id("stMetric").filter(has_text="Top-1").get_by_test_id("stMetricValue")


def test_the_slider_shows_what_is_recorded_and_nothing_leaves_the_machine(address, chromium):
    page = chromium.new_page()
    outside, complaints = [], []
    page.on("request", lambda request: None if address in request.url else outside.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(link(address, frames=8))
    expect(top1(settled(page))).to_have_text(recorded(8), timeout=PATIENCE)
    page.get_by_role("slider").press("ArrowRight")
    expect(top1(page)).to_have_text(recorded(9), timeout=PATIENCE)
    expect(page).to_have_url(re.compile("frames=9"))
    assert not [url for url in outside if not url.startswith(("data:", "blob:", address.replace("http", "ws")))]
    assert not complaints
    page.close()


def test_pages_keep_the_selection(address, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 1600})
    page.goto(link(address, frames=8))
    settled(page).get_by_test_id("stSidebarNav").get_by_text("Normalisation").click()
    expect(page).to_have_url(re.compile(r"normalisation\?.*frames=8"))
    expect(page.get_by_text("How far the statistics move")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".js-plotly-plot .main-svg").nth(1)).to_be_attached(timeout=PATIENCE)
    page.reload()
    expect(page.get_by_role("slider")).to_have_value("8", timeout=PATIENCE)
    expect(page.get_by_text("How far the statistics move")).to_be_visible(timeout=PATIENCE)
    page.close()


@pytest.mark.parametrize(
    ("name", "scheme", "width", "height"),
    [("light", "light", 1280, 1180), ("dark", "dark", 1280, 1180), ("phone", "light", 390, 2100)],
)
def test_screenshots(address, chromium, name, scheme, width, height):
    SCREENSHOTS.mkdir(exist_ok=True)
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(link(address))
    settled(page).wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / f"overview-{name}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()


def figures(frame_counts: Iterable[int]) -> dict[int, list[str]]:
    """The two charts of the page at some frame counts, as JSON."""
    paths = sorted(DEMO.glob("*.accuracy.csv"))
    curves = {path.name.split(".")[0]: analysis.accuracy(rows_of(path)) for path in paths}
    numbers = pd.read_csv(DEMO / f"{CHECKPOINT}.divergence.csv").to_dict("records")
    table = analysis.divergence(numbers)
    return {
        t: [
            plots.accuracy_curves(curves, t, CHECKPOINT).to_json(),
            plots.divergence_bars(table[table.num_frames == t], upper=table.mean_shift.max()).to_json(),
        ]
        for t in frame_counts
    }


def move(page: Page, num_frames: int) -> float:
    """Milliseconds from the key that moves the slider to this frame count until text and charts show it."""
    page.evaluate(CLOCK, num_frames)
    page.get_by_role("slider").press("ArrowRight")
    page.wait_for_function("window.took !== null", timeout=PATIENCE)
    return page.evaluate("window.took")


def test_the_slider_against_a_bare_page_with_the_same_charts(address, chromium, tmp_path, capsys):
    start, moves = 8, 12
    page = chromium.new_page(viewport={"width": 1280, "height": 1180})
    page.goto(link(address, frames=start))
    settled(page)
    for num_frames in range(start + 1, start + moves + 1):  # once everything is measured
        move(page, num_frames)
        settled(page)
    page.goto(link(address, frames=start))
    settled(page)
    (tmp_path / "figures.json").write_text(json.dumps(figures(range(start, start + moves + 1))))
    script = tmp_path / "bare.py"
    script.write_text(
        f"FIGURES = {str(tmp_path / 'figures.json')!r}\n{BARE_PAGE}".replace("1, 32, 4", f"1, 32, {start}")
    )
    with served(script) as bare_address:
        bare = chromium.new_page(viewport={"width": 1280, "height": 1180})
        bare.goto(bare_address)
        expect(bare.locator(".js-plotly-plot .main-svg").first).to_be_attached(timeout=PATIENCE)
        bare.wait_for_timeout(1000)
        times = [(move(page, t), move(bare, t)) for t in range(start + 1, start + moves + 1)]
    ours, theirs = (median(column) for column in zip(*times, strict=True))
    with capsys.disabled():
        print(f"\nslider to update: {ours:.0f} ms, bare page {theirs:.0f} ms, ratio {ours / theirs:.2f}")
    assert ours < 10_000
