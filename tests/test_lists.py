"""Lists: the same videos, labels and classes whichever way they are written down, or one line on what is wrong."""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from ffn.lists import DataError, Record, class_number, read_list


def write_frames(folder, frames, template="{:05d}.jpg", first=1):
    """Extracts frames (N, H, W, 3) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / template.format(number), quality=95)
    return folder


def grey(count, size=48):
    return np.stack([np.full((size, size, 3), 5 * i + 10, np.uint8) for i in range(count)])


def listed(tmp_path, text, name="list.txt", classes=None):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    if classes:
        (tmp_path / "classes.txt").write_text("\n".join(classes))
    return read_list(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "path", "num_frames", "label"),
    [
        ("clips/78687 48 3", "clips/78687", 48, "3"),
        ("clips/78687,48,3", "clips/78687", 48, "3"),
        ("clips/78687\t48\t3", "clips/78687", 48, "3"),
        ("my clips/take 2 48 3", "my clips/take 2", 48, "3"),
        ("my clips/take.48 playing guitar", "my clips/take.48 playing", None, "guitar"),
        ("clips/78687 48 playing guitar", "clips/78687", 48, "playing guitar"),
        ("rock climbing/a b.mp4 3", "rock climbing/a b.mp4", None, "3"),
        ("a.mp4 rock climbing", "a.mp4", None, "rock climbing"),
        ("a.mp4, rock climbing", "a.mp4", None, "rock climbing"),
        ("v_Archery_g01.avi 164 0", "v_Archery_g01.avi", 164, "0"),
        ("A.MP4 7", "A.MP4", None, "7"),
        ("78687 3", "78687", None, "3"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_says_path_count_and_label(tmp_path, line, path, num_frames, label, end):
    (record,) = listed(tmp_path, f"\n{line}{end}").records
    assert record == Record(tmp_path / path, label, num_frames=num_frames)


def test_an_absolute_path_stays_where_it_is(tmp_path):
    assert listed(tmp_path, "/data/x.mp4 0\n").records[0].path.as_posix() == "/data/x.mp4"


def test_numbers_are_classes_in_their_own_order_though_some_have_no_video(tmp_path):
    listing = listed(tmp_path, "".join(f"{i}.mp4 {i}\n" for i in (10, 2, 0)))
    assert listing.classes == tuple(map(str, range(11)))
    assert [record.label for record in listing.records] == ["10", "2", "0"]


def test_a_number_in_a_list_may_have_zeros_before_it(tmp_path):
    listing = listed(tmp_path, "x.mp4 00\ny.mp4 02\nz.mp4 2\n")
    assert listing.classes == ("0", "1", "2")
    assert [record.label for record in listing.records] == ["0", "2", "2"]


def test_numbers_in_a_manifest_are_classes_by_number_and_those_of_a_network_keep_its_order(tmp_path):
    text = "path,label\n" + "".join(f"{i}.mp4,{i}\n" for i in (10, 2, 0, 3, 1))
    assert listed(tmp_path, text, "list.csv").classes == ("0", "1", "2", "3", "10")
    before = read_list(tmp_path / "list.csv", ("0", "1", "10", "2", "3"))
    assert before.classes == ("0", "1", "10", "2", "3")
    assert [record.label for record in before.records] == ["10", "2", "0", "3", "1"]
    other = listed(tmp_path, "path,label\na.mp4,3\nb.mp4,jump\nc.mp4,10\n", "list.csv")
    assert other.classes == ("10", "3", "jump")


def test_names_are_classes_in_alphabetical_order(tmp_path):
    assert listed(tmp_path, "x.mp4 b\ny.mp4 a\n").classes == ("a", "b")


@pytest.mark.parametrize("text", ["x.mp4 1\ny.mp4 0\n", "x.mp4 alpha\ny.mp4 zeta\n"])
def test_class_names_beside_a_list_give_numbers_names_and_names_an_order(tmp_path, text):
    listing = listed(tmp_path, text, classes=["zeta", "alpha", "none"])
    assert listing.classes == ("zeta", "alpha", "none")
    assert [record.label for record in listing.records] == ["alpha", "zeta"]


def test_names_that_look_alike_are_one_class_however_they_are_written(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "étirer") for form in ("NFC", "NFD"))
    assert composed != decomposed
    for name in (composed, decomposed):
        video = tmp_path / "videos" / name / f"{len(name)}.mp4"
        video.parent.mkdir(parents=True)
        video.touch()
    found = read_list(tmp_path / "videos", [decomposed])
    assert (found.classes, [record.label for record in found.records]) == ((composed,), [composed] * 2)
    (tmp_path / "classes.txt").write_text(f"{decomposed}\nautre\n")
    (tmp_path / "list.txt").write_text(f"a.mp4 {composed}\nb.mp4 {decomposed}\n")
    found = read_list(tmp_path / "list.txt")
    assert (found.classes, {record.label for record in found.records}) == ((composed, "autre"), {composed})
    assert class_number(composed, ["autre", decomposed]) == class_number(decomposed, ["autre", composed]) == 1


def test_a_manifest_takes_the_classes_beside_it_too(tmp_path):
    text = "path,label,num_frames,template\nx,a,48,img_{:05d}.jpg\ny.mp4,b,,\n"
    listing = listed(tmp_path, text, "train.csv", classes=["b", "a"])
    assert listing.classes == ("b", "a")
    assert listing.records == [
        Record(tmp_path / "x", "a", num_frames=48, template="img_{:05d}.jpg"),
        Record(tmp_path / "y.mp4", "b"),
    ]


def test_spaces_around_the_values_of_a_manifest_do_not_count(tmp_path):
    text = 'path, label ,num_frames\na.mp4, drop, 3\n b.mp4,lift \n\nc.mp4, "drop, twice"\n  \n,,\n'
    assert listed(tmp_path, text, "list.csv").records == [
        Record(tmp_path / "a.mp4", "drop", num_frames=3),
        Record(tmp_path / "b.mp4", "lift"),
        Record(tmp_path / "c.mp4", "drop, twice"),
    ]
    with pytest.raises(DataError, match="line 4: a manifest needs"):
        listed(tmp_path, "path,label\na.mp4,drop\n\nb.mp4, \n", "list.csv")


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_lines_end_in_every_usual_way(tmp_path, name, end):
    lines = ["x.mp4 b c", "y.mp4 a"] if name == "list.txt" else ["path,label", "x.mp4,b c", "y.mp4,a"]
    listing = listed(tmp_path, end.join([*lines, ""]), name, classes=None)
    assert [(record.path.name, record.label) for record in listing.records] == [("x.mp4", "b c"), ("y.mp4", "a")]
    with pytest.raises(DataError, match="0xe9 in line 2, is not"):
        listed(tmp_path, f"x.mp4 0{end}caf".encode() + b"\xe9", name)


def test_a_headless_list_may_be_called_csv(tmp_path):
    listing = listed(tmp_path, "a b/x.mp4 1\ny.mp4 0\n", "train.csv")
    assert [(record.path.name, record.label) for record in listing.records] == [("x.mp4", "1"), ("y.mp4", "0")]


def test_what_is_hidden_is_neither_class_nor_video(tmp_path):
    for name in (".hidden/x.mp4", "a/._w.webm", "a/w.webm", "a/.clip/00001.jpg", "a/clip/._00001.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = read_list(tmp_path)
    assert listing.records == [Record(tmp_path / "a" / "w.webm", "a")]
    assert listing.classes == ("a",)


def test_a_folder_holds_videos_and_folders_of_frames(tmp_path):
    write_frames(tmp_path / "b" / "clip", grey(3))
    (tmp_path / "a").mkdir()
    for name in ("x.mp4", "notes.txt"):
        (tmp_path / "a" / name).touch()
    (tmp_path / "a" / "empty").mkdir()
    listing = read_list(tmp_path)
    assert listing.records == [Record(tmp_path / "a" / "x.mp4", "a"), Record(tmp_path / "b" / "clip", "b")]
    assert listing.classes == ("a", "b")


def test_a_manifest_s_numbers_are_classes_unless_they_are_below_0(tmp_path):
    assert listed(tmp_path, "path,label\nx.mp4,7\ny.mp4,1234567\n", "list.csv").classes == ("7", "1234567")
    with pytest.raises(DataError, match="the label -1 is out of range; labels count from 0"):
        listed(tmp_path, "path,label\nx.mp4,7\ny.mp4,-1\n", "list.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x.mp4 0\n\njust-a-path\n", "line 3: expected `path label` or `path num_frames label`, got 'just-a-path'"),
        ("clip 0 3\n", "line 1: num_frames must be at least 1, got 0"),
        ("x.mp4 0\ny.mp4 -1\n", "the label -1 is out of range"),
        ("x.mp4 99999999999\n", "the label 99999999999 is out of range"),
        ("x.mp4 0\ny.mp4 1 3 5\n", "line 2: a video has one label, got 1 3 5"),
        ("x.mp4 0\ny.mp4 jump\n", "numbers or names, not both as 0 and 'jump'"),
        ("\n\n", "the list .*list.txt lists no videos"),
        ("x.mp4 0\ny.mp4 -0\n", "the label -0 is out of range"),
        (b"x.mp4 0\ncaf\xe9.mp4 1\n", r"list.txt is not a text file in UTF-8: byte 11, 0xe9 in line 2, is not"),
        (b"\xef\xbb\xbfx.mp4 0\ncaf\xe9.mp4 1\n", r"byte 14, 0xe9 in line 2, is not"),
    ],
)
def test_a_broken_list_is_explained_in_one_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as raised:
        listed(tmp_path, text)
    assert "list.txt" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,a,some,", "line 2: num_frames must be at least 1, got some"),
        ("x,a,3,frame.jpg", r"line 2: the template must be like \{:05d\}.jpg, got frame.jpg"),
        ("x,a,3,{:>9}{}.jpg", "line 2: the template must be like"),
    ],
)
def test_a_broken_manifest_names_the_line(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        listed(tmp_path, f"path,label,num_frames,template\n{row}\n", "list.csv")


@pytest.mark.parametrize("names", ["", "a\nb\na\n"])
def test_class_names_must_be_there_and_differ(tmp_path, names):
    (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(DataError, match="must name every class once"):
        listed(tmp_path, "x.mp4 0\n")


def test_names_that_are_not_utf_8_are_named(tmp_path, not_unicode):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"{not_unicode}.mp4").touch()
    with pytest.raises(DataError, match=r"1 videos have names that are not UTF-8, the first .*caf\\xe9"):
        read_list(tmp_path)


def test_a_label_is_a_name_before_it_is_a_number():
    assert [class_number(label, ("2", "1", "0")) for label in "210"] == [0, 1, 2]
    assert [class_number(label, ("a", "b")) for label in ("b", "1", "2", "-1", "c")] == [1, 1, None, None, None]
    assert [class_number(label, ("0", "1", "10", "2")) for label in ("10", "02", "3")] == [2, 3, None]


def test_the_fingerprint_of_frames_notices_another_count_name_or_picture(tmp_path):
    folder = write_frames(tmp_path / "clip", grey(4))
    before = Record(folder, "a").fingerprint()
    assert Record(write_frames(tmp_path / "copy", grey(4)), "b").fingerprint() == before
    write_frames(folder, grey(5)[4:], first=5)
    longer = Record(folder, "a").fingerprint()
    write_frames(folder, grey(5)[:1], first=5)
    other = Record(folder, "a").fingerprint()
    (folder / "00005.jpg").rename(folder / "00006.jpg")
    assert len({before, longer, other, Record(folder, "a").fingerprint()}) == 4


def test_links_in_circles_and_pipes_do_not_disturb_a_fingerprint(tmp_path):
    folder = write_frames(tmp_path / "clip", grey(4))
    before = Record(folder, "a").fingerprint()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    assert Record(folder, "a").fingerprint() == before
    assert Record(folder / "pipe", "a").fingerprint() == "missing"


def test_the_fingerprint_of_frames_notices_what_the_list_says_where_the_folder_shows_another_thing(tmp_path):
    folder = write_frames(tmp_path / "clip", grey(8), "flow_x_{:05d}.jpg")
    write_frames(folder, grey(7), "img_{:05d}.jpg")
    unsaid = Record(folder, "a").fingerprint()
    assert Record(folder, "a", num_frames=7, template="img_{:05d}.jpg").fingerprint() == unsaid
    assert Record(folder, "a", num_frames=7).fingerprint() == unsaid
    assert Record(folder, "a", template="flow_x_{:05d}.jpg").fingerprint() == (
        Record(folder, "a", num_frames=8, template="flow_x_{:05d}.jpg").fingerprint()
    )
    flow = {"template": "flow_x_{:05d}.jpg"}
    said = [{}, {"num_frames": 4}, flow, {**flow, "num_frames": 4}]
    for content in ("", "hash"):
        assert len({Record(folder, "a", content, **how).fingerprint() for how in said}) == len(said)


def test_the_fingerprint_of_a_file_does_not_take_the_list_s_word_for_its_length(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"video")
    before = Record(tmp_path / "x.mp4", "a").fingerprint()
    assert before == "0bf22cdda314f8b65ed7715b37bd899ca660f057f1799ae7f549b7e8f86c6530"  # as recorded digests have it
    assert Record(tmp_path / "x.mp4", "a", num_frames=3).fingerprint() == before
    assert Record(tmp_path / "x.mp4", "a", "hash", num_frames=3).fingerprint() == "hash"
    assert Record(tmp_path / "none", "a", num_frames=3, template="{:05d}.jpg").fingerprint() == "missing"
    assert Record(tmp_path / "x.mp4", "a", template="{:05d}.jpg").fingerprint() != before
