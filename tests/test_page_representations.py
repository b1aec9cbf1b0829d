"""The page Representations: features once, and every view from them, with the library's numbers."""

import pytest
from streamlit.testing.v1 import AppTest
from test_app import TITLES, bundled, chosen, finished, page_of, selected  # noqa: F401

from ffn.data import clips_for
from ffn.probing import probe
from workbench import analysis, extraction, jobs, session


@pytest.fixture
def app(folder) -> AppTest:
    """The page with its features there."""
    app = page_of("representations", checkpoint=TITLES[1], frames=3)
    return finished(app, jobs.features(selected(app), folder))


def test_features_of_every_view_are_extracted_once(app, folder, decoded):
    found = jobs.features(selected(app), folder).result
    assert found.frames == (2, 3, 4, 8, 16)
    before = len(decoded)
    finished(app, jobs.embedding(selected(app), folder, found, "pooled", None))
    finished(app, jobs.similarity(selected(app), folder, found))
    assert len(decoded) == before
    assert len(app.get("plotly_chart")) == 5


def test_videos_are_placed_by_components_and_by_maps(app, folder):
    found = jobs.features(selected(app), folder).result
    job = jobs.embedding(selected(app), folder, found, "pooled", None)
    finished(app, job)
    clips = clips_for(chosen(TITLES[1]).card, folder, found.frames)
    assert job.result.equals(analysis.components(found, "pooled", clips))
    app.selectbox(key="features").set_value("layer4.1").run()
    app.selectbox(key="plane").set_value("t-SNE").run()
    job = jobs.embedding(selected(app), folder, found, "layer4.1", 4)
    finished(app, job)
    assert set(job.result.num_frames) == {2, 3, 4, 8, 16}
    assert "disparity" in job.result


def test_two_networks_are_compared(app, folder):
    found = jobs.features(selected(app), folder).result
    finished(app, jobs.similarity(selected(app), folder, found))
    app.selectbox(key="against").set_value(TITLES[0]).run()
    job = jobs.similarity(selected(app), folder, found, chosen(TITLES[0]))
    finished(app, job)
    other = extraction.features(session.model(chosen(TITLES[0])), folder, found.frames)
    assert job.result.equals(analysis.similarity(found, other))


def test_probes_start_when_asked_and_are_those_of_the_library(app, folder):
    found = jobs.features(selected(app), folder).result
    app.button(key="probes_start").click().run()
    job = jobs.probes(selected(app), folder, found, 4)
    finished(app, job)
    assert job.result.equals(analysis.probes(probe(*found.halves(), 4)))


def test_without_videos_the_page_says_so():
    app = page_of("representations", data="a folder or manifest")
    assert "Features can be extracted once there are videos." in [text.value for text in app.caption]
