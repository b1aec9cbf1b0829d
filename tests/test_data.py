"""Clips: who is in the data, which pixels they show, and what happens to the broken ones."""

import csv
import os
import pickle
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import counting_frames, shown_index, write_video
from test_lists import write_frames

import ffn.pixels
from ffn import Clips, Preprocessing, data, video
from ffn.data import Batch, DataError, Unreadable
from ffn.processes import follow_parent
from ffn.transforms import Augmentation

RAW = Preprocessing(resize=48, crop=48, mean=(0, 0, 0), std=(1, 1, 1))
SMALL = Preprocessing(resize=36, crop=32)
FLIPS = Augmentation(flip="on")


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FFN_CACHE", str(folder))
    return folder


def clips_of(source, frames=(4, 8), preprocessing=RAW, **kwargs) -> Clips:
    return Clips(source, frames=frames, preprocessing=preprocessing, **kwargs)


def only_batch(clips: Clips, **kwargs) -> Batch:
    (batch,) = clips.loader(len(clips), **kwargs)
    return batch


def manifest(folder, rows, columns=("path", "label")):
    path = folder / "list.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def counted(tmp_path):
    """Two videos of 24 frames that show their indices."""
    for label in "ab":
        write_video(tmp_path / "counted" / label / "x.mp4", counting_frames(24))
    return tmp_path / "counted"


def test_a_folder_names_its_classes(folder):
    clips = clips_of(folder)
    assert clips.classes == ("a", "b")
    assert clips.labels == [0, 0, 1, 1]
    assert [clips.path(i).relative_to(folder).as_posix() for i in range(4)] == [
        "a/0.mp4",
        "a/1.mp4",
        "b/0.mp4",
        "b/1.mp4",
    ]


def test_classes_may_come_in_the_network_s_order(folder):
    assert clips_of(folder, classes=["b", "other", "a"]).labels == [2, 2, 0, 0]


def test_a_manifest_is_relative_to_itself_and_kept_in_order(folder):
    path = manifest(folder.parent, [("videos/b/1.mp4", "zwei"), ("videos/a/0.mp4", "eins")])
    clips = clips_of(path)
    assert clips.classes == ("eins", "zwei")
    assert clips.labels == [1, 0]
    assert len(only_batch(clips)) == 2


def test_a_manifest_written_by_a_spreadsheet_is_read(folder):
    path = manifest(folder, [("a/0.mp4", "é")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert clips_of(path).classes == ("é",)


def test_labels_that_the_network_lacks_are_named(folder):
    with pytest.raises(DataError, match=r"1 labels that the network's 2 classes lack \(b; its classes are a, c\)"):
        clips_of(folder, classes=("a", "c"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\n", "lists no videos"),
        (b"", "lists no videos"),
        (b"path,class\na/0.mp4,a\n", "line 2: a manifest needs the columns path and label"),
        (b"path,label\na/0.mp4,a\na/1.mp4,\n", "line 3: a manifest needs the columns path and label"),
        (b"path,label\na/\xff\xfe.mp4,a\n", "is not a CSV text file"),
        (bytes(range(256)) * 10, "list.csv"),
    ],
)
def test_a_broken_manifest_is_explained(folder, content, message):
    path = folder / "list.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        clips_of(path)


def test_nothing_to_read_is_explained(tmp_path):
    with pytest.raises(DataError, match="holds no videos: expected files like"):
        clips_of(tmp_path)
    with pytest.raises(DataError, match="no such folder or manifest"):
        clips_of(tmp_path / "nowhere")


def test_streams_show_the_centres_of_their_segments(counted):
    batch = only_batch(clips_of(counted))
    for t, want in ((4, [3, 9, 15, 21]), (8, [1, 4, 7, 10, 13, 16, 19, 22])):
        stream = batch.stream(t)
        assert stream.shape == (2, t, 3, 48, 48)
        assert all(shown_index(255 * clip) == want for clip in stream)


def test_a_clip_longer_than_its_video_repeats_frames(counted):
    (clip, _) = only_batch(clips_of(counted, (48,))).stream(48)
    assert shown_index(255 * clip) == [i // 2 for i in range(48)]


def test_broken_videos_are_skipped_and_named_and_the_others_keep_their_labels(folder):
    (folder / "a" / "0.mp4").write_bytes(b"")
    (folder / "a" / "9.mp4").write_text("not a video")
    path = manifest(
        folder, [(p.relative_to(folder), p.parent.name) for p in sorted(folder.glob("*/*"))] + [("gone.mp4", "b")]
    )
    whole = {clip.index: clip for clip in only_batch(clips_of(folder)).samples}
    for source, broken in ((folder, {0, 2}), (path, {0, 2, 5})):
        clips = clips_of(source)
        batch = only_batch(clips)
        assert {item.index for item in batch.unreadable} == broken
        assert all(str(clips.path(item.index)) in item.reason for item in batch.unreadable)
        assert batch.labels.tolist() == [clips.labels[i] for i in batch.indices] == [0, 1, 1]
        assert all(torch.equal(s.images, whole[s.index].images) for s in batch.samples)


def test_a_batch_of_broken_videos_is_empty(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").touch()
    batch = only_batch(clips_of(tmp_path))
    assert len(batch) == 0
    assert isinstance(batch.unreadable[0], Unreadable)


@pytest.mark.parametrize("seed", [None, 3])
def test_all_streams_of_a_video_come_from_one_decode(folder, monkeypatch, seed):
    opened, read = [], []

    class Counting(video.Video):
        def __init__(self, path):
            opened.append(path)
            super().__init__(path)

        def frames(self, indices):
            read.append(list(indices))
            return super().frames(indices)

    monkeypatch.setattr(video, "Video", Counting)
    clips = clips_of(folder, (2, 4, 8), seed=seed)
    batch = only_batch(clips)
    for t in (2, 4, 8):
        batch.stream(t)
    assert opened == [clips.path(i) for i in range(4)]
    assert len(read) == 4
    assert all((np.diff(indices) > 0).all() for indices in read)


def test_all_streams_of_a_video_share_one_crop_and_flip(tmp_path):
    still = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8).repeat(12, 0)
    for i in range(8):
        write_video(tmp_path / "a" / f"{i}.mp4", still, options={"crf": "1"})
    batch = only_batch(clips_of(tmp_path, (2, 4, 8), Preprocessing(resize=64, crop=48), seed=0, augmentation=FLIPS))
    first = batch.stream(2)[:, :1]
    for t in (2, 4, 8):
        assert (batch.stream(t) - first).abs().mean() < 0.1
    assert (first[0] - first[1]).abs().mean() > 0.5


def pixels(clips: Clips, epoch: int = 0) -> torch.Tensor:
    clips.epoch = epoch
    batch = only_batch(clips)
    return torch.cat([batch.stream(t) for t in clips.frames], dim=1)


def test_random_frames_follow_seed_and_epoch(folder):
    def draw(seed, epoch):
        return pixels(clips_of(folder, (3,), SMALL, seed=seed, augmentation=FLIPS), epoch)

    assert torch.equal(draw(1, 2), draw(1, 2))
    assert not torch.equal(draw(1, 2), draw(1, 3))
    assert not torch.equal(draw(1, 2), draw(2, 2))


@pytest.mark.parametrize("seed", [None, 5])
def test_remembering_changes_no_pixel(folder, seed):
    plain, cached = (clips_of(folder, (2, 5), SMALL, seed=seed, cache=cache) for cache in (False, True))
    for epoch in (0, 1, 0):
        assert torch.equal(pixels(plain, epoch), pixels(cached, epoch))


def test_remembered_videos_are_decoded_once(folder, monkeypatch):
    clips = clips_of(folder, cache=True)
    want = pixels(clips)
    monkeypatch.setattr(video, "Video", None)
    assert torch.equal(pixels(clips), want)


def cached_files(folder):
    return sorted((folder / "pixels").glob("*.pixels"))


def test_what_is_remembered_serves_every_crop_order_and_process(folder, cache_folder, monkeypatch):
    want = pixels(clips_of(folder, (2, 5), SMALL))
    clips_of(folder, preprocessing=SMALL, cache=True).remember()
    (file,) = cached_files(cache_folder)
    monkeypatch.setattr(video, "Video", None)
    clips = clips_of(folder, (2, 5), SMALL, cache=True)
    assert torch.equal(pixels(clips), want)
    assert torch.equal(pixels(pickle.loads(pickle.dumps(clips))), want)
    assert len(pickle.dumps(clips)) < 10_000
    for workers in (0, 2):
        batch = only_batch(clips, workers=workers)
        assert torch.equal(torch.cat([batch.stream(t) for t in (2, 5)], dim=1), want)
    assert cached_files(cache_folder) == [file]


def test_the_cache_holds_every_resized_frame_and_little_else(folder, cache_folder):
    clips_of(folder, preprocessing=SMALL, cache=True).remember()
    (file,) = cached_files(cache_folder)
    assert 0 <= file.stat().st_size - 4 * 12 * 3 * 36 * 36 < 500


def test_other_pixels_or_another_order_are_remembered_apart(folder, cache_folder):
    rows = [("a/0.mp4", "a"), ("b/1.mp4", "b")]
    for order in (rows, rows[::-1]):
        source = manifest(folder, order)
        want = pixels(clips_of(source, preprocessing=SMALL))
        assert torch.equal(pixels(clips_of(source, preprocessing=SMALL, cache=True)), want)
    clips_of(source, cache=True).remember()
    shutil.copy(folder / "a" / "1.mp4", folder / "a" / "0.mp4")
    assert torch.equal(
        pixels(clips_of(source, preprocessing=SMALL, cache=True)), pixels(clips_of(source, preprocessing=SMALL))
    )
    assert len(cached_files(cache_folder)) == 4


def test_videos_of_several_lengths_and_sizes_are_remembered(tmp_path):
    rng = np.random.default_rng(0)
    for i, shape in enumerate([(5, 64, 80), (9, 96, 64), (1, 48, 48)]):
        write_video(tmp_path / "a" / f"{i}.mp4", rng.integers(0, 255, (*shape, 3), dtype=np.uint8))
    write_frames(tmp_path / "b" / "clip", rng.integers(0, 255, (7, 50, 70, 3), dtype=np.uint8))
    for seed in (None, 1):
        plain, cached = (clips_of(tmp_path, (1, 4, 8), SMALL, seed=seed, cache=cache) for cache in (False, True))
        assert torch.equal(pixels(plain), pixels(cached))


def test_a_frame_that_was_replaced_is_decoded_anew(tmp_path):
    clip = write_frames(tmp_path / "a" / "clip", counting_frames(8))
    before = pixels(clips_of(tmp_path, preprocessing=SMALL, cache=True))
    write_frames(clip, counting_frames(7)[6:], first=4)  # neither the first nor the last, whose content is the digest's
    os.utime(clip / "00004.jpg", (0, 0))  # and older than the others, as a copy may be
    now = pixels(clips_of(tmp_path, preprocessing=SMALL, cache=True))
    assert torch.equal(now, pixels(clips_of(tmp_path, preprocessing=SMALL)))
    assert not torch.equal(now, before)


def test_a_cache_that_cannot_be_written_to_is_read(folder, cache_folder, monkeypatch):
    want = pixels(clips_of(folder, preprocessing=SMALL, cache=True))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a file system that is mounted to be read
    monkeypatch.setattr(ffn.pixels, "_alone", lambda *_: pytest.fail("nothing is locked there"))
    monkeypatch.setattr(data, "open_video", lambda *_: pytest.fail("nothing is decoded"))
    assert torch.equal(pixels(clips_of(folder, preprocessing=SMALL, cache=True)), want)


def test_broken_videos_are_not_remembered_but_named_as_ever(folder):
    (folder / "a" / "0.mp4").write_bytes(b"")
    rows = [("a/0.mp4", "a"), ("gone.mp4", "a"), ("b/1.mp4", "b")]
    plain, cached = (only_batch(clips_of(manifest(folder, rows), cache=cache)) for cache in (False, True))
    assert plain.unreadable == cached.unreadable
    assert [item.index for item in cached.unreadable] == [0, 1]
    assert cached.indices == [2]


def test_several_processes_remember_in_parallel_and_say_how_far_they_are(folder, monkeypatch):
    monkeypatch.setattr(ffn.pixels, "FEW", 2)
    clips, steps = clips_of(folder, preprocessing=SMALL, cache=True), []
    clips.remember(workers=2, progress=lambda *step: steps.append(step))
    assert steps == [(i, 8) for i in range(1, 9)]
    assert torch.equal(pixels(clips), pixels(clips_of(folder, preprocessing=SMALL)))


def test_loading_processes_that_start_at_once_build_one_cache(folder, cache_folder):
    clips = clips_of(folder, preprocessing=SMALL, cache=True)
    want = pixels(clips_of(folder, preprocessing=SMALL))
    batches = list(clips.loader(2, workers=2))
    assert torch.equal(torch.cat([torch.cat([b.stream(t) for t in (4, 8)], dim=1) for b in batches]), want)
    assert len(cached_files(cache_folder)) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_build_leaves_nothing_and_starts_anew(folder, cache_folder, error):
    def stop(done, total):
        if done == 6:  # of the 8 steps: pixels are being written
            raise error

    clips = clips_of(folder, preprocessing=SMALL, cache=True)
    with pytest.raises(error):
        clips.remember(progress=stop)
    assert not [path for path in (cache_folder / "pixels").iterdir() if path.suffix != ".lock"]
    assert torch.equal(pixels(clips), pixels(clips_of(folder, preprocessing=SMALL)))


def test_what_a_killed_process_left_is_cleared_away(folder, cache_folder):
    clips_of(folder, cache=True).remember()
    (file,) = cached_files(cache_folder)
    file.rename(file.with_name(f".1-2.{file.name}"))
    clips_of(folder, cache=True).remember()
    assert [path for path in file.parent.iterdir() if path.suffix != ".lock"] == [file]


def test_a_full_disk_is_told_before_anything_is_written(folder, cache_folder, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    needed = f"{4 * 12 * 3 * 48 * 48:,}"
    with pytest.raises(OSError, match=rf"4 videos take {needed} bytes in .*pixels, where 1,000 are free; make room"):
        clips_of(folder, cache=True).remember()
    assert not cached_files(cache_folder)


@pytest.mark.parametrize(
    ("limit", "free", "kept"), [(500_000, 10**9, True), (10_000, 10**9, False), (500_000, 9, False)]
)
def test_small_sets_are_remembered_by_themselves(folder, cache_folder, monkeypatch, limit, free, kept):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(data, "SMALL", limit)
    clips = clips_of(folder, cache="auto")
    assert torch.equal(pixels(clips), pixels(clips_of(folder)))
    assert bool(cached_files(cache_folder)) == kept
    if kept:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        again = clips_of(folder, cache="auto")
        assert torch.equal(pixels(again), pixels(clips))
        assert again.cache  # what is there needs no room


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize(
    ("first", "num_frames", "want"), [(1, 24, [3, 9, 15, 21]), (0, 24, [3, 9, 15, 21]), (1, 8, [1, 3, 5, 7])]
)
def test_extracted_frames_are_clips_too(tmp_path, first, num_frames, want, cache):
    write_frames(tmp_path / "clip", counting_frames(24), "img_{:05d}.jpg", first)
    (tmp_path / "list.txt").write_text(f"clip {num_frames} 0\n")
    clip = only_batch(clips_of(tmp_path / "list.txt", (4,), cache=cache)).stream(4)[0]
    assert shown_index(255 * clip) == want


def test_extracted_frames_that_are_missing_or_broken_are_named(tmp_path):
    for name in ("cut", "gap", "short", "none"):
        write_frames(tmp_path / name, np.random.default_rng(0).integers(0, 255, (8, 48, 48, 3), dtype=np.uint8))
    (tmp_path / "cut" / "00004.jpg").write_bytes((tmp_path / "cut" / "00004.jpg").read_bytes()[:900])
    (tmp_path / "gap" / "00004.jpg").rename(tmp_path / "gap" / "00009.jpg")
    for image in (tmp_path / "none").iterdir():
        image.write_text("words")
    (tmp_path / "list.txt").write_text(
        "".join(f"{n} 8 0\n" for n in ("cut", "gap")) + "short 9 0\nnone 8 0\nlost 8 0\n"
    )
    reasons = [item.reason for item in only_batch(clips_of(tmp_path / "list.txt", (8,))).unreadable]
    assert len(reasons) == 5
    for reason, said in zip(
        reasons,
        (
            "cut/00004.jpg: cannot be decoded",
            "gap/00004.jpg: no such frame",
            "short: holds 8 frames, not 9 as its list says",
            "none/00001.jpg: is no image",
            "lost: no such file",
        ),
        strict=True,
    ):
        assert said in reason


def test_folders_name_their_classes_though_the_names_be_numbers(folder):
    (folder / "b").rename(folder / "1")
    assert clips_of(folder).classes == ("1", "a")
    with pytest.raises(DataError, match=r"1 labels that the network's 2 classes lack \(1; its classes are a, b\)"):
        clips_of(folder, classes=["a", "b"])


def test_labels_out_of_range_are_named(folder):
    (folder / "list.txt").write_text("a/0.mp4 0\nb/0.mp4 2\n")
    (folder / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"1 labels that classes.txt's 2 classes lack \(2; its classes are a, b\)"):
        clips_of(folder / "list.txt")
    (folder / "classes.txt").unlink()
    assert clips_of(folder / "list.txt", classes=["x", "y", "z"]).labels == [0, 2]


def order(clips: Clips, epoch: int, batch_size: int = 3) -> list[int]:
    clips.epoch = epoch
    return [i for batch in clips.loader(batch_size, shuffle=True) for i in batch.indices]


def test_the_order_follows_seed_and_epoch_and_drops_the_small_rest(folder):
    for i in range(2, 8):
        shutil.copy(folder / "a" / "0.mp4", folder / "a" / f"{i}.mp4")
    orders = [order(clips_of(folder, seed=1), epoch) for epoch in range(3)]
    assert order(clips_of(folder, seed=1), 1) == orders[1]
    assert len({tuple(o) for o in orders}) == 3
    assert all(len(set(o)) == 9 for o in orders)
    assert len(order(clips_of(folder, seed=1), 0, batch_size=99)) == 10


def test_a_worker_survives_a_signal_that_comes_before_it_has_begun(folder, monkeypatch):
    def signalled(worker):
        os.kill(os.getpid(), signal.SIGTERM)
        follow_parent(worker)

    monkeypatch.setattr(data, "follow_parent", signalled)
    assert len(only_batch(clips_of(folder), workers=1)) == 4


def test_other_processes_read_the_same(folder):
    (folder / "a" / "9.mp4").write_text("not a video")
    clips = clips_of(folder, (2, 4), SMALL, seed=1, augmentation=FLIPS)
    here, there = (list(clips.loader(2, workers=workers)) for workers in (0, 2))
    for one, other in zip(here, there, strict=True):
        assert one.indices == other.indices
        assert one.unreadable == other.unreadable
        assert torch.equal(one.stream(4), other.stream(4))


def test_the_digest_is_of_content_and_labels_not_of_the_place(folder, tmp_path):
    digest = clips_of(folder).digest
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert clips_of(moved).digest == digest == clips_of(folder, (16,), SMALL).digest
    (moved / "b" / "0.mp4").write_bytes((moved / "b" / "1.mp4").read_bytes())
    changed = clips_of(moved).digest
    (moved / "b").rename(moved / "c")
    renamed = clips_of(moved).digest
    (moved / "c" / "0.mp4").unlink()
    assert len({digest, changed, renamed, clips_of(moved).digest}) == 4


def test_frames_of_another_template_or_count_are_remembered_apart(tmp_path):
    write_frames(tmp_path / "clip", counting_frames(8), "img_{:05d}.jpg")
    write_frames(tmp_path / "clip", counting_frames(24)[16:], "flow_x_{:05d}.jpg")
    columns, digests = ("path", "label", "num_frames", "template"), set()
    for template, count, last in (("img_{:05d}.jpg", 8, 7), ("flow_x_{:05d}.jpg", 8, 23), ("img_{:05d}.jpg", 4, 3)):
        clips = clips_of(manifest(tmp_path, [("clip", "a", count, template)], columns), (count,), cache=True)
        images = only_batch(clips).stream(count)[0]
        assert shown_index(255 * images.movedim(1, -1).numpy())[-1] == last
        digests.add(clips.digest)
    assert len(digests) == 3


def test_the_digest_takes_the_manifest_s_word_for_the_content(folder):
    rows = [("a/0.mp4", "a", "123"), ("a/1.mp4", "a", "456")]
    digest = clips_of(manifest(folder, rows, ("path", "label", "frames_sha256"))).digest
    (folder / "a" / "0.mp4").unlink()
    assert clips_of(folder / "list.csv").digest == digest
    rows[0] = ("a/0.mp4", "a", "124")
    assert clips_of(manifest(folder, rows, ("path", "label", "frames_sha256"))).digest != digest
