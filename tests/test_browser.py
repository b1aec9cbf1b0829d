"""The real server in a real browser: it shows what is recorded, asks no other host, and its slider is quick.

Screenshots land in screenshots/.
"""

import csv
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import ARGUMENTS, executable
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ffn import decision_files, moving_shapes
from ffn.bundled import records_of
from ffn.card import read_card
from ffn.decisions import Decisions, confusion
from workbench import analysis, plots

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "workbench" / "demo"
SCREENSHOTS = ROOT / "screenshots"
CHECKPOINT = "tsm-16"
PAGES = re.findall(r"pages/(\w+)\.py", (ROOT / "app.py").read_text(encoding="utf-8"))
DARK = "rgb(16, 21, 28)"  # the background in the dark, of .streamlit/config.toml
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

# Keeps the time at which the page was drawn anew the last time.
QUIET = """
() => {
  window.drawn = performance.now();
  const look = () => { window.drawn = performance.now(); };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true });
}
"""

# Where in a chart its axes say x and y, in pixels.
PLACE = """
(chart, [x, y]) => {
  const { _size: margin, xaxis, yaxis } = chart._fullLayout;
  return { x: margin.l + xaxis.d2p(x), y: margin.t + yaxis.d2p(y) };
}
"""

COMPLAINTS = ("Traceback", "missing ScriptRunContext", "terminate called")  # of a server that is not well

pytestmark = pytest.mark.browser


@contextmanager
def served(script: Path) -> Iterator[str]:
    """The address of a server that runs a Streamlit script while the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.headless", "true", "--server.port", str(port), "--server.address", "127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options, "--browser.gatherUsageStats", "false"]
    with TemporaryFile("w+") as log:
        server = subprocess.Popen(command, cwd=script.parent, stdout=log, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/_stcore/health", server)
            yield address
        finally:
            server.terminate()
            server.wait(20)
        log.seek(0)
        said = log.read()
    assert not any(words in said for words in COMPLAINTS), said


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


def title(name: str = CHECKPOINT) -> str:
    return read_card(DEMO / f"{name}.safetensors")["title"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recorded(num_frames: int, name: str = CHECKPOINT) -> str:
    row = next(row for row in rows_of(DEMO / f"{name}.accuracy.csv") if int(row["num_frames"]) == num_frames)
    return f"{100 * int(row['correct']) / int(row['clips']):.1f} %"


def answers(name: str = CHECKPOINT) -> Decisions:
    found, _ = decision_files.load(records_of(DEMO / f"{name}.safetensors")[1])
    return found


def link(address: str, **choices: object) -> str:
    return f"{address}/?{urlencode({'checkpoint': title(), **choices})}"


class Viewer:
    """Somebody who looks at one checkpoint and moves the slider about."""

    def __init__(self, chromium: Browser, address: str, name: str, num_frames: int) -> None:
        self.name, self.num_frames = name, num_frames
        self.page = chromium.new_page(viewport={"width": 1280, "height": 900})
        self.page.goto(link(address, checkpoint=title(name), frames=num_frames))
        settled(self.page)

    def move(self, steps: int) -> None:
        quiet(self.page)  # Streamlit may lose a key that is pressed while the page is drawn
        for _ in range(abs(steps)):
            self.page.get_by_role("slider").press("ArrowRight" if steps > 0 else "ArrowLeft")
        self.num_frames += steps

    def check(self) -> None:
        expect(top1(self.page)).to_have_text(recorded(self.num_frames, self.name), timeout=PATIENCE)
        expect(self.page.get_by_test_id("stMain").locator("h3").first).to_contain_text(f"At {self.num_frames} frame")


def settled(page: Page) -> Page:
    """The page once everything on it is there."""
    expect(page.locator(".stMarkdownBadge", has_text="recorded")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_attached(timeout=PATIENCE)
    expect(page.get_by_text("measuring")).to_have_count(0, timeout=PATIENCE)
    return page


def top1(page: Page):
    return page.get_by_test_id("stMetric").filter(has_text="Top-1").get_by_test_id("stMetricValue")


@contextmanager
def watched(chromium: Browser, address: str, **look: object) -> Iterator[Page]:
    """A page that complains of nothing, and asks nobody but its server, while the block lasts."""
    page = chromium.new_page(**look)
    outside, complaints = [], []
    page.on("request", lambda request: outside.append(request.url))
    page.on("console", lambda message: complaints.append(message) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(error))
    yield page
    ours = (address, address.replace("http", "ws"), "data:", "blob:")
    assert not [url for url in outside if not url.startswith(ours)]
    assert not complaints
    page.close()


def test_the_slider_shows_what_is_recorded_and_nothing_leaves_the_machine(address, chromium):
    with watched(chromium, address) as page:
        page.goto(link(address, frames=8))
        expect(top1(settled(page))).to_have_text(recorded(8), timeout=PATIENCE)
        page.get_by_role("slider").press("ArrowRight")
        expect(top1(page)).to_have_text(recorded(9), timeout=PATIENCE)
        expect(page).to_have_url(re.compile("frames=9"))


def opened(page: Page, address: str, name: str, **choices: object) -> Page:
    """A page by its permalink, once its script has run to the end."""
    painted(page, address, name, **choices)
    finished(page)
    return page


def painted(page: Page, address: str, name: str, **choices: object) -> None:
    """Opens a page by its permalink, until its first words or numbers are there."""
    page.goto(link(address, **({} if name == "overview" else {"page": name}), **choices))
    first = page.get_by_test_id("stMain").locator("h3, h4, [data-testid=stMetric]").first
    expect(first).to_be_visible(timeout=PATIENCE)


def finished(page: Page) -> None:
    """Waits until the script of a page has run to the end."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE)


def quiet(page: Page) -> None:
    """Waits until a page has not been drawn anew for a second: what is done meanwhile may be lost."""
    page.evaluate(QUIET)
    page.wait_for_function("performance.now() - window.drawn > 1000", timeout=PATIENCE)


def drawn(page: Page) -> None:
    """Waits until every chart of a page is painted, and what it measures is there."""
    for unfinished in (
        page.get_by_test_id("stSkeleton"),
        page.get_by_test_id("stProgress"),
        page.get_by_text("measuring"),
    ):
        expect(unfinished).to_have_count(0, timeout=3 * PATIENCE)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(c => c.querySelector('.main-svg'))",
        timeout=PATIENCE,
    )
    quiet(page)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_by_its_link_without_a_complaint(address, chromium, name):
    with watched(chromium, address, viewport={"width": 390, "height": 900}) as page:
        opened(page, address, name, frames=8)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page).to_have_url(re.compile(r"frames=8"))
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_link_of_a_view_leads_back_to_it(address, chromium):
    with watched(chromium, address, viewport={"width": 1280, "height": 1180}) as page:
        opened(page, address, "normalisation", frames=3, layer="layer3.0.bn1")
        page.get_by_text("Table, Python, report").first.click()
        shown = page.locator("code", has_text=f"{address}/?page=normalisation")
        expect(shown).to_be_visible(timeout=PATIENCE)
        page.goto(shown.inner_text())
        expect(page).to_have_url(
            re.compile(r"/normalisation\?(?=.*frames=3)(?=.*layer=layer3.0.bn1)"), timeout=PATIENCE
        )
        expect(page.locator(".st-key-channels_chart").first).to_be_visible(timeout=PATIENCE)


def click(page: Page, key: str, x: str, y: str | float) -> None:
    """Clicks a chart where its axes say x and y."""
    chart = page.locator(f".st-key-{key}_chart .js-plotly-plot")
    expect(chart.locator(".main-svg").first).to_be_attached(timeout=PATIENCE)
    quiet(page)
    chart.click(position=chart.evaluate(PLACE, [x, y]))


def test_an_uploaded_checkpoint_shows_its_number(address, chromium, tmp_path):
    shutil.copy(DEMO / f"{CHECKPOINT}.safetensors", tmp_path / "mine.safetensors")
    with watched(chromium, address) as page:
        page.goto(link(address, checkpoint="an upload", frames=4))
        expect(page.get_by_text("Choose a checkpoint in the sidebar")).to_be_visible(timeout=PATIENCE)
        page.get_by_test_id("stSidebar").locator("input[type=file]").set_input_files(tmp_path / "mine.safetensors")
        expect(top1(page)).to_have_text(recorded(4), timeout=PATIENCE)


def test_an_uploaded_video_is_answered_at_every_count(address, chromium):
    number = 5
    found, manifest = answers(), moving_shapes.prepare("test")
    path = manifest.parent / rows_of(manifest)[number]["path"]
    with watched(chromium, address, viewport={"width": 1280, "height": 1180}) as page:
        opened(page, address, "your_video", frames=4, video="a file")
        page.get_by_test_id("stMain").locator("input[type=file]").set_input_files(path)
        for num_frames in (4, 5):
            if num_frames == 5:
                quiet(page)  # or the pictures of the step before are asked for in vain
                page.get_by_test_id("stSidebar").get_by_role("slider").press("ArrowRight")
            said = moving_shapes.CLASSES[found.predictions[found.place(num_frames), number]]
            expected = f"At {num_frames} frames this network sees {said}"
            expect(page.locator("h3")).to_contain_text(expected, timeout=PATIENCE)
        quiet(page)


def test_what_the_camera_records_is_looked_at(address, chromium):
    with watched(chromium, address, viewport={"width": 1280, "height": 1180}) as page:
        opened(page, address, "your_video", frames=4, video="the camera")
        page.get_by_role("button", name="Record").click(timeout=PATIENCE)
        expect(page.get_by_text(re.compile(r"Recording: \d\d frames"))).to_be_visible(timeout=PATIENCE)
        expect(page.locator(".js-plotly-plot").first).to_be_attached(timeout=PATIENCE)
        page.get_by_role("button", name="Stop").click()
        told = page.get_by_text(re.compile(r"Recorded \d+ frames"))
        expect(told).to_be_visible(timeout=PATIENCE)
        frames = re.search(r"\d+", told.inner_text()).group()
        expect(page.locator("h3")).to_contain_text("At 4 frames this network sees", timeout=PATIENCE)
        expect(page.get_by_text(f"The video has {frames} frames")).to_be_visible()


def test_keys_walk_through_the_videos(address, chromium):
    with watched(chromium, address, viewport={"width": 1280, "height": 1180}) as page:
        number = opened(page, address, "videos", frames=4).get_by_label("Video", exact=True)
        expect(page.get_by_test_id("stImage").first).to_be_visible(timeout=PATIENCE)
        for key, there in (("n", "1"), ("n", "2"), ("p", "1")):
            quiet(page)  # or the pictures of a video that is left are asked for in vain
            page.keyboard.press(key)
            expect(number).to_have_value(there, timeout=PATIENCE)
        expect(page).to_have_url(re.compile(r"video=1(&|$)"))
        quiet(page)


def test_a_click_on_a_confusion_leads_to_its_videos(address, chromium):
    counts = confusion(answers(), 4)
    row, column = np.unravel_index((counts - np.diag(np.diag(counts))).argmax(), counts.shape)
    label, answer, count = moving_shapes.CLASSES[row], moving_shapes.CLASSES[column], counts[row, column]
    with watched(chromium, address, viewport={"width": 1280, "height": 1180}) as page:
        click(opened(page, address, "classes", frames=4), "confusion", answer, label)
        page.get_by_role("link", name=f"{count} videos").click(timeout=PATIENCE)
        expect(page.get_by_text(f"1 to {min(count, 12)} of {count}")).to_be_visible(timeout=PATIENCE)
        expect(page).to_have_url(re.compile(urlencode({"class": label, "answer": answer})))


def test_a_click_on_a_layer_shows_its_channels(address, chromium):
    with watched(chromium, address, viewport={"width": 1280, "height": 1180}) as page:
        click(opened(page, address, "normalisation", frames=4), "divergence", "layer3.0.bn1", 0.01)
        expect(page).to_have_url(re.compile("layer=layer3.0.bn1"), timeout=PATIENCE)
        chart = page.locator(".st-key-channels_chart [role=img], .st-key-channels_chart [aria-label]").first
        expect(chart).to_have_attribute("aria-label", re.compile("channels of layer3.0.bn1"), timeout=PATIENCE)


LOOKS = {"light": ("light", 1280, 1180), "dark": ("dark", 1280, 1180), "phone": ("light", 390, 2100)}


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(address, chromium, name):
    page = opened(chromium.new_page(viewport={"width": 1280, "height": 1180}), address, name, frames=8)
    if name == "videos":  # the words under the thumbnails come with them
        expect(page.get_by_test_id("stImage").first).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout(1000)
    assert not serious(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 1180})
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", DARK, timeout=PATIENCE)
    page.wait_for_timeout(1000)
    assert not serious(page)
    page.close()


def serious(page: Page) -> dict[str, list[str]]:
    """What axe finds serious on a page, by its rule; not in what is about to be drawn anew, which Streamlit fades."""
    found = Axe().run(page, context={"exclude": [["[data-stale=true]"]]}).response["violations"]
    return {v["id"]: [n["html"][:160] for n in v["nodes"]] for v in found if v["impact"] in ("serious", "critical")}


def test_no_page_lets_one_wait(address, chromium, capsys):
    times = {}
    for name in PAGES:
        page, start = chromium.new_page(viewport={"width": 1280, "height": 1180}), time.monotonic()
        painted(page, address, name, frames=8)
        first = time.monotonic() - start
        finished(page)
        times[name] = first, time.monotonic() - start
        page.close()
    with capsys.disabled():
        print(f"\n{'seconds':16}{'first paint':>12}{'all of it':>12}")
        for name, (first, last) in times.items():
            print(f"{name:16}{first:12.1f}{last:12.1f}")
    assert max(last for _, last in times.values()) < 10


def test_what_was_selected_comes_in_one_file(address, chromium, tmp_path):
    page = chromium.new_page(viewport={"width": 1280, "height": 1600})
    page.goto(link(address, frames=4))
    settled(page).get_by_text("Table, Python, report").first.click()
    page.get_by_role("button", name="Add to the report").click()
    with page.expect_download() as csv_file:
        page.get_by_role("button", name="CSV", exact=True).click()
    expected = analysis.accuracy(rows_of(DEMO / f"{CHECKPOINT}.accuracy.csv"))
    pd.testing.assert_frame_equal(pd.read_csv(csv_file.value.path()), expected, check_dtype=False)
    with page.expect_download() as download:
        page.get_by_test_id("stSidebar").get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "report.html")
    with watched(chromium, "file://") as report:
        report.goto((tmp_path / "report.html").as_uri())
        expect(report.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=PATIENCE)
        expect(report.get_by_role("heading", name="Accuracy against frames")).to_be_visible()
    page.close()


@pytest.mark.parametrize(
    ("viewers", "seconds"), [(3, 20), pytest.param(8, 120, marks=pytest.mark.campaign)], ids=["short", "long"]
)
def test_viewers_see_their_own_numbers(address, chromium, viewers, seconds):
    names, rng = sorted(path.name.split(".")[0] for path in DEMO.glob("*.accuracy.csv")), random.Random(0)
    crowd = [Viewer(chromium, address, names[i % len(names)], 8 + i) for i in range(viewers)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for viewer in crowd:
            viewer.move(rng.choice([-2, -1, 1, 2]) if 3 <= viewer.num_frames <= 30 else 16 - viewer.num_frames)
        for viewer in crowd:
            viewer.check()
    for viewer in crowd:
        viewer.page.close()


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


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", [p if p == "overview" else pytest.param(p, marks=pytest.mark.campaign) for p in PAGES])
def test_screenshots(address, chromium, name, look):
    SCREENSHOTS.mkdir(exist_ok=True)
    scheme, width, height = LOOKS[look]
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    drawn(opened(page, address, name))
    page.screenshot(path=SCREENSHOTS / f"{name}-{look}.png")
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
