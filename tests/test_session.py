"""Results are computed once, wanted ones first, remembered by content, and stop when asked."""

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st

import ffn
from ffn import bundled
from ffn.card import CheckpointError
from ffn.data import DataError, clips_for
from ffn.evaluation import Result, evaluate
from ffn.statistics import Divergence
from workbench import background, records, session, stored


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Nothing remembered from other tests, in memory or on disk."""
    monkeypatch.setenv("FFN_CACHE", str(tmp_path / "cache"))
    st.cache_resource.clear()
    st.cache_data.clear()


def result(num_frames: int) -> Result:
    logits = np.eye(2, dtype=np.float32)
    divergences = {"bn": Divergence(1.0 / num_frames, 0.5, 0.25, 0.75)}
    return Result(num_frames, 8, np.arange(2), np.arange(2), logits, divergences, ("x.mp4: broken",))


class Evaluations:
    """Stands for the network; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, frames, progress):
        progress(1, 2)
        self.asked.append(tuple(frames))
        return [result(t) for t in frames]


def finished(sweep: background.Sweep) -> background.Sweep:
    sweep.task.wait(20)
    assert not sweep.running
    return sweep


def test_the_wanted_count_comes_first_and_then_the_grid(tmp_path):
    evaluations = Evaluations()
    sweep = background.Sweep(evaluations, tmp_path / "results", grid=(1, 2, 4, 8))
    sweep.want(5)
    finished(sweep)
    assert evaluations.asked == [(5,), (1, 2, 4), (8,)]
    assert list(sweep.tables().accuracy.num_frames) == [1, 2, 4, 5, 8]
    assert sweep.tables().unreadable == ("x.mp4: broken",)


def test_what_is_on_disk_is_not_computed_again(tmp_path):
    first = background.Sweep(Evaluations(), tmp_path, grid=(1, 2))
    first.want(1)
    finished(first)
    again = Evaluations()
    second = background.Sweep(again, tmp_path, grid=(1, 2))
    second.want(2)
    assert second.task is None
    assert not again.asked
    assert second.tables().divergence.equals(first.tables().divergence)


def test_a_damaged_result_on_disk_counts_as_missing(tmp_path):
    records.write_record(tmp_path, records.as_record(result(4)))
    (tmp_path / "8.npz").write_text("{")
    stored.write(tmp_path / "9.npz", {"accuracy": {}})
    assert list(records.read_records(tmp_path)) == [4]


def test_nothing_partial_is_left_on_disk(tmp_path):
    records.write_record(tmp_path, records.as_record(result(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["4.npz"]


def test_layer_norms_are_compared_with_their_trained_count(tmp_path, folder):
    size = {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 2}
    network = ffn.create_model("vit_tiny_patch16_224", (4,), num_classes=2, **size).eval()
    ffn.save(network, tmp_path / "vit.safetensors", {"classes": ["a", "b"], "input_size": 32, "resize": 36})
    sweep = session.sweep(session.open_path(tmp_path / "vit.safetensors"), folder)
    sweep.want(2)
    finished(sweep)
    assert list(sweep.records) == [2, *(t for t in background.GRID if t != 2)]
    shifts = sweep.tables().divergence
    assert (shifts[shifts.num_frames == 2].mean_shift > 0).any()
    assert (shifts[shifts.num_frames == 4].mean_shift == 0).all()


def test_two_viewers_share_one_computation(tmp_path):
    evaluations = Evaluations()
    sweep = background.Sweep(evaluations, tmp_path, grid=(1, 2))
    viewers = [threading.Thread(target=sweep.want, args=(1,)) for _ in range(8)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    finished(sweep)
    assert sorted(t for frames in evaluations.asked for t in frames) == [1, 2]


def test_cancelling_stops_at_the_next_step_and_resuming_goes_on(tmp_path):
    at_work, go_on = threading.Event(), threading.Event()

    def slow(frames, progress):
        at_work.set()
        go_on.wait(20)
        progress(1, 2)
        return [result(t) for t in frames]

    sweep = background.Sweep(slow, tmp_path, grid=(1, 2))
    sweep.want(1)
    assert at_work.wait(20)
    sweep.task.cancel()
    go_on.set()
    finished(sweep)
    assert sweep.stopped
    assert not sweep.records
    sweep.want(2)
    assert not sweep.running
    sweep.resume()
    assert set(finished(sweep).records) == {1, 2}


UNDER_WAY = """
import threading, torch
from workbench.background import Task

layers = torch.nn.Sequential(*(torch.nn.Conv2d(16, 16, 3) for _ in range(20)))
begun = threading.Event()

def work(progress):
    for done in range(10**9):
        layers(torch.randn(8, 16, 64, 64)).sum().backward()
        progress(done, 10**9)
        begun.set()

Task(work).start()
begun.wait()
"""


def test_work_that_is_under_way_does_not_abort_a_process_that_ends():
    ended = subprocess.run([sys.executable, "-c", UNDER_WAY], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_failure_is_a_sentence_not_a_lost_thread(tmp_path):
    def broken(frames, progress):
        raise DataError("the folder is gone")

    sweep = background.Sweep(broken, tmp_path, grid=(1,))
    sweep.want(1)
    finished(sweep)
    assert sweep.stopped
    assert sweep.task.error == "the folder is gone"


def test_live_results_are_keyed_by_content(checkpoint, folder, tmp_path):
    chosen = session.open_path(checkpoint())
    sweep = session.sweep(chosen, folder)
    assert session.sweep(session.open_path(checkpoint("copy.safetensors")), folder) is sweep
    (folder / "b" / "1.mp4").unlink()
    assert session.sweep(chosen, folder) is not sweep


def test_live_results_are_those_of_the_library(checkpoint, folder):
    path = checkpoint()
    chosen = session.open_path(path)
    sweep = session.verification(chosen, folder, 4)
    sweep.want(4)
    finished(sweep)
    assert not sweep.task.error
    clips = clips_for(chosen.card, folder, (4,))
    (expected,) = evaluate(session.model(chosen), clips)
    assert ffn.fingerprint(sweep.records[4]) == ffn.fingerprint(records.as_record(expected))
    assert sweep.tables().decisions.correct.sum() == expected.correct


def test_records_count_only_for_the_very_checkpoint(checkpoint, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(session.checkpoints, "DEMO", tmp_path)
    monkeypatch.setattr(bundled, "GRID", (4, 8))
    path = checkpoint("tsm.safetensors", title="A network")
    bundled.record(path, folder, report=lambda *_: None)
    (record,) = session.recordings().values()
    assert record.title == "A network"
    assert record.data == session.clips(session.open_path(path), folder).digest
    assert record.decisions.frames == (4, 8)
    assert record.decisions.correct.sum(1).tolist() == record.accuracy.correct.tolist()
    checkpoint("tsm.safetensors", frames=(2, 4), title="A network")
    assert not session.recordings()


def test_profiles_measure_the_asked_count_first(checkpoint, monkeypatch):
    monkeypatch.setattr(background, "IDLE_BUDGET", 0.0)
    profile = session.profile(session.open_path(checkpoint()))
    assert profile.at(3) is None
    profile._task.wait(60)
    assert set(profile.found) == {3}
    assert profile.at(3).latency.p50 > 0


def test_an_upload_is_the_same_checkpoint_as_its_file(checkpoint):
    class Upload:
        file_id, name = "1", "model.safetensors"

        def getvalue(self):
            return path.read_bytes()

    path = checkpoint()
    assert session.open_upload(Upload()) == replace(session.open_path(path), title="model.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"PK\x03\x04", b"{}", None])
def test_what_is_no_checkpoint_is_refused_with_a_sentence(tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="safetensors"):
        session.open_path(path)


def test_the_same_videos_in_another_order_are_other_data(checkpoint, folder):
    """Results are kept by the videos' positions."""
    chosen = session.open_path(checkpoint())
    names = [path.relative_to(folder.parent) for path in sorted(folder.rglob("*.mp4"))]
    manifests = [folder.parent / "first.csv", folder.parent / "second.csv"]
    for manifest, order in zip(manifests, (names, names[::-1]), strict=True):
        manifest.write_text("".join(["path,label\n", *(f"{name},{name.parent.name}\n" for name in order)]))
    for manifest in manifests:
        (labels,) = (result.labels for result in ffn.evaluate(session.model(chosen), session.clips(chosen, manifest)))
        sweep = session.sweep(chosen, manifest)
        sweep.want(4)
        finished(sweep)
        assert sweep.tables().decisions.labels.tolist() == labels.tolist()
    assert len({session.data_digest(chosen, manifest) for manifest in manifests}) == 2


def test_data_with_other_classes_is_refused_with_a_sentence(checkpoint, folder):
    chosen = session.open_path(checkpoint(classes=["x", "y"]))
    with pytest.raises(DataError, match="use data with these classes"):
        session.data_digest(chosen, folder)
