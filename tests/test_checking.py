"""`check` finds, before training does, every way in which data can be broken."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_lists import grey, write_frames

from ffn.checking import check
from ffn.lists import Record


def found(source, **kwargs):
    return [str(finding) for finding in check(source, **kwargs).findings]


def test_sound_data_is_described(folder):
    report = check(folder)
    assert report.findings == ()
    assert (report.videos, report.decoded, report.per_class) == (4, 4, (2, 2))
    assert report.lengths == (12, 12, 12, 12)
    assert report.sizes == {(48, 48): 4}


def test_classes_and_videos_that_would_be_passed_over_are_told(folder):
    (folder / ".hidden").mkdir()
    (folder / "a" / ".hidden").touch()
    (folder / "a" / "notes.TXT").touch()
    (folder / "a" / "empty").mkdir()
    (folder / "a" / "one.GIF").touch()
    (folder / "a" / "deeper").mkdir()
    (folder / "a" / "deeper" / "one.mp4").touch()
    for name in ("none", "clips/one.wmv", "clips/two.wmv", "clips/three"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).mkdir() if name == "none" else (folder / name).touch()
    way = "; videos end in .mp4, .webm, .mkv, .avi, .mov, .m4v, .ts, .mpg, .mpeg, and a list may name any"
    assert found(folder) == [
        f"{folder / 'a'}: videos are passed over: 1 .gif, 1 folders{way}",
        f"{folder / 'clips'}: is no class, for it holds no video but 2 .wmv, 1 no suffix{way}",
        f"{folder / 'none'}: is no class, for it holds no video but nothing{way}",
    ]


def test_every_broken_video_is_one_line(folder):
    (folder / "a" / "empty.mp4").touch()
    (folder / "a" / "words.mp4").write_text("not a video")
    whole = (folder / "b" / "0.mp4").read_bytes()
    (folder / "b" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "list.txt").write_text(
        "".join(f"{path.relative_to(folder)} 0\n" for path in sorted(folder.glob("*/*"))) + "a/gone.mp4 0\na/0.mp4 0\n"
    )
    lines = found(folder / "list.txt")
    for name, said in (
        ("a/0.mp4", "is listed 2 times, as 0"),
        ("a/gone.mp4", "no such file"),
        ("a/empty.mp4", "is empty"),
        ("a/words.mp4", "cannot be decoded"),
        ("b/cut.mp4", ""),
    ):
        (line,) = [line for line in lines if line.startswith(f"{folder / name}: ")]
        assert said in line
        assert "\n" not in line
    assert len(lines) == 5


def test_counts_and_pictures_of_extracted_frames_are_looked_at(tmp_path):
    for name in ("good", "less", "more", "gap", "cut"):
        write_frames(tmp_path / name, np.random.default_rng(0).integers(0, 255, (8, 48, 48, 3), dtype=np.uint8))
    (tmp_path / "gap" / "00004.jpg").unlink()
    (tmp_path / "cut" / "00008.jpg").write_bytes((tmp_path / "cut" / "00008.jpg").read_bytes()[:900])
    counts = {"good": 8, "less": 6, "more": 9, "gap": 7, "cut": 8}
    (tmp_path / "list.txt").write_text("".join(f"{name} {count} 0\n" for name, count in counts.items()))
    report = check(tmp_path / "list.txt")
    less, more, gap, cut = map(str, report.findings)
    assert less == f"{tmp_path / 'less'}: its list says 6 frames, but there are 8"
    assert more == f"{tmp_path / 'more'}: holds 8 frames, not 9 as its list says"
    assert gap == f"{tmp_path / 'gap' / '00004.jpg'}: no such frame"
    assert cut.startswith(f"{tmp_path / 'cut' / '00008.jpg'}: cannot be decoded")
    assert report.lengths == (8,)


def test_the_count_of_a_video_file_is_looked_at(folder):
    (folder / "list.txt").write_text("a/0.mp4 12 0\nb/0.mp4 48 1\n")
    assert found(folder / "list.txt") == [f"{folder / 'b' / '0.mp4'}: its list says 48 frames, but there are 12"]


def test_labels_outside_the_classes_are_counted(folder):
    (folder / "list.txt").write_text("a/0.mp4 0\na/1.mp4 7\nb/0.mp4 7\n")
    assert found(folder / "list.txt") == []
    (folder / "classes.txt").write_text("x\ny\n")
    want = [f"{folder / 'list.txt'}: 2 videos have the label 7, which is none of the classes"]
    assert found(folder / "list.txt") == want
    assert check(folder / "list.txt").per_class == (1, 0)
    assert found(folder, classes=("a",)) == [f"{folder}: 2 videos have the label b, which is none of the classes"]


def test_a_video_under_two_labels_is_named(folder):
    (folder / "list.csv").write_text("path,label\na/0.mp4,a\nb/../a/0.mp4,b\n")
    assert found(folder / "list.csv") == [f"{folder / 'a' / '0.mp4'}: is listed 2 times, as a and b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a/0.mp4 0\n\xff.mp4 1\n", "byte 10, 0xff in line 2"),
        (b"", "lists no videos"),
        (b"nothing\n", "line 1: expected"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_finding(folder, content, said):
    (folder / "list.txt").write_bytes(content)
    (line,) = found(folder / "list.txt")
    assert said in line
    assert line.count("list.txt") == 1


def test_nothing_there_is_a_finding_too(tmp_path):
    assert found(tmp_path / "nowhere") == [f"no such folder or manifest: {tmp_path / 'nowhere'}"]


def test_a_sample_is_drawn_by_seed_but_everything_is_looked_for(folder):
    for i in range(2, 12):
        shutil.copy(folder / "a" / "0.mp4", folder / "a" / f"{i}.mp4")
    (folder / "a" / "empty.mp4").touch()
    for path in (folder / "b").iterdir():
        path.write_text("words")
    samples = [check(folder, sample=5, seed=seed) for seed in (0, 0, 1, 2, 3)]
    assert samples[0] == samples[1]
    assert len({report.findings for report in samples}) > 1
    assert all(str(report.findings[0]).endswith("empty.mp4: is empty") for report in samples)
    assert len(check(folder, sample=None).findings) == 3
    with pytest.raises(ValueError, match="at least 1 video"):
        check(folder, sample=0)


def test_what_may_not_be_read_is_a_finding_and_no_end(folder, monkeypatch):
    write_frames(folder / "a" / "locked", grey(3))

    def refusing(look):
        def refuse(path):
            if Path(path).name == "locked":
                raise PermissionError(13, "Permission denied", str(path))
            return look(path)

        return refuse

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    (line,) = found(folder)
    assert line == f"{folder / 'a' / 'locked'}: cannot be opened (Permission denied)"
    assert Record(folder / "a" / "locked", "a").fingerprint() == "missing"


def test_names_that_no_file_can_have_are_missing(folder):
    (folder / "list.txt").write_text(f"a/0.mp4 0\n{'x' * 300}.mp4 0\n")
    (line,) = found(folder / "list.txt")
    assert line.endswith("x.mp4: no such file")


def test_damage_between_the_frames_that_training_would_read_is_found(tmp_path):
    write_frames(tmp_path / "a" / "clip", np.repeat(grey(1), 100, axis=0))
    write_frames(tmp_path / "a" / "clip", grey(1, size=40), first=99)
    (line,) = found(tmp_path)
    assert "its frames have several sizes" in line
    (tmp_path / "a" / "clip" / "00099.jpg").unlink()
    assert found(tmp_path) == [f"{tmp_path / 'a' / 'clip' / '00099.jpg'}: no such frame"]


def test_other_processes_find_the_same(tmp_path):
    for i in range(40):
        write_frames(tmp_path / "a" / str(i), grey(3))
    (tmp_path / "a" / "7" / "00002.jpg").write_text("words")
    steps = []
    here, there = check(tmp_path), check(tmp_path, workers=2, progress=lambda *step: steps.append(step))
    assert here == there
    assert len(here.findings) == 1
    assert steps == [(i, 40) for i in range(1, 41)]
