"""The pages of videos and of classes show what the library answers; filters and links find it again."""

import pytest
from test_app import TITLES, bundled, chosen, opened  # noqa: F401

import ffn
from ffn.data import clips_for
from ffn.decisions import confusion
from workbench import analysis, pictures, session

VIDEOS, CLASSES = (f"workbench/pages/{name}.py" for name in ("videos", "classes"))


def shown(page: str, **choices: object):
    app = opened(checkpoint=TITLES[1], **choices).switch_page(page)
    app.query_params.update({name: str(value) for name, value in choices.items()})
    app.run()
    assert not app.exception
    return app


@pytest.fixture
def found(folder) -> ffn.Decisions:
    checkpoint = chosen(TITLES[1])
    clips = clips_for(checkpoint.card, folder, (1, 2, 4, 6))
    return ffn.Decisions.from_results(ffn.evaluate(session.model(checkpoint), clips))


def test_videos_says_what_turns(found, folder):
    app = shown(VIDEOS, frames=1)
    clips = session.clips(chosen(TITLES[1]), folder)
    assert app.subheader[0].value == analysis.turned(analysis.between(found, 4, 1, clips), 4, 1)
    assert len(app.get("plotly_chart")) == 3


def test_next_and_previous_walk_through_what_is_looked_for():
    app = shown(VIDEOS)
    assert app.button(key="previous").disabled
    app.button(key="next").click().run()
    assert app.number_input(key="video").value == 1
    app.button(key="look_3").click().run()
    assert app.number_input(key="video").value == 3
    assert app.button(key="next").disabled
    app.selectbox(key="class").set_value("a").run()
    app.button(key="previous").click().run()
    assert app.number_input(key="video").value == 1


def test_nothing_to_show_says_what_to_do():
    app = shown(VIDEOS)
    app.slider(key="confidence").set_value((0, 1)).run()
    assert "widen the confidence" in app.info[0].value


def test_classes_counts_the_videos_of_a_cell(found):
    app = shown(CLASSES, frames=1)
    table = analysis.confusion(found, 1, ["a", "b"])
    assert app.subheader[0].value == analysis.confused(table, 1)
    assert len(app.get("plotly_chart")) == 5
    app.selectbox(key="true_class").set_value("a").run()
    app.selectbox(key="taken_for").set_value("b").run()
    count = confusion(found, 1)[0, 1]
    (link,) = app.get("page_link")
    assert link.proto.label == ("1 video" if count == 1 else f"{count} videos")


def test_pictures_are_of_the_frames_that_a_clip_is_made_of(folder):
    clips = session.clips(chosen(TITLES[1]), folder)
    seen = pictures.sampled(clips, 0, (2, 4))
    assert seen.streams == {t: ffn.segment_indices(12, t).tolist() for t in (2, 4)}
    assert seen.length == 12
    assert set(seen.pictures) == {i for stream in seen.streams.values() for i in stream}
    clips.path(1).write_bytes(b"")
    calls = []
    found = pictures.thumbnails(clips, [0, 1, 2], progress=lambda *call: calls.append(call))
    assert set(found) == {0, 2}
    assert calls == [(1, 3), (2, 3), (3, 3)]
