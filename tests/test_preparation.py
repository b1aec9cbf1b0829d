"""Manifests of the usual data sets: the official labels and class order, and every video that is there."""

import csv
import json

import pytest
from test_lists import grey, write_frames

from ffn.annotations import FORMATS
from ffn.lists import DataError, read_list
from ffn.preparation import prepare


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def write(folder, **files):
    """Text files; `__` stands for a dot and `_x_` for a hyphen."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".").replace("_x_", "-")).write_text(text, encoding="utf-8")
    return folder


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labelled(path):
    """Class numbers by file name, as training reads a manifest."""
    listing = read_list(path)
    return {record.path.name: listing.classes.index(record.label) for record in listing.records}


@pytest.fixture
def places(tmp_path):
    return tmp_path / "annotations", tmp_path / "videos", tmp_path / "out"


@pytest.mark.parametrize("prefix", ["", "something_x_something_x_v2_x_"])
def test_something_something_v2(places, prefix):
    annotations, videos, output = places
    files = {
        "labels__json": {"Pushing something": "1", "Holding something next to something": "0"},
        "train__json": [
            {"id": "7", "label": "holding a cup", "template": "Holding [something] next to [something]"},
            {"id": "8", "label": "pushing", "template": "Pushing [something]"},
        ],
        "validation__json": [{"id": "9", "template": "Pushing [something]"}],
        "test__json": [{"id": "10"}],
        "test_x_answers__csv": "10;Pushing something\n",
    }
    write(annotations, **{prefix + name: content for name, content in files.items()})
    touch(videos, "7.webm", "8.webm", "9.webm", "10.webm")
    written = prepare("sthv2", [annotations], videos, output)
    assert [(m.path.name, m.videos, m.missing) for m in written] == [
        ("train.csv", 2, ()),
        ("val.csv", 1, ()),
        ("test.csv", 1, ()),
    ]
    assert labelled(output / "train.csv") == {"7.webm": 0, "8.webm": 1}
    assert labelled(output / "val.csv") == {"9.webm": 1}
    assert labelled(output / "test.csv") == {"10.webm": 1}
    assert list(rows(output / "train.csv")[0]) == ["path", "label"]


def test_something_something_v1_is_folders_of_frames(places):
    annotations, videos, output = places
    name = "something_x_something_x_v1_x_"
    write(
        annotations,
        **{
            name + "labels__csv": "Turning something\nApproaching something\n",
            name + "train__csv": "100;Approaching something\n101;Turning something\n",
            name + "validation__csv": "102;Turning something\n",
        },
    )
    for number, count in ((100, 3), (101, 4), (102, 2)):
        write_frames(videos / str(number), grey(count))
    prepare("sthv1", [annotations], videos, output)
    assert labelled(output / "train.csv") == {"100": 1, "101": 0}
    assert rows(output / "train.csv")[1] == {
        "path": str(videos / "101"),
        "label": "Turning something",
        "num_frames": "4",
        "template": "{:05d}.jpg",
    }


HEADER = "label,youtube_id,time_start,time_end,split\n"


def test_kinetics_in_folders_of_classes_or_flat(places):
    annotations, videos, output = places
    write(
        annotations,
        train__csv=f'{HEADER}rock climbing,-abc_defghi,12,22,train\n"eating, fast",b,1,11,train\n',
        val__csv=f"{HEADER}rock climbing,c,0,10,val\n",
        test__csv=f"{HEADER},d,0,10,test\n",
    )
    touch(videos, "rock_climbing/-abc_defghi_000012_000022.mp4", "b_000001_000011.mp4", "rock climbing/c.mkv")
    prepare("kinetics", [annotations], videos, output)
    assert labelled(output / "train.csv") == {"-abc_defghi_000012_000022.mp4": 1, "b_000001_000011.mp4": 0}
    assert labelled(output / "val.csv") == {"c.mkv": 1}
    assert not (output / "test.csv").exists()


@pytest.mark.parametrize(
    ("form", "files"),
    [
        (
            "hmdb51",
            {
                "run_test_split1__txt": "x.avi 1\n",
                "wave_hand_test_split1__txt": "x.avi 1\ny.avi 1\nz.avi 2\n",
            },
        ),
        (
            "kinetics",
            {
                "train__csv": f"{HEADER}run,x,0,10,train\nwave hand,x,0,10,train\nwave hand,y,0,10,train\n",
                "val__csv": f"{HEADER}wave hand,z,0,10,val\n",
            },
        ),
    ],
)
def test_a_video_of_another_class_is_not_taken_for_one_that_is_missing(places, form, files):
    annotations, videos, output = places
    touch(videos, "run/x.avi", "wave_hand/y.avi", "anywhere/z.avi")
    train, held_out = prepare(form, [write(annotations, **files)], videos, output, allow_missing=True)
    assert labelled(train.path) == {"x.avi": 0, "y.avi": 1}
    assert (train.missing, held_out.missing) == (("x.avi",), ())


def test_a_kinetics_file_of_several_splits_is_divided_by_its_column(places):
    annotations, videos, output = places
    text = (
        HEADER.replace(",", ", ")
        + "a, p, 10, 20, train\n\n,,,,\nb, q, 0, 10, validate\na, r, 5, 15, test\nb, s, 0, 1,\n"
    )
    (path,) = write(annotations, kinetics__csv=text).iterdir()
    touch(videos, "p.mp4", "q.mp4", "r.mp4", "s.mp4")
    prepare("kinetics", [path], videos, output)
    assert {p.stem: list(labelled(p)) for p in output.glob("*.csv")} == {
        "train": ["p.mp4"],
        "val": ["q.mp4"],
        "test": ["r.mp4"],
        "kinetics": ["s.mp4"],
    }


def test_the_name_of_a_kinetics_file_goes_before_its_column(places):
    annotations, videos, output = places
    write(annotations, train__csv=f"{HEADER}a,p,10,20,train\n", val__csv=f"{HEADER}a,q,10,20,train\n")
    touch(videos, "p.mp4", "q.mp4")
    prepare("kinetics", [annotations], videos, output)
    assert (list(labelled(output / "train.csv")), list(labelled(output / "val.csv"))) == (["p.mp4"], ["q.mp4"])


def test_kinetics_as_lists_of_videos(places):
    annotations, videos, output = places
    write(annotations, train__csv="rock climbing/a b.mp4 1\nx.mp4 0\n", val__txt="y.mp4 0\n", names__txt="eat\nclimb\n")
    touch(videos, "rock climbing/a b.mp4", "x.mp4", "y.mp4")
    prepare("kinetics", [annotations], videos, output, classes=annotations / "names.txt")
    assert labelled(output / "train.csv") == {"a b.mp4": 1, "x.mp4": 0}
    assert [row["label"] for row in rows(output / "val.csv")] == ["eat"]


@pytest.mark.parametrize(
    ("split", "train", "test"), [(1, {"a.avi": 0}, {"b.avi": 0, "c.avi": 1}), (2, {"c.avi": 1}, None)]
)
def test_hmdb51_has_three_divisions(places, split, train, test):
    annotations, videos, output = places
    write(
        annotations,
        brush_hair_test_split1__txt="a.avi 1 \nb.avi\t2 \n",
        brush_hair_test_split2__txt="a.avi 0 \nb.avi 2 \n",
        wave_test_split1__txt="c.avi 2 \n",
        wave_test_split2__txt="c.avi 1 \n",
    )
    touch(videos, "brush_hair/a.avi", "brush_hair/b.avi", "wave/c.avi", "wave/a.avi")
    prepare("hmdb51", [annotations], videos, output, split=split)
    assert labelled(output / "train.csv") == train
    assert labelled(output / "test.csv") == (test or {"b.avi": 0})
    assert "brush_hair/" in rows(output / "test.csv")[0]["path"]


def test_tsn_lists_keep_their_counts_and_order_of_classes(places):
    annotations, videos, output = places
    write(annotations, train_videofolder__txt="v 3 0\nw 2 10\n", val_videofolder__txt="w 2 2\n", category__txt="a\n")
    for name in "vw":
        write_frames(videos / name, grey(3), "img_{:05d}.jpg")
    prepare("tsn", [annotations], videos, output)
    assert labelled(output / "train.csv") == {"v": 0, "w": 10}
    assert labelled(output / "val.csv") == {"w": 2}
    assert [(row["num_frames"], row["template"]) for row in rows(output / "train.csv")] == [
        ("3", "img_{:05d}.jpg"),
        ("2", "img_{:05d}.jpg"),
    ]


@pytest.mark.parametrize("line", ["{videos}/a/x.mp4 0", "{link}/a/x.mp4 0", "a/x.mp4 0", "videos/a/x.mp4 0"])
def test_a_list_s_paths_are_below_the_videos_or_the_list_or_absolute(places, line):
    _, videos, output = places
    touch(videos, "a/x.mp4")
    link = videos.parent / "link"
    link.symlink_to(videos)
    path = videos.parent / "train.txt"
    path.write_text(line.format(videos=videos, link=link) + "\n")
    prepare("tsn", [path], videos, output)
    assert [record.path.resolve() for record in read_list(output / "train.csv").records] == [videos / "a" / "x.mp4"]


def test_links_that_lead_back_are_not_followed_others_are(places):
    annotations, videos, output = places
    touch(videos, "a/x.mp4", "b/y.mp4")
    for name in "ab":
        (videos / name / "up").symlink_to("..")
        (videos / name / "across").symlink_to(videos / ("b" if name == "a" else "a"))
    (videos / "same").symlink_to("a")
    write(annotations, train__txt="a/x.mp4 0\nsame/x.mp4 0\na/across/y.mp4 1\n")
    (manifest,) = prepare("tsn", [annotations], videos, output)
    assert (manifest.videos, manifest.missing) == (3, ())


def test_frames_are_counted_by_the_given_template(places):
    annotations, videos, output = places
    write(annotations, labels__csv="A\n", train__csv="v;A\n", validation__csv="v;A\n")
    write_frames(videos / "v", grey(8), "img_{:05d}.jpg")
    write_frames(videos / "v", grey(7), "flow_x_{:05d}.jpg")
    prepare("sthv1", [annotations], videos, output, template="img_{:05d}.jpg")
    assert [(row["num_frames"], row["template"]) for row in rows(output / "val.csv")] == [("8", "img_{:05d}.jpg")]


@pytest.mark.parametrize("template", ["other_{:05d}.jpg", "img_{:04d}.jpg"])
def test_videos_without_frames_of_the_given_template_are_missing(places, template):
    annotations, videos, output = places
    write(annotations, train__txt="v 8 0\nw 8 0\n")
    write_frames(videos / "v", grey(8), "img_{:05d}.jpg")
    write_frames(videos / "w", grey(8), template)
    with pytest.raises(DataError, match=r"in frames like \S+, lacks 1 of the 2 videos .* \(v\)"):
        prepare("tsn", [annotations], videos, output, template=template)
    (train,) = prepare("tsn", [annotations], videos, output, template=template, allow_missing=True)
    assert (train.videos, train.missing) == (1, ("v",))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("evaluation_train", "train"),
        ("latest_train_list", "train"),
        ("trainlist01", "train"),
        ("ucf101.train-split_1", "train"),
        ("validate", "val"),
        ("k400-validation", "val"),
        ("validationSet", "val"),
        ("test2", "test"),
        ("latest", "latest"),
        ("constrained", "constrained"),
    ],
)
def test_the_split_is_a_word_of_the_file_s_name(places, name, split):
    annotations, videos, output = places
    touch(videos, "x.mp4")
    write(annotations, **{f"{name}.txt": "x.mp4 0\n"})
    (written,) = prepare("tsn", [annotations / f"{name}.txt"], videos, output)
    assert written.path == output / f"{split}.csv"


def test_manifests_above_the_videos_can_move_with_them(places):
    annotations, videos, _ = places
    write(annotations, train__txt="x.mp4 0\n")
    touch(videos, "x.mp4")
    prepare("tsn", [annotations / "train.txt"], videos, videos.parent)
    assert rows(videos.parent / "train.csv")[0]["path"] == "videos/x.mp4"


def test_videos_that_are_not_there_are_counted_and_named_or_left_out(places):
    annotations, videos, output = places
    write(annotations, train__txt="".join(f"{i}.mp4 0\n" for i in range(6)), val__txt="0.mp4 0\n")
    touch(videos, "0.mp4", "1.mp4")
    with pytest.raises(
        DataError, match=r"lacks 4 of the 7 videos .* \(2.mp4, 3.mp4, 4.mp4, ...\); fetch them, or pass"
    ):
        prepare("tsn", [annotations], videos, output)
    assert not output.exists()
    train, val = prepare("tsn", [annotations], videos, output, allow_missing=True)
    assert (train.videos, train.missing) == (2, ("2.mp4", "3.mp4", "4.mp4", "5.mp4"))
    assert (val.videos, val.missing) == (1, ())
    (videos / "0.mp4").unlink()
    with pytest.raises(DataError, match="nothing is left for val"):
        prepare("tsn", [annotations], videos, output, allow_missing=True)


@pytest.mark.parametrize(
    ("form", "files", "message"),
    [
        ("sthv2", {}, r"must have one file ...labels.json, found 0"),
        ("sthv2", {"labels__json": "{"}, "labels.json is not JSON"),
        ("sthv2", {"labels__json": ["A", "B"]}, "labels.json must give every class its number"),
        ("sthv2", {"labels__json": 5}, "labels.json must give every class its number"),
        ("sthv2", {"labels__json": {"A": None, "B": "1"}}, "labels.json: the class 'A' has no number but null"),
        ("sthv2", {"labels__json": {"A": "x"}}, "labels.json: the class 'A' has no number but \"x\""),
        (
            "sthv2",
            {"labels__json": {"A": "0"}, "train__json": 5, "validation__json": []},
            "train.json must be a list of entries with id and template",
        ),
        (
            "sthv2",
            {"labels__json": {"A": "0"}, "train__json": [{"id": 1, "template": None}], "validation__json": []},
            "train.json, entry 0: expected the keys id and template, a sentence",
        ),
        (
            "sthv2",
            {"labels__json": {"A": "0"}, "train__json": [{"id": 1}], "validation__json": []},
            "the keys id and temp",
        ),
        (
            "sthv2",
            {"labels__json": {"A": "0"}, "train__json": [{"id": 1, "template": "B"}], "validation__json": []},
            "1 labels of the annotations are not among the 1 classes: B",
        ),
        (
            "sthv1",
            {"labels__csv": "A\n", "train__csv": "1;A\n2\n", "validation__csv": ""},
            "train.csv, line 2: expected `id;label`",
        ),
        ("kinetics", {"train__csv": HEADER + "a,b,soon,late,train\n"}, "line 2: expected numbers of seconds"),
        ("sthv2", {"labels__json": {"A": "0", "B": 0}}, "labels.json: 'A' and 'B' have one number, 0"),
        ("sthv2", {"labels__json": "[" * 100_000}, "labels.json is not JSON: maximum recursion depth"),
        ("kinetics", {"train__csv": HEADER + "a,b,inf,inf,train\n"}, "line 2: expected numbers of seconds"),
        ("kinetics", {"train__csv": f'{HEADER}a,"{"b" * 200_000}'}, "train.csv is not a CSV text file"),
        (
            "hmdb51",
            {"wave_test_split1__txt": "a.avi 1\nb.avi 7\n"},
            "line 2: expected `video 0`, 1 or 2, got 'b.avi 7'",
        ),
        ("hmdb51", {}, r"has no files like CLASS_test_split1.txt"),
        ("tsn", {"some__txt": "x 3 0\n"}, "found no files with train, val or test in their names"),
        ("tsn", {"train__txt": "x 3 0\n", "train2__txt": "x 3 0\n"}, "both .* are for train"),
        ("tsn", {"train__txt": "caf\u00e9.mp4 0\n"}, "lacks 1 of the 1"),
        ("other", {}, "there is no format 'other'; there are sthv1"),
    ],
)
def test_annotations_that_cannot_be_used_are_explained(places, form, files, message):
    annotations, videos, output = places
    videos.mkdir()
    with pytest.raises(DataError, match=message) as raised:
        prepare(form, [write(annotations, **files)], videos, output)
    assert "\n" not in str(raised.value)
    assert not output.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_annotations_that_are_not_there_are_named(places, form):
    annotations, videos, output = places
    videos.mkdir()
    named = write(annotations, labels__json={"A": "0"}) / "train.json"
    with pytest.raises(DataError, match=r"^no such file or folder of annotations: .*train.json$"):
        prepare(form, [annotations / "labels.json", named], videos, output)


def test_names_that_no_manifest_can_hold_are_named(places, not_unicode):
    annotations, videos, output = places
    touch(videos / not_unicode, "x.mp4")
    write(annotations, train__txt="x.mp4 0\n")
    with pytest.raises(DataError, match=r"1 videos have names that are not UTF-8, the first .*caf\\xe9"):
        prepare("tsn", [annotations], next(videos.iterdir()), output)


def test_frames_whose_names_no_manifest_can_hold_are_named(places, not_unicode):
    annotations, videos, output = places
    touch(videos, f"x/{not_unicode}_00001.jpg")
    write(annotations, train__txt="x 1 0\n")
    with pytest.raises(DataError, match=r"1 videos have names that are not UTF-8, the first .*x/caf\\xe9_"):
        prepare("tsn", [annotations], videos, output)
    assert not output.exists()


def test_hidden_videos_are_not_there(places):
    annotations, videos, output = places
    write(annotations, train__txt="x.mp4 0\n._y.mp4 0\n.trash/z.mp4 0\n")
    touch(videos, "x.mp4", "._y.mp4", ".trash/z.mp4")
    (train,) = prepare("tsn", [annotations], videos, output, allow_missing=True)
    assert train.missing == ("._y.mp4", "z.mp4")


def test_annotations_are_never_overwritten(places):
    annotations, videos, _ = places
    write(annotations, train__csv=f"{HEADER}a,b,1,11,train\n")
    touch(videos, "b_000001_000011.mp4")
    with pytest.raises(DataError, match="would overwrite the annotations"):
        prepare("kinetics", [annotations], videos, annotations)
    assert set(FORMATS) == {"sthv1", "sthv2", "kinetics", "hmdb51", "tsn"}
