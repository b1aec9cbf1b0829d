"""A report is one file that shows every view and asks for nothing outside itself."""

import base64
import io
import re
import shutil

import pandas as pd
from test_views import all_views, origin  # noqa: F401

from workbench import report


def test_a_page_holds_every_view_whole(origin):  # noqa: F811
    shown = list(all_views(origin).values())
    page = report.html(shown, "What <we> saw")
    assert "What &lt;we&gt; saw" in page
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!data:)', markup)
    tables = re.findall(r"data:text/csv;base64,([^\"]+)", page)
    for view, coded in zip(shown, tables, strict=True):
        assert f"<h2>{view.title}</h2>" in page
        read = pd.read_csv(io.BytesIO(base64.b64decode(coded)))
        assert list(read.columns) == list(view.table.columns)
        assert len(read) == len(view.table)


def test_a_long_table_is_cut_and_says_so(origin, monkeypatch):  # noqa: F811
    monkeypatch.setattr(report, "ROWS", 2)
    view = all_views(origin)["shifts"]
    assert f"the first 2 of {len(view.table)} rows" in report.html([view], "Short")


def test_the_report_of_a_checkpoint_has_its_accuracy_and_norms(origin, folder):  # noqa: F811
    page = report.of_checkpoint(origin.checkpoint, folder, (1, 2, 4), 2, report=lambda *_: None)
    for title in ("Accuracy against frames", "Norm statistics at 2 frames", "Between the branches"):
        assert f"<h2>{title}</h2>" in page
    assert "could not be read" not in page


def test_a_report_says_how_many_videos_could_not_be_read(origin, folder, tmp_path):  # noqa: F811
    videos = shutil.copytree(folder, tmp_path / "more")
    (sorted(videos.glob("*/*"))[0].parent / "broken.mp4").write_bytes(b"no video")
    page = report.of_checkpoint(origin.checkpoint, videos, (1, 2), 2, report=lambda *_: None)
    assert "Of 5 videos 1 could not be read; ffn data check names them." in page
