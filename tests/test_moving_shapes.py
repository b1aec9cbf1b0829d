import csv
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.random import RandomState

from ffn.moving_shapes import (
    CLASSES,
    FRAMES,
    MIDDLE,
    MOTIONS,
    SPLITS,
    clips,
    frames_sha256,
    prepare,
    render,
    scenes,
    videos,
)
from ffn.moving_shapes.motions import ALPHA, ZOOM, X, Y

OPPOSITES = [
    ("left", "right"),
    ("up", "down"),
    ("approach", "recede"),
    ("rotate_clockwise", "rotate_counterclockwise"),
    ("orbit_clockwise", "orbit_counterclockwise"),
    ("appear", "disappear"),
    ("meet", "part"),
]


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def read(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def scene(seed: int) -> scenes.Scene:
    return replace(scenes.draw_scene(RandomState(seed)), background=np.empty(0))


def mover(seed: int, label: str) -> np.ndarray:
    """The track of what moves, (FRAMES, 5)."""
    return clips.choreograph(RandomState(seed), scene(seed), label)[0][1]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return prepare("val", tmp_path_factory.mktemp("cache"), clips_per_class=1, workers=1)


# A change of these numbers is a change of the data set: it needs a new VERSION.
@pytest.mark.parametrize(
    ("seed", "label", "expected"),
    [
        (0, "left", "e8834bdecd2840ecb5207dce6f98175afb866c6150f9169876415d466057bd0e"),
        (1_000_010, "there_and_back", "57937bad0475908352b68d51a19951b7c95a3f0495824606c887af56ece038fd"),
        (3_000_014, "meet", "82ae6c6f1de5e1138aea1aca1303803656bd4079b3a5b6fad2b3aa348666d9fa"),
    ],
)
def test_a_seed_renders_the_same_frames_everywhere(seed, label, expected):
    assert frames_sha256(render(seed, label)) == expected
    assert frames_sha256(render(seed, label)) == expected


def test_other_seeds_render_other_frames():
    hashes = {frames_sha256(render(seed, "shake")) for seed in range(8)}
    assert len(hashes) == 8


@pytest.mark.parametrize("label", CLASSES)
def test_every_class_moves(label):
    frames = render(7, label)
    assert frames.shape == (48, 96, 96, 3)
    assert frames.dtype == np.uint8
    assert np.ptp(mover(7, label), axis=0).max() > 0


PAIRS = ("meet", "part")
HIDING = ("appear", "disappear")
SAME_MIDDLE = (PAIRS, [label for label in CLASSES if label not in (*PAIRS, *HIDING)])  # as many things in view


@pytest.mark.parametrize("seed", range(4))
def test_the_middle_frame_does_not_depend_on_the_label(seed):
    for labels in SAME_MIDDLE:
        middles = [render(seed, label)[MIDDLE] for label in labels]
        assert all((middle == middles[0]).all() for middle in middles)


def test_nor_does_it_in_the_compressed_file(tmp_path):
    for labels in SAME_MIDDLE:
        for label in labels:
            videos.encode(render(3, label), tmp_path / f"{label}.mp4", comment="")
        middles = [decode(tmp_path / f"{label}.mp4")[MIDDLE] for label in labels]
        assert all((middle == middles[0]).all() for middle in middles)


@pytest.mark.parametrize(("label", "opposite"), OPPOSITES[2:])
def test_opposites_are_each_others_time_reversal(label, opposite):
    how = clips.draw_manner(RandomState(0), axis=1.0)
    for motion, reverse in zip(MOTIONS[label], MOTIONS[opposite], strict=True):
        for progress in np.linspace(0, 1, 9):
            assert motion(progress, how) == reverse(1 - progress, how)


@pytest.mark.parametrize(("label", "opposite"), [("left", "right"), ("up", "down")])
def test_position_says_nothing_about_direction(label, opposite):
    one, other = (np.stack([mover(seed, name) for seed in range(150)]) for name in (label, opposite))
    assert (one[:, MIDDLE, :ALPHA] == other[:, MIDDLE, :ALPHA]).all()
    here, there = (tracks[..., [X, Y]].mean(axis=(0, 1)) for tracks in (one, other))
    assert np.abs(here - there).max() < 3  # px, between their mean positions over whole clips


@pytest.mark.parametrize(
    ("label", "column", "sign"),
    [("left", X, -1), ("right", X, 1), ("up", Y, -1), ("down", Y, 1), ("approach", ZOOM, 1), ("recede", ZOOM, -1)],
)
def test_motions_go_where_their_names_say(label, column, sign):
    tracks = [mover(seed, label) for seed in range(10)]
    assert all(sign * (track[-1, column] - track[0, column]) > 0 for track in tracks)


def test_splits_share_no_seed_and_prefixes_are_balanced():
    seeds = []
    for name, split in SPLITS.items():
        listed = videos.list_clips(name, Path(), split.per_class)
        seeds += [clip.seed for clip in listed]
        assert [clip.label for clip in listed[:32]] == 2 * list(CLASSES)
    assert len(seeds) == len(set(seeds)) == 16 * (150 + 30 + 60)


def test_prepare_lists_every_class_equally(prepared):
    rows = read(prepared)
    assert prepared.name == "val-1.csv"
    assert prepared.parent.name == f"moving_shapes-{videos.VERSION}"
    assert list(rows[0]) == ["path", "label", "seed", "frames_sha256"]
    assert [row["label"] for row in rows] == list(CLASSES)
    assert all((prepared.parent / row["path"]).exists() for row in rows)


def test_videos_show_the_frames_that_were_rendered(prepared):
    for row in read(prepared)[::5]:
        frames = render(int(row["seed"]), row["label"])
        decoded = decode(prepared.parent / row["path"])
        assert decoded.shape == (FRAMES, 96, 96, 3)
        assert np.abs(decoded.astype(int) - frames).mean() < 6
        assert row["frames_sha256"] == frames_sha256(frames)


def test_prepare_does_nothing_the_second_time(prepared):
    before, start = prepared.stat().st_mtime_ns, time.perf_counter()
    assert prepare("val", prepared.parents[1], clips_per_class=1) == prepared
    assert time.perf_counter() - start < 0.2
    assert prepared.stat().st_mtime_ns == before


def test_prepare_resumes(prepared):
    root, rows = prepared.parents[1], read(prepared)
    missing, damaged, kept = (prepared.parent / row["path"] for row in rows[:3])
    times = kept.stat().st_mtime_ns
    missing.with_suffix(".killed.tmp").write_bytes(b"half a video")
    missing.unlink()
    damaged.write_bytes(b"not a video")
    calls = []
    prepare("val", root, clips_per_class=1, progress=lambda *call: calls.append(call))
    assert calls == [(15, 16), (16, 16)]
    assert read(prepared) == rows
    assert len(decode(missing)) == len(decode(damaged)) == FRAMES
    assert kept.stat().st_mtime_ns == times


def test_processes_do_not_run_the_main_script_again(tmp_path):
    library = Path(videos.__file__).parents[1]
    shutil.copytree(library / "moving_shapes", tmp_path / "ffn" / "moving_shapes")
    for module in ("files.py", "processes.py"):
        shutil.copy(library / module, tmp_path / "ffn")
    (tmp_path / "ffn" / "__init__.py").touch()  # an empty one: the processes need not wait for torch
    script = tmp_path / "no_guard.py"
    script.write_text(
        "from pathlib import Path\n"
        "from ffn.moving_shapes import prepare\n"
        "print(prepare('val', Path('cache'), clips_per_class=2, workers=2))\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert len(read(tmp_path / done.stdout.strip())) == 32


def test_where_the_cache_is(monkeypatch, prepared):
    monkeypatch.setenv("FFN_CACHE", str(prepared.parents[1]))
    assert prepare("val", clips_per_class=1) == prepared


def test_bad_requests_are_explained(tmp_path):
    with pytest.raises(ValueError, match="No class is called 'sideways'; choose one of left, right"):
        render(0, "sideways")
    with pytest.raises(ValueError, match="The seed -1 is out of range"):
        render(-1, "left")
    with pytest.raises(ValueError, match="No split is called 'valid'; choose one of train, val, test"):
        prepare("valid", tmp_path)
    for count in (0, 31):
        with pytest.raises(ValueError, match=f"clips_per_class is {count}, but .* from 1 to 30"):
            prepare("val", tmp_path, clips_per_class=count)
