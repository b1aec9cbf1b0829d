"""Files that are written whole or not at all."""

import csv
import os

import pytest

from ffn.files import cache_folder, make_folder, read_csv, replacing, writable, write_csv


def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    for content in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(content)
            assert temporary.parent == path.parent
        assert path.read_text() == content
        assert [*path.parent.iterdir()] == [path]


def test_where_a_file_can_be_written_is_found_before_it_is_made(tmp_path):
    kept, link, pipe = tmp_path / "kept.csv", tmp_path / "link.csv", tmp_path / "pipe"
    assert writable(tmp_path / "new" / "file.csv", None, kept) == tmp_path / "new" / "file.csv"
    assert (tmp_path / "new").is_dir()
    kept.touch()
    link.symlink_to(kept)
    assert writable(kept, tmp_path / "other.csv") == writable(link) == kept
    os.mkfifo(pipe)
    for path, sources, said in (
        (tmp_path, (), "is a folder; name a file in it"),
        (pipe, (), "no file that could be replaced"),
        (kept, (None, kept), "is read here and would be lost"),
        (link, (kept,), "is read here and would be lost"),
    ):
        with pytest.raises(ValueError, match=f"{path} .*{said}"):
            writable(path, *sources)
    with pytest.raises(OSError, match=r"kept\.csv is no folder that can be written to"):
        writable(kept / "file.csv")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_tables_round_trip(tmp_path):
    rows = [{"layer": 'a,"b"', "value": 1.5}, {"layer": "é", "value": None}]
    write_csv(tmp_path / "table.csv", rows)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"layer": 'a,"b"', "value": "1.5"}, {"layer": "é", "value": ""}]


def test_rows_with_other_keys_write_nothing(tmp_path):
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_csv(tmp_path / "table.csv", [{"a": 1}, {"b": 2}])
    assert not any(tmp_path.iterdir())


def test_a_table_without_the_columns_in_question_names_them(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    assert read_csv(path, ("b", "a")) == read_csv(path) == [{"a": "1", "b": "2"}]
    with pytest.raises(ValueError, match=r"table.csv lacks the columns c, d; it is the table of something else"):
        read_csv(path, ("a", "c", "d"))
    path.write_text("")
    assert read_csv(path, ("a",)) == []


@pytest.mark.parametrize("line", ["3", "3,4,5"])
def test_a_line_of_a_table_that_was_cut_or_has_too_much_is_named(tmp_path, line):
    path = tmp_path / "table.csv"
    path.write_text(f"a,b\n1,2\n{line}\n")
    with pytest.raises(ValueError, match=r"line 3 of .*table.csv does not have the 2 fields of the header"):
        read_csv(path)


@pytest.mark.parametrize("content", [b"a,b\n1,\xff\n", b'a,b\n1,"' + b"x" * 200_000], ids=["encoding", "quote"])
def test_a_table_that_is_no_csv_text_is_named(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path} is not a CSV text file in UTF-8 \(.*\); mend it, or remove it$"):
        read_csv(path)


def test_the_mark_that_spreadsheets_put_before_a_table_is_no_part_of_it(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8-sig")
    assert read_csv(path, ("a", "b")) == [{"a": "1", "b": "2"}]


def test_a_folder_is_made_and_left_empty_and_a_file_is_none(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "new" / "folder")
    assert [*tmp_path.rglob("*")] == [tmp_path / "new", tmp_path / "new" / "folder"]
    (tmp_path / "file").touch()
    for below in ("file", "file/deeper", "file/much/deeper"):
        with pytest.raises(OSError, match=f"{below} is no folder that can be written to: "):
            make_folder(tmp_path / below)


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FFN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FFN_CACHE")
    assert cache_folder().name == "ffn"
