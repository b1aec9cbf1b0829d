"""Folders that stay below a size: what was used longest ago goes, and never what somebody uses."""

import multiprocessing
import os
import pickle

import pytest
import torch

import ffn
import ffn.pixels
from ffn.data import Clips
from ffn.eviction import surplus, touch


@pytest.fixture
def files(tmp_path):
    """Files of 1 to 4 bytes, the largest used last."""
    paths = [tmp_path / f"{size}.bin" for size in (1, 2, 3, 4)]
    for age, path in enumerate(paths):
        path.write_bytes(b"x" * (age + 1))
        os.utime(path, (age, age))
    return paths


@pytest.mark.parametrize(("limit", "kept"), [(10, 4), (9, 3), (7, 2), (6, 1), (3, 0)])
def test_the_latest_files_stay_as_far_as_there_is_room(files, limit, kept):
    assert sorted(surplus(files, limit)) == files[: 4 - kept]


def test_what_is_used_again_stays(files):
    touch(files[0])
    assert sorted(surplus(files, 5)) == files[1:3]


def test_large_files_are_left_out_of_account(files):
    assert surplus(files, 3, largest=2) == []
    assert surplus(files, 2, largest=2) == files[:1]


def test_files_that_vanish_meanwhile_are_no_error(files):
    files[3].unlink()
    touch(files[3])
    assert surplus(files, 5) == files[:1]


@pytest.fixture
def clips_of(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FFN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ffn.pixels, "LIMIT", 0)

    def make(resize: int) -> Clips:
        return Clips(folder, frames=(2,), preprocessing=ffn.Preprocessing(resize=resize, crop=32), cache=True)

    return make


def kept(tmp_path) -> list[int]:
    """The sizes that frames are remembered in."""
    return sorted(int(path.stem.split("-")[1]) for path in (tmp_path / "cache" / "pixels").glob("*.pixels"))


def test_pixels_that_nobody_uses_make_room(clips_of, tmp_path):
    for resize in (32, 34, 36):
        clips_of(resize).remember()
        assert kept(tmp_path) == [resize]


def test_pixels_in_use_stay_until_nobody_needs_them(clips_of, tmp_path):
    clips = clips_of(32)
    shown = clips[0].images
    clips_of(34).remember()
    assert kept(tmp_path) == [32, 34]
    again = pickle.loads(pickle.dumps(clips))  # as in a loading process
    del clips
    clips_of(36).remember()
    assert kept(tmp_path) == [32, 36]
    assert torch.equal(again[0].images, shown)
    del again
    clips_of(38).remember()
    assert kept(tmp_path) == [38]


def hold(clips, ready, done):
    clips.remember()
    ready.set()
    done.wait(60)


def test_pixels_that_another_process_uses_stay(clips_of, tmp_path):
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(clips_of(32), ready, done))
    other.start()
    assert ready.wait(60)
    clips_of(34).remember()
    assert kept(tmp_path) == [32, 34]
    done.set()
    other.join()
    clips_of(36).remember()
    assert kept(tmp_path) == [36]


def test_pixels_that_somebody_asked_for_stay(clips_of, tmp_path, monkeypatch):
    monkeypatch.setattr(ffn.pixels, "SMALL", 1000)
    for resize in (32, 34):
        clips_of(resize).remember()
    assert kept(tmp_path) == [32, 34]
