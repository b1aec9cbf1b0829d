"""The page Your video: one video by a sample, a file or a camera; what it says is what the library says."""

import base64
import os
import tempfile
from io import BytesIO

import numpy as np
import pytest
from conftest import counting_frames, write_video
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_app import TITLES, bundled, chosen, opened  # noqa: F401

import ffn
from ffn.checkpoint import preprocessing
from ffn.footage import Footage
from ffn.video import UnreadableVideoError
from workbench import analysis, session, watching
from workbench.background import SLIDER

PAGE = "workbench/pages/your_video.py"


def page(**choices: object) -> AppTest:
    app = opened(**choices).switch_page(PAGE).run()
    assert not app.exception
    return watched(app)


def watched(app: AppTest) -> AppTest:
    """The page once its video has been looked at."""
    if session.OWN in app.session_state:
        app.session_state[session.OWN]["watched"][1].task.wait(60)
        app.run()
    assert not app.exception
    return app


def charts(app: AppTest) -> int:
    return len(app.get("plotly_chart"))


@pytest.mark.parametrize(("title", "policy"), [(TITLES[0], "nearest"), (TITLES[1], "repeat")])
def test_a_sample_is_there_at_once(folder, title, policy):
    app = page(checkpoint=title, frames=3, policy=policy, sample="b", sample_number=2)
    model = session.model(chosen(title))
    table = analysis.answers(ffn.any_frame(model, SLIDER, policy), folder / "b" / "1.mp4", SLIDER)
    assert app.subheader[0].value == analysis.verdict(table, 3, "b")
    assert charts(app) == 3
    assert any("shown at 3 frames" in text.value for text in app.markdown)


def test_the_confidence_that_is_enough_says_where_it_stops(folder):
    app = page(checkpoint=TITLES[1], enough=50)
    table = analysis.passes(session.model(chosen(TITLES[1])), folder / "a" / "0.mp4", (2, 4))
    assert any(f"after the pass of {table.num_frames[0]} frames" in text.value for text in app.caption)
    app.slider(key="enough").set_value(100).run()
    assert any("after the pass of 4 frames" in text.value for text in app.caption)


def test_other_data_gives_its_own_samples_and_its_errors(tmp_path, folder):
    (folder / "b").rename(folder / "elsewhere")
    app = page(data="a folder or manifest", data_path=folder, sample="elsewhere")
    assert "but it shows elsewhere" in app.subheader[0].value
    app = page(data="a folder or manifest", data_path=tmp_path / "missing")
    assert "no such folder" in app.error[0].value.lower()
    assert "Give the path" in page(data="a folder or manifest").info[0].value


def test_a_sample_that_cannot_be_read_is_a_sentence(folder):
    (folder / "a" / "0.mp4").write_bytes(b"")
    app = page(sample="a")
    assert "0.mp4" in app.error[0].value
    assert not charts(app)


def test_without_a_file_and_without_a_camera_nothing_is_computed():
    for source in ("a file", "the camera"):
        app = page(video=source)
        assert not charts(app)
        assert any("gone with it" in text.value for text in app.caption)


def test_an_uploaded_file_is_on_disk_only_while_it_is_read(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    how = preprocessing({"input_size": 32})
    before = set(os.listdir(tmp_path))
    with watching.uploaded((folder / "a" / "0.mp4").read_bytes(), "mine.mp4", how) as seen:
        seen.decode(range(12))
        assert set(os.listdir(tmp_path)) != before
    assert set(os.listdir(tmp_path)) == before
    assert (seen.stack(range(12)) == Footage(folder / "a" / "0.mp4", how).stack(range(12))).all()
    with (
        pytest.raises(UnreadableVideoError, match=r"^mine\.mp4: .*; try another \.mp4"),
        watching.uploaded(b"nothing", "mine.mp4", how),
    ):
        pass
    assert set(os.listdir(tmp_path)) == before


def test_watching_needs_no_more_of_a_file_than_it_keeps(tmp_path, checkpoint):
    path, model = write_video(tmp_path / "a.mp4", np.tile(counting_frames(40), (5, 1, 1, 1))), ffn.load(checkpoint())
    video = watching.uploaded(path.read_bytes(), "a.mp4", preprocessing(model.card))
    found = watching.watch(model, lambda _: model, video, (1, 2, 4, 8), stage=lambda *_: None)
    assert found.answers.equals(analysis.answers(model, path, (1, 2, 4, 8)))
    assert found.arrivals.equals(analysis.arrivals(model, path))
    assert found.passes.equals(analysis.passes(model, path, (4, 8)))
    assert len(found.footage.images) < 100


def urls(images: np.ndarray) -> list[str]:
    """Pictures as a browser sends them."""
    found = []
    for image in images:
        content = BytesIO()
        Image.fromarray(image).save(content, "png")
        found.append(f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}")
    return found


def test_a_recording_says_what_a_stream_says_and_takes_no_picture_twice(monkeypatch, checkpoint):
    monkeypatch.setattr(watching, "LONGEST", 10)
    model, images = ffn.load(checkpoint()), counting_frames(12)
    recording, pictures, stream = watching.Recording(model), urls(images), ffn.Stream(model)
    assert recording.table() is None
    for first, last in ((0, 3), (2, 6)):
        recording.feed(first, pictures[first:last], done=False)
        recording._task.wait(30)
    assert (len(recording), recording.done) == (6, False)
    for image in images[:6]:
        stream.push(image)
    rows = recording.table().query("frame == 6")
    assert rows.probability.max() == pytest.approx(float(100 * stream.predict().softmax(-1).max()), abs=1e-3)
    recording.feed(6, pictures[6:], done=False)
    assert (len(recording), recording.done) == (10, True)
    np.testing.assert_array_equal(recording.frames([0, 9]), images[[0, 9]])
    with pytest.raises(ValueError, match="no image"):
        watching.Recording(model).feed(0, ["data:,nothing"], done=True)


@pytest.mark.parametrize(("frames", "counts"), [((4, 8), (4, 8)), ((16,), (4, 8, 16)), ((2,), (1, 2)), ((1,), (1,))])
def test_the_counts_that_are_tried_in_turn(frames, counts):
    assert watching.budget(frames) == counts


def test_another_sample_takes_the_place_of_the_first(folder):
    app = page(sample="a")
    first = app.session_state[session.OWN]["watched"]
    app.selectbox(key="sample").set_value("b").run()
    second = watched(app).session_state[session.OWN]["watched"]
    assert first[0] != second[0]
    assert first[1].task.cancelled
    table = analysis.answers(session.model(chosen(TITLES[0])), folder / "b" / "0.mp4", SLIDER)
    assert app.subheader[0].value == analysis.verdict(table, 4, "b")
