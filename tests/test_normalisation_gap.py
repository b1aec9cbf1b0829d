"""The table of how much norms explain: its rows are what the networks do, and the command prints what is recorded."""

import pytest
from conftest import small

import ffn
from ffn import cli
from ffn.evaluation import evaluate, wilson
from ffn.files import read_csv
from ffn.normalisation_gap import GAPS, Networks, gap_rows
from ffn.recalibration import recalibrate
from workbench import analysis

INTERVALS = [f"{name}{end}" for name in ("top1", "gained", "share") for end in ("", "_low", "_high")]
WAYS = ["as trained", "recalibrated", "private", "separate"]


@pytest.fixture
def clips(folder):
    return ffn.Clips(folder, frames=(4, 8), preprocessing=ffn.Preprocessing(resize=36, crop=32))


def networks() -> Networks:
    one = small((8,), num_classes=2)
    return Networks(one, small((4, 8), num_classes=2), {4: small((4,), seed=1, num_classes=2), 8: one})


def test_every_way_to_answer_has_a_row_at_every_count(clips):
    compared = networks()
    table = analysis.gap(gap_rows(compared, clips, clips, report=lambda *_: None))
    assert list(table) == ["trained", "num_frames", "way", "correct", "clips", *INTERVALS]
    assert table.way.tolist() == 2 * WAYS
    models = [compared.as_trained, recalibrate(compared.as_trained, clips, (4, 8)), compared.private]
    for t in (4, 8):
        rows = table[table.num_frames == t]
        for model, correct in zip([*models, compared.separate[t]], rows.correct, strict=True):
            (result,) = [found for found in evaluate(model, clips) if found.num_frames == t]
            assert correct == result.correct
        assert rows.top1_low.iloc[0] == pytest.approx(100 * wilson(rows.correct.iloc[0], 4)[0], abs=0.01)
    assert (table[table.way == "as trained"].gained == 0).all()
    assert table[(table.num_frames == 8) & (table.way == "separate")].share.isna().all()  # it is the network itself


def test_without_a_network_that_was_trained_there_is_no_gap(clips):
    compared = networks()
    alone = Networks(compared.as_trained, compared.private, {8: compared.as_trained})
    with pytest.raises(ValueError, match="no network trained at 4 frames alone"):
        gap_rows(alone, clips, clips, report=lambda *_: None)


def test_the_recorded_table_is_shown(capsys):
    assert cli.main(["reproduce", "normalisation", "--show"]) == 0
    shown = capsys.readouterr().out
    rows = read_csv(GAPS)
    assert [row["way"] for row in rows] == 3 * WAYS
    assert all(f"{row['top1']} ({row['top1_low']} to {row['top1_high']})" in shown for row in rows)


def test_the_readme_shows_the_recorded_table(capsys):
    assert cli.main(["reproduce", "normalisation", "--show"]) == 0
    assert capsys.readouterr().out.strip() in (GAPS.parents[2] / "README.md").read_text(encoding="utf-8")
