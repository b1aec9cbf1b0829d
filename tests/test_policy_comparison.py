"""Counts that were not trained: the rows are what the networks do, and a summary says of them what is so."""

import csv

import pytest
from conftest import small

import ffn
from ffn import policy_comparison, policy_results, reproduction
from ffn.checkpoint import load
from ffn.cli import main
from ffn.data import clips_for
from ffn.evaluation import evaluate
from ffn.policies import POLICIES
from ffn.policy_comparison import APART, FLEXIBLE, WAYS, PolicyComparison
from ffn.policy_results import ANY_FRAME, COLUMNS, COUNTS, KEY, SEPARATE
from ffn.reproduction import BusyError, Reproduction
from ffn.results import read
from ffn.tables import recipe

FEW = (3, 6)


class Drawn(Reproduction):
    """Networks drawn at random in the place of trained ones; at some another process is until the third time asked."""

    busy = ()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = []

    def trained(self, entry, seed):
        self.asked.append(entry)
        if entry in self.busy and self.asked.count(entry) < 3:
            raise BusyError
        place = self.folder / f"{recipe(entry)}-{seed}"
        if not place.exists():
            model = small(entry.frames, seed=seed + entry.frames[0], num_classes=2)
            ffn.save(model, place / "last.safetensors", {"classes": ["a", "b"], "input_size": 32, "resize": 36})
        return place


@pytest.fixture
def comparison(folder, tmp_path, monkeypatch):
    """The comparison at two of the counts."""
    monkeypatch.setattr(policy_comparison, "COUNTS", FEW)
    monkeypatch.setattr(policy_comparison, "APART", APART[1:3])
    data = dict.fromkeys(("train", "val", "test"), folder)
    trainings = Drawn(tmp_path / "none.csv", tmp_path / "tables", data=data, report=lambda *_: None)
    return PolicyComparison(trainings, tmp_path / "rows.csv")


def test_a_row_is_what_evaluate_says_of_the_network(comparison, folder):
    comparison.run([0])
    rows = read(comparison.output)
    assert tuple(rows[0]) == COLUMNS
    places = [(row["split"], row["way"], int(row["num_frames"])) for row in rows]
    assert places == [(split, way, t) for split in ("val", "test") for way in WAYS for t in FEW]
    for row in rows[: len(rows) // 2]:  # the splits are one and the same here
        t, apart = int(row["num_frames"]), row["way"] == SEPARATE
        entry = APART[COUNTS.index(t)] if apart else FLEXIBLE
        assert row["recipe"] == recipe(entry)
        model = load(comparison.trainings.trained(entry, 0) / "last.safetensors")
        clips = clips_for(model.card, folder, (t,))
        (result,) = evaluate(model, clips, policy="nearest" if apart else row["way"], calibration=clips)
        assert (row["correct"], row["clips"]) == (str(result.correct), "4")


def test_rows_are_made_once_and_anew_by_another_recipe(comparison, monkeypatch):
    comparison.run([0, 1])
    rows = read(comparison.output)
    assert {row["seed"] for row in rows} == {"0", "1"}
    with monkeypatch.context() as undone:
        undone.setattr(policy_comparison, "compare_networks", None)
        comparison.run([0, 1])
    monkeypatch.setattr(policy_comparison, "recipe", lambda entry: "another")
    comparison.run([0])
    after = read(comparison.output)
    assert [(row["way"], row["seed"]) for row in after] == [(row["way"], row["seed"]) for row in rows]
    assert {row["recipe"] for row in after if row["seed"] == "0"} == {"another"}
    assert [row for row in after if row["seed"] == "1"] == [row for row in rows if row["seed"] == "1"]


def test_what_others_are_at_is_left_to_them_and_comes_last(comparison, monkeypatch):
    monkeypatch.setattr(reproduction, "PATIENCE", 0)
    comparison.trainings.busy = (FLEXIBLE, APART[1])
    comparison.run([0])
    assert comparison.trainings.asked == [FLEXIBLE, *APART[1:3], *(FLEXIBLE, APART[1]) * 2]
    assert {(row["way"], row["num_frames"]) for row in read(comparison.output)} >= {(SEPARATE, "3"), (SEPARATE, "6")}


def written(path, accuracies):
    """Rows of 1000 clips; `accuracies` by split, way and seed are those of the first count, one less at every other."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="x")
        writer.writeheader()
        for (split, way, seed), correct in accuracies.items():
            for place, t in enumerate(COUNTS):
                row = {"split": split, "way": way, "seed": seed, "num_frames": t, "clips": 1000}
                writer.writerow({**row, "correct": correct - 10 * place})
    return path


ACCURACIES = {
    ("val", "nearest", 0): 700,
    ("val", "nearest", 1): 720,
    ("val", "repeat", 0): 730,
    ("val", "repeat", 1): 700,
    ("test", "nearest", 0): 800,
    ("test", "nearest", 1): 820,
    ("test", "repeat", 0): 790,
    ("test", "repeat", 1): 820,
    ("test", SEPARATE, 1): 810,
}


def test_validation_chooses_and_test_reports(tmp_path):
    rows = read(written(tmp_path / "rows.csv", ACCURACIES))
    assert policy_results.chosen(rows) == "repeat"
    lines = policy_results.summary(rows)
    assert [line["way"] for line in lines] == ["nearest", "repeat (chosen)", SEPARATE]
    assert [line["seeds"] for line in lines] == ["2", "2", "1"]
    assert [line["2"] for line in lines] == ["81.0 ± 1.4", "80.5 ± 2.1", "81.0"]
    assert [line["24"] for line in lines] == ["75.0 ± 1.4", "74.5 ± 2.1", "75.0"]
    assert [line["mean"] for line in lines] == ["78.0 ± 1.4", "77.5 ± 2.1", "78.0"]
    assert [line["validation"] for line in lines] == ["68.0 ± 1.4", "68.5 ± 2.1", "-"]


def test_differences_are_those_of_the_same_seed(tmp_path):
    rows = read(written(tmp_path / "rows.csv", ACCURACIES))
    nearest, separate = policy_results.gains(rows)
    assert (nearest["against"], nearest["10"], nearest["mean"]) == ("nearest", "-0.5 ± 0.7", "-0.5 ± 0.7")
    assert (separate["against"], separate["10"]) == (SEPARATE, "+1.0")
    counts = ", ".join(map(str, COUNTS))
    assert policy_results.verdict(rows) == (
        f"repeat beats nearest at no count. repeat beats separate at {counts} frames."
    )


def test_what_is_missing_is_said(tmp_path):
    rows = read(written(tmp_path / "rows.csv", ACCURACIES))
    line = policy_results.summary([row for row in rows if (row["way"], row["num_frames"]) != (SEPARATE, "10")])[-1]
    assert (line["seeds"], line["10"], line["mean"]) == ("0-1", "-", "-")
    alone = [row for row in rows if row["way"] != SEPARATE]
    without = [row for row in alone if row["way"] == "nearest"]
    assert policy_results.verdict(without).startswith("Validation prefers no policy to nearest.")
    assert policy_results.verdict(alone).endswith("Of separate nothing is known yet.")
    with pytest.raises(ValueError, match="no policy was evaluated yet"):
        policy_results.chosen([])


def test_the_rows_in_the_repository_are_of_the_recipes_that_there_are():
    rows = read(ANY_FRAME)
    assert tuple(rows[0]) == COLUMNS
    recipes = {SEPARATE: {str(entry.frames[0]): recipe(entry) for entry in APART}}
    recipes |= {policy: dict.fromkeys(map(str, COUNTS), recipe(FLEXIBLE)) for policy in POLICIES}
    for row in rows:
        assert row["recipe"] == recipes[row["way"]][row["num_frames"]]
        assert row["clips"] == {"val": "480", "test": "960"}[row["split"]]
        assert row["top1"] == f"{100 * int(row['correct']) / int(row['clips']):.2f}"
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows)


def test_the_command_shows_what_is_recorded(capsys):
    assert main(["reproduce", "any-frame", "--show"]) == 0
    shown = capsys.readouterr().out
    for line in policy_results.summary(read(ANY_FRAME)):
        assert all(cell in shown for cell in line.values())
    assert shown.strip() in (ANY_FRAME.parents[2] / "README.md").read_text(encoding="utf-8")
