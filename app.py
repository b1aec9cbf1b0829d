"""The frame of the dashboard: page, sidebar, navigation. Start it with `streamlit run app.py`."""

from functools import partial
from pathlib import Path

import streamlit as st

from ffn.card import CheckpointError
from ffn.policies import POLICIES
from workbench import session
from workbench.background import SLIDER
from workbench.elements import PAGE
from workbench.report import html
from workbench.words import sentence

TITLE = "Frame Flexible Networks"
UPLOAD, EMBEDDED, FOLDER = "an upload", "moving_shapes, test split", "a folder or manifest"
LARGEST_UPLOAD = 500  # MB
# On the light primary colour of the dark theme Streamlit writes in white, which cannot be read.
DARK_ON_LIGHT = """<style>
@media (prefers-color-scheme: dark) { [data-testid=stBaseButton-primary], [data-tag] { color: #10151c } }
</style>"""


def sidebar() -> session.Selection | None:
    """Draws the choice of checkpoint, data and frames; None until there is a checkpoint that works."""
    num_frames = st.slider(
        "Frames per clip, T",
        SLIDER[0],
        SLIDER[-1],
        4,
        key="frames",
        bind="query-params",
        help="How many frames of every video the network sees.",
    )
    checkpoint = choose_checkpoint()
    data = choose_data()
    policy = st.selectbox(
        "Other counts than the trained ones",
        POLICIES,
        key="policy",
        bind="query-params",
        help="nearest: the branch trained nearest, as in the paper. interpolate: a branch between two trained ones. "
        "recalibrate: norm statistics recomputed at that count. synthesise: clips filled up with blended frames. "
        "repeat: clips filled up with frames shown again.",
    )
    return session.Selection(checkpoint, data, num_frames, policy) if checkpoint else None


def choose_checkpoint() -> session.Checkpoint | None:
    """The chosen checkpoint; where it cannot be used, a sentence says why."""
    bundled = session.bundled()
    choice = st.selectbox("Checkpoint", [*bundled, session.LOCAL, UPLOAD], key="checkpoint", bind="query-params")
    try:
        if choice == UPLOAD:
            return uploaded()
        path = bundled.get(choice) or local_path(
            "Path of a .safetensors file, or of one of the paper's authors", "checkpoint_path"
        )
        return session.open_path(Path(path)) if path else None
    except CheckpointError as error:
        st.error(sentence(error))
        return None


def uploaded() -> session.Checkpoint | None:
    """The uploaded checkpoint, if there is one."""
    upload = st.file_uploader("A .safetensors file", type="safetensors", max_upload_size=LARGEST_UPLOAD)
    st.caption("An upload stays in this session: the link in the address bar does not carry it.")
    return session.open_upload(upload) if upload else None


def choose_data() -> str | None:
    """The path of the chosen folder or manifest; None for the embedded data."""
    choice = st.selectbox("Data", [EMBEDDED, FOLDER], key="data", bind="query-params")
    return local_path("Path of a folder of class/video.mp4, or of a CSV", "data_path") if choice == FOLDER else None


def report() -> None:
    """What was put into the report, and the file of it."""
    kept = session.report()
    if not kept:
        return
    with st.expander(f"Report · {len(kept)}", key="report", expanded=True):
        for name, view in list(kept.items()):
            if st.button(view.title, icon=":material/close:", key=f"drop {name}", help="Remove from the report"):
                del kept[name]
                st.rerun()
        st.download_button(
            "Download", partial(html, list(kept.values()), TITLE), "report.html", "text/html", on_click="ignore"
        )


def local_path(label: str, key: str) -> str:
    """A path on this machine that the viewer types, "" so far."""
    return st.text_input(label, key=key, bind="query-params").strip().strip("\"'")


def follow_link() -> None:
    """Goes to the page that a link names.

    The path of a page would do too, but there Streamlit first looks for its server below that path, in vain.
    """
    wanted = {name: st.query_params.get_all(name) for name in st.query_params}
    name = wanted.pop(PAGE, [""])[-1]
    for page in PAGES:
        if name and page.url_path == name:
            st.switch_page(page, query_params=wanted)


session.settle()
st.set_page_config(page_title=TITLE, page_icon="🎞️", layout="wide")
st.html(DARK_ON_LIGHT)
PAGES = [
    st.Page("workbench/pages/overview.py", title="Overview", icon=":material/insights:"),
    st.Page("workbench/pages/cost.py", title="Cost", icon=":material/speed:"),
    st.Page("workbench/pages/normalisation.py", title="Normalisation", icon=":material/equalizer:"),
    st.Page("workbench/pages/videos.py", title="Videos", icon=":material/video_library:"),
    st.Page("workbench/pages/classes.py", title="Classes", icon=":material/grid_on:"),
    st.Page("workbench/pages/representations.py", title="Representations", icon=":material/scatter_plot:"),
    st.Page("workbench/pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
    st.Page("workbench/pages/your_video.py", title="Your video", icon=":material/videocam:"),
    st.Page("workbench/pages/train.py", title="Train", icon=":material/model_training:"),
    st.Page("workbench/pages/lesson.py", title="Lesson", icon=":material/school:"),
]
page = st.navigation(PAGES)
follow_link()
with st.sidebar:
    session.select(sidebar())
    report()
page.run()
