"""The tables: what is trained for them, and that their rows are made once and can be made again."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
from conftest import write_video

from ffn import reproduction, results, tables
from ffn.cli import main
from ffn.experiment import Experiment
from ffn.reproduction import Answers, Reproduction, averaged
from ffn.runs import run
from ffn.tables import Entry, entries, recipe, recipe_of

TINY = {
    "resize": 32,
    "crop": 24,
    "select": "last",
    "batch_size": 4,
    "epochs": 1,
    "learning_rate": 1e-3,
}
BACKBONE = {"architecture": "resnet18", "model_options": {"channels": [8, 8, 8, 8]}}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    for split in ("train", "val", "test"):
        for label, level in (("dark", 60), ("light", 200)):
            for i in range(2):
                noise = np.random.default_rng(i).integers(-40, 40, (16, 32, 32, 3))
                write_video(folder / split / label / f"{i}.mp4", (level + noise).astype(np.uint8))
    return {split: folder / split for split in ("train", "val", "test")}


@pytest.fixture
def tiny(monkeypatch):
    """The tables' trainings on a network and a schedule that take a second."""
    monkeypatch.setattr(tables, "COMMON", TINY)
    monkeypatch.setattr(tables, "PRETRAINING", {**TINY, "method": "single", "frames": (8,)})
    monkeypatch.setattr(tables, "BACKBONES", {"resnet10t": BACKBONE})


def making(folder, data):
    return Reproduction(folder / "rows.csv", folder / "tables", data=data, report=lambda *_: None)


def test_every_line_of_every_table_is_a_training_that_can_be_described():
    for entry in entries():
        assert entry.table in results.TABLES
        if entry.method != "ensemble":
            experiment = Experiment(**recipe_of(entry))
            assert set(entry.frames) >= set(experiment.frames)
            assert experiment.select == "last"
        assert recipe(entry)
    assert len(set(entries())) == len(entries())


def test_all_methods_share_one_recipe():
    """But for what makes the method, every training on a backbone has the same settings."""
    own = {"method", "streams", "share", "without", "frames"}
    shared = {}
    for entry in entries():
        if entry.method != "ensemble":
            settings = {name: value for name, value in recipe_of(entry).items() if name not in own}
            assert shared.setdefault(entry.backbone, settings) == settings
    assert set(shared) == set(tables.BACKBONES)


@pytest.mark.parametrize("backbone", tables.BACKBONES)
def test_every_backbone_learns_by_the_recipe_of_the_tables(backbone, data, tmp_path):
    frames = next(entry.frames for entry in entries() if (entry.backbone, entry.method) == (backbone, "ffn"))
    settings = {**recipe_of(Entry("", "ffn", frames, backbone)), "epochs": 1, "batch_size": 2}
    experiment = Experiment(**settings, data=str(data["train"]), cache="off")
    (row,) = run(experiment, tmp_path / "run")
    assert all(np.isfinite(row[f"loss_{t}"]) for t in frames)


def test_a_recipe_is_named_by_all_that_decides_it():
    single, ffn = Entry("1", "single", (16,)), Entry("1", "ffn", (4, 8, 16))
    assert recipe(single) == recipe(replace(single, table="fig2")) != recipe(ffn)
    assert recipe(Entry("1", "single", (4,))) != recipe(Entry("1", "finetune", (4, 16)))


def test_the_rows_of_a_table_are_made_once(tiny, tmp_path, data, monkeypatch):
    making(tmp_path, data).run(["1"], [0])
    rows = results.read(tmp_path / "rows.csv")
    assert tuple(rows[0]) == results.COLUMNS
    keys = [(r["table"], r["method"], r["backbone"], r["frames"], r["num_frames"], r["seed"]) for r in rows]
    assert len(set(keys)) == len(keys)
    assert {row["method"] for row in rows} == {entry.method for entry in entries(["1"])}
    assert {row["clips"] for row in rows} == {"4"}
    assert all(0 <= float(row["top1"]) <= 100 for row in rows)
    monkeypatch.setattr(reproduction, "run", None)
    again = making(tmp_path, data)
    again.run(["1"], [0])
    assert results.read(tmp_path / "rows.csv") == rows
    (tmp_path / "rows.csv").unlink()
    again.run(["1"], [0])  # what was trained is there still
    assert results.read(tmp_path / "rows.csv") == rows
    again.run(["fig2"], [])
    assert results.read(tmp_path / "rows.csv") == rows


def test_what_another_table_tells_of_a_network_is_not_measured_again(tiny, tmp_path, data, monkeypatch):
    monkeypatch.setattr(reproduction, "entries", lambda names=("5",): [Entry(name, "single", (8,)) for name in names])
    making(tmp_path, data).run(["fig2"], [0])
    monkeypatch.setattr(Reproduction, "answers", lambda *_: pytest.fail("is known"))
    making(tmp_path, data).run(["1", "5"], [0])
    rows = {(row.pop("table"), row["num_frames"]): row for row in results.read(tmp_path / "rows.csv")}
    assert rows.keys() == {
        *(("fig2", t) for t in ("4", "8", "12", "16")),
        *((n, t) for n in "15" for t in ("4", "8", "16")),
    }
    assert all(row == rows["fig2", t] for (_, t), row in rows.items())
    with pytest.raises(pytest.fail.Exception, match="is known"):
        making(tmp_path, data).run(["3"], [0])  # 24 frames were not written down


def test_a_row_that_was_removed_comes_back_and_a_network_has_one_result_in_all_tables(
    tiny, tmp_path, data, monkeypatch
):
    monkeypatch.setattr(reproduction, "entries", lambda names=("1", "fig2"): [Entry(n, "single", (8,)) for n in names])
    making(tmp_path, data).run(["1", "fig2"], [0])
    path = tmp_path / "rows.csv"
    before, lines = path.read_text(), path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))  # without 8 frames, which fig2 has too
    making(tmp_path, data).run(["1", "fig2"], [0])
    assert path.read_text() == before
    path.write_text("".join(line for line in lines if ",8,8,0," not in line).replace(",4,0,", ",4,0,1"))
    making(tmp_path, data).run(["1", "fig2"], [0])  # must be looked up, so that all is as it was looked up
    assert path.read_text() == before


def test_an_ensemble_is_made_again_when_a_network_of_it_is(tiny, tmp_path, data, monkeypatch):
    lines = [Entry("1", "ensemble", (4, 8)), Entry("1", "single", (4,)), Entry("1", "single", (8,))]
    monkeypatch.setattr(reproduction, "entries", lambda *_: lines)
    making(tmp_path, data).run(["1"], [0])
    path = tmp_path / "rows.csv"
    made = path.read_text().splitlines(keepends=True)
    others = [row.replace(",4,0,", ",4,0,1") for row in made]  # as if by other networks
    path.write_text("".join(row for row in others if ",single,resnet10t,8,16,0," not in row))
    making(tmp_path, data).run(["1"], [0])
    rows = zip(path.read_text().splitlines(keepends=True), made, others, strict=True)
    assert all(row == (other if ",single,resnet10t,4," in row else own) for row, own, other in rows)


def test_a_changed_recipe_replaces_its_rows(tiny, tmp_path, data, monkeypatch):
    monkeypatch.setattr(reproduction, "entries", lambda tables=(): [Entry("1", "single", (4,))])
    making(tmp_path, data).run()
    before = results.read(tmp_path / "rows.csv")
    monkeypatch.setattr(tables, "COMMON", {**TINY, "learning_rate": 2e-3})
    making(tmp_path, data).run()
    after = results.read(tmp_path / "rows.csv")
    assert len(after) == len(before) == 3 * 3
    assert {row["recipe"] for row in before} != {row["recipe"] for row in after}


def _work(folder, data):
    tables.COMMON, tables.BACKBONES = TINY, {"resnet10t": BACKBONE}
    tables.PRETRAINING = {**TINY, "method": "single", "frames": (8,)}
    making(folder, data).run(["fig2"], [0, 1])


def test_two_processes_share_the_work(tmp_path, data):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_work, args=(tmp_path, data)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    rows = results.read(tmp_path / "rows.csv")
    assert len(rows) == 4 * 2 * 4
    assert len(list((tmp_path / "tables").glob("*/test.npz"))) == (4 + 1) * 2


def test_processes_that_find_all_rows_there_neither_render_nor_train(tmp_path, monkeypatch):
    monkeypatch.setenv("FFN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reproduction, "prepare", lambda *_, **__: None)
    output = tmp_path / "rows.csv"
    output.write_bytes(results.RESULTS.read_bytes())
    for count in ("1", "2"):
        assert main(["reproduce", "tables", "--output", str(output), "--processes", count]) == 0
    assert output.read_bytes() == results.RESULTS.read_bytes()
    assert not (tmp_path / "cache").exists()


def test_what_every_training_reads_is_decoded_before_they_start(data, tmp_path, monkeypatch):
    monkeypatch.setenv("FFN_CACHE", str(tmp_path))
    monkeypatch.setattr(reproduction, "embedded", lambda *_: data)
    monkeypatch.setattr(reproduction, "COMMON", TINY)
    monkeypatch.setattr(tables, "COMMON", TINY)
    calls = []
    reproduction.prepare(lambda *call: calls.append(call), 1)
    assert {call[0] for call in calls} == {"decoding train", "decoding test"}
    experiment = Experiment(**recipe_of(Entry("1", "single", (4,))), data=str(data["train"]), cache="on")
    calls.clear()
    experiment.clips().remember(progress=lambda *call: calls.append(call))
    assert not calls


def test_work_is_for_one_process_at_least(capsys):
    assert main(["reproduce", "tables", "--only", "fig2", "--processes", "0"]) == 1
    assert "the number of processes must be at least 1, got 0" in capsys.readouterr().err


def test_an_ensemble_is_the_mean_of_probabilities():
    rng = np.random.default_rng(0)
    members = [Answers({4: rng.normal(size=(5, 3))}, np.arange(5) % 3, 10, "c", "m") for _ in range(3)]
    shares = [np.exp(m.logits[4]) / np.exp(m.logits[4]).sum(-1, keepdims=True) for m in members]
    whole = averaged(members)
    np.testing.assert_allclose(np.exp(whole.logits[4]), np.mean(shares, 0))
    assert whole.params == 30


def test_what_was_tested_is_read_as_it_was_written(tmp_path):
    tested = Answers({4: np.eye(3), 16: 1 - np.eye(3)}, np.arange(3), 7, "abc", "a machine")
    tested.save(tmp_path / "test.npz")
    found = Answers.load(tmp_path / "test.npz")
    assert found.top1 == tested.top1 == {4: 100.0, 16: 0.0}
    assert (found.params, found.commit, found.machine) == (7, "abc", "a machine")


def test_the_rows_in_the_repository_are_all_those_of_the_tables():
    rows = results.read(results.RESULTS)
    assert tuple(rows[0]) == results.COLUMNS
    known = {(e.table, e.method, e.backbone, "-".join(map(str, e.frames))): recipe(e) for e in entries()}
    for row in rows:
        assert known[row["table"], row["method"], row["backbone"], row["frames"]] == row["recipe"]
        assert row["clips"] == "960"
        assert 0 < float(row["top1"]) <= 100
    keys = [tuple(row[name] for name in results.KEY) for row in rows]
    whole = [(*line, e, seed) for line, e in zip(known, entries(), strict=True) for seed in map(str, tables.SEEDS)]
    assert sorted(keys) == sorted((*line, str(t), seed) for *line, e, seed in whole for t in tables.counts(e))
    networks = {(row["recipe"], row["seed"], row["num_frames"]) for row in rows}
    assert len(networks) == len({tuple(row[name] for name in results.COLUMNS[4:]) for row in rows})


def test_a_summary_has_mean_and_spread_beside_the_paper(tmp_path):
    header = ",".join(results.COLUMNS)
    lines = [f"1,ffn,resnet10t,4-8-16,{t},{seed},{50 + seed},960,1,r,c,m" for t in (4, 8) for seed in (0, 2)]
    (tmp_path / "rows.csv").write_text("\n".join([header, *lines]) + "\n")
    (row,) = results.summary("1", (4, 8, 16), tmp_path / "rows.csv")
    assert row["4"] == "51.0 ± 1.4"
    assert row["16"] == "-"
    (one,) = results.summary("1", (4, 8, 16), tmp_path / "rows.csv", seeds=[2])
    assert one["4"] == "52.0"
    assert not results.summary("1", (4, 8, 16), tmp_path / "rows.csv", seeds=[1])
    assert row["paper"] == "42.85 / 48.20 / 50.79"


@pytest.mark.parametrize(
    ("table", "method", "backbone", "frames", "paper"),
    [
        ("5", "ffn", "resnet10t", "4-8-16", "36.83 / 41.61 / 43.57"),  # our smallest beside the paper's
        ("5", "ffn", "resnet18", "4-8-16", "45.15 / 50.24 / 51.79"),
        ("8", "ffn", "resnet10t", "4-8-16", "42.85 / 48.20 / 50.79 / -"),
        ("8", "ffn", "slowfast_resnet50_tiny", "8-16-32", "- / 43.90 / 47.11 / 47.27"),
        ("8", "single", "slowfast_resnet50_tiny", "16", "- / - / 44.12 / -"),
    ],
)
def test_every_network_stands_beside_the_paper_s_that_it_is_for(tmp_path, table, method, backbone, frames, paper):
    counts, row = results.TABLES[table].counts, f"{table},{method},{backbone},{frames},8,0,50,960,1,r,c,m"
    (tmp_path / "rows.csv").write_text(",".join(results.COLUMNS) + f"\n{row}\n")
    (line,) = results.summary(table, counts, tmp_path / "rows.csv")
    assert line["paper"] == paper


def test_the_readme_shows_the_rows_that_are_there(capsys):
    assert main(["reproduce", "tables", "--show", "--only", "1"]) == 0
    assert capsys.readouterr().out.strip() in (results.HERE.parent.parent / "README.md").read_text(encoding="utf-8")
