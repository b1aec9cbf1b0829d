"""Footage is what `Clips` gives of the same video, decoded once, whole or in parts."""

import numpy as np
import pytest
import torch
from conftest import counting_frames, write_video

import ffn
from ffn import footage
from ffn.budget import Policy
from ffn.checkpoint import preprocessing
from ffn.data import clips_for
from ffn.footage import Footage
from ffn.video import UnreadableVideoError, Video
from workbench import analysis

COUNTS = (1, 2, 3, 4, 8)


@pytest.fixture
def model(checkpoint):
    return ffn.load(checkpoint())


class Counting:
    """A video that counts the frames that are read of it."""

    def __init__(self, path) -> None:
        self.video, self.read = Video(path), []

    def __len__(self) -> int:
        return len(self.video)

    def frames(self, indices):
        self.read += indices
        return self.video.frames(indices)


@pytest.mark.parametrize("largest", [1, 2**27], ids=["in parts", "at once"])
def test_a_clip_of_it_is_the_clip_of_the_data(model, folder, monkeypatch, largest):
    monkeypatch.setattr(footage, "LARGEST_READ", largest)
    clips = clips_for(model.card, folder, COUNTS)
    reader = Counting(clips.path(0))
    seen, batch = Footage(reader, preprocessing(model.card)), clips.collate([clips[0]])
    for t in COUNTS:
        assert torch.equal(seen.clip(t), batch.stream(t))
    assert len(set(reader.read)) == len(reader.read) == len(seen.images)


def test_progress_counts_the_frames_that_were_missing_and_may_cancel(model, tmp_path, monkeypatch):
    monkeypatch.setattr(footage, "LARGEST_READ", 3 * 48 * 48 * 3)
    path = write_video(tmp_path / "a.mp4", counting_frames(20))
    seen, calls = Footage(path, preprocessing(model.card)), []
    seen.decode([2])
    seen.decode(range(8), progress=lambda *call: calls.append(call))
    assert calls == [(1, 7), (4, 7), (7, 7)]

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seen.decode(range(20), progress=cancel)


def test_what_is_no_video_is_refused(model, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(UnreadableVideoError, match=r"a\.mp4"):
        Footage(tmp_path / "a.mp4", preprocessing(model.card))


@torch.inference_mode()
@pytest.mark.parametrize("frames", [(4,), (2, 4)], ids=str)
def test_the_answers_are_those_of_evaluate(checkpoint, folder, frames):
    model = ffn.load(checkpoint(frames=frames))
    clips = clips_for(model.card, folder, COUNTS)
    table = analysis.answers(model, clips.path(1), COUNTS)
    assert list(table.columns) == ["num_frames", "class", "probability", "answer"]
    for result in ffn.evaluate(model, clips):
        rows = table[table.num_frames == result.num_frames].set_index("class").probability
        np.testing.assert_allclose(rows[["a", "b"]], 100 * result.probabilities[1], atol=1e-3)
    assert table.groupby("num_frames").answer.sum().eq(1).all()


@torch.inference_mode()
def test_the_arrivals_are_those_of_a_stream(model, folder):
    path = clips_for(model.card, folder, (1,)).path(0)
    table, video, stream = analysis.arrivals(model, path), Video(path), ffn.Stream(model)
    for n, frame in enumerate(video.frames(range(len(video))), start=1):
        stream.push(frame)
        rows = table[table.frame == n].set_index("class").probability
        np.testing.assert_allclose(rows[["a", "b"]], 100 * stream.predict().softmax(-1), atol=1e-3)


def test_of_a_long_video_only_some_frames_are_streamed(model, tmp_path):
    path = write_video(tmp_path / "a.mp4", np.tile(counting_frames(40), (5, 1, 1, 1)))
    table = analysis.arrivals(model, path)
    assert table.frame.nunique() == 64
    assert (table.frame.min(), table.frame.max()) == (2, 199)


def test_the_passes_are_those_of_the_adaptive_classifier(model, folder):
    path = clips_for(model.card, folder, (1,)).path(0)
    table = analysis.passes(model, path, (2, 4, 8))
    for stop, row in enumerate(table.itertuples()):
        policy = Policy((2, 4, 8)[: stop + 1], (2.0,) * stop)
        answer = ffn.AdaptiveClassifier(model, policy)(path)
        assert row.confidence == pytest.approx(100 * answer.probabilities.max())
        assert row.gmacs == pytest.approx(answer.macs / 1e9)
        assert row.decoded == answer.decoded
        assert row.answer == "ab"[answer.probabilities.argmax()]


def test_classes_that_are_never_likeliest_fill_up_to_five():
    probabilities = np.eye(9)[[7, 3]] * 0.5 + np.linspace(0, 0.1, 9)
    table = analysis.likeliest(probabilities, "abcdefghi", "frame", (1, 2))
    assert set(table["class"]) == {"h", "d", "i", "g", "f"}
    every = analysis.likeliest(np.eye(9), "abcdefghi", "frame", range(9))
    assert every["class"].nunique() == 9


@pytest.mark.parametrize(
    ("answers", "label", "said"),
    [
        ("aab", "b", "At 2 frames this network sees a (60 %), but it shows b. From 3 frames on its answer stays b."),
        ("aaa", "a", "At 2 frames this network sees a (60 %), which is right. So it does at every count from 1 to 3."),
        ("aba", "", "At 2 frames this network sees b (60 %). From 3 frames on its answer stays a."),
    ],
)
def test_the_verdict_says_what_is_seen_and_whether_it_stays(answers, label, said):
    rows = np.array([[0.6, 0.4] if name == "a" else [0.4, 0.6] for name in answers])
    table = analysis.likeliest(rows, "ab", "num_frames", (1, 2, 3))
    assert analysis.verdict(table, 2, label) == said
