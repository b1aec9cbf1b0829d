"""A run on disk: it survives being stopped and killed, belongs to one config, and loses nothing."""

import csv
import errno
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_video
from safetensors.torch import load_file
from tensorboard.summary.writer.record_writer import RecordWriter

import ffn
from ffn import runs
from ffn.bundled import DEMO
from ffn.cli import main
from ffn.data import DataError
from ffn.evaluation import evaluate
from ffn.experiment import Experiment
from ffn.recipes import RECIPES
from ffn.run_folder import RunError, _short, read_config, write_config
from ffn.runs import run

TINY = {
    "architecture": "resnet18",
    "model_options": {"channels": [8, 8, 8, 8], "drop_rate": 0.2},
    "frames": (2, 4),
    "resize": 32,
    "crop": 24,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "epochs": 4,
}


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Twelve videos to train on and six to validate, dark and bright."""
    folder = tmp_path_factory.mktemp("videos")
    for split, count in (("train", 6), ("val", 3)):
        for label, level in (("dark", 60), ("light", 200)):
            for i in range(count):
                noise = np.random.default_rng(i).integers(-40, 40, (8, 32, 32, 3))
                write_video(folder / split / label / f"{i}.mp4", (level + noise).astype(np.uint8))
    return folder


@pytest.fixture
def experiment(videos):
    return Experiment(data=str(videos / "train"), validation=str(videos / "val"), **TINY)


@pytest.fixture(scope="session")
def reference(videos, tmp_path_factory):
    """The folder of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    experiment = Experiment(data=str(videos / "train"), validation=str(videos / "val"), **TINY)
    list(run(experiment, folder))
    return folder


def same(folder: Path, reference: Path, name: str = "last.safetensors") -> bool:
    ours, theirs = load_file(folder / name), load_file(reference / name)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def first_epoch(*args, **kwargs) -> None:
    """A run that ends after one epoch, or the next one."""
    training = run(*args, **kwargs)
    next(training)
    training.close()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def timeless(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in ("seconds", "clips_per_second", "waiting")}


def assert_same_run(folder: Path, reference: Path) -> None:
    """The same network to the last bit, by the same rows but for the time they took."""
    assert same(folder, reference)
    assert list(map(timeless, rows(folder))) == list(map(timeless, rows(reference)))


def command(experiment: Experiment, folder: Path, *more: str) -> list[str]:
    """`ffn train` with the settings of an experiment, as a process."""
    words = [sys.executable, "-m", "ffn", "train", "-o", str(folder), *more]
    for name, value in experiment.chosen().items():
        flag = f"--{name.replace('_', '-')}"
        text = json.dumps(value) if isinstance(value, dict) else value
        words += [flag, *map(str, text)] if isinstance(text, list) else [flag, str(text)]
    return words


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def test_a_run_leaves_its_config_rows_and_checkpoints(experiment, reference):
    assert read_config(reference) == experiment
    assert [row["epoch"] for row in rows(reference)] == ["1", "2", "3", "4"]
    assert {f"{kind}_{t}" for kind in ("loss", "train", "val") for t in (2, 4)} <= rows(reference)[0].keys()
    card = ffn.read_card(reference / "last.safetensors")
    assert card["classes"] == ["dark", "light"]
    assert card["recipe"]["digest"] == experiment.digest
    assert card["metrics"]["epoch"] == 4
    assert ffn.load(reference / "best.safetensors").frames == (2, 4)
    assert list(reference.glob("events.*"))


def test_tensorboard_has_a_scalar_per_stream(reference):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(reference)).Reload()
    assert {"loss/2", "loss/4", "train/2", "val/2", "val/4", "learning_rate"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("val/4")] == [1, 2, 3, 4]


def test_the_best_epoch_has_the_highest_mean_over_the_branches(reference):
    found = rows(reference)
    means = [(float(row["val_2"]) + float(row["val_4"])) / 2 for row in found]
    assert [float(row["score"]) for row in found] == means
    assert ffn.read_card(reference / "best.safetensors")["metrics"]["epoch"] == 1 + means.index(max(means))


@pytest.mark.parametrize(("select", "score"), [("last", "epoch"), ("4", "val_4")])
def test_another_rule_of_selection(experiment, tmp_path, select, score):
    for row in run(replace(experiment, select=select, epochs=2), tmp_path / "run"):
        assert row["score"] == row[score]


def test_the_same_run_twice_is_the_same(experiment, reference, tmp_path):
    list(run(experiment, tmp_path / "run"))
    assert_same_run(tmp_path / "run", reference)


@pytest.mark.parametrize("signals", [[signal.SIGKILL] * 2, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]])
def test_a_killed_run_ends_with_the_same_weights(experiment, reference, tmp_path, signals):
    """Real processes, killed at random moments; what is done is not done again."""
    folder = tmp_path / "run"
    luck = random.Random(len(signals) * signals[0])
    for number in signals:
        process = subprocess.Popen(
            command(experiment, folder, "--resume"),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begun = time.monotonic()
        while not (folder / "config.json").exists() and process.poll() is None and time.monotonic() < begun + 60:
            time.sleep(0.05)
        time.sleep(luck.uniform(0, 4))
        process.send_signal(number)
        process.wait(60)
    done = subprocess.run(command(experiment, folder, "--resume"), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same_run(folder, reference)
    assert same(folder, reference, "best.safetensors")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("stop_at", [1, 3, 5, 11])
def test_a_run_stopped_after_any_step_goes_on_from_there(experiment, reference, tmp_path, stop_at):
    def stop(name, done, total):
        if done == 4 * stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt, match=f"after step {stop_at} of 12; --resume"):
        list(run(experiment, folder, report=stop))
    reports = []
    list(run(experiment, folder, resume=True, report=lambda *report: reports.append(report)))
    steps = [done // 4 for name, done, _ in reports if name.startswith("epoch")]
    assert steps == list(range(stop_at + 1, 13))
    assert ("validating epoch 4", 6, 6) in reports
    assert_same_run(folder, reference)


@pytest.mark.parametrize(("place", "call"), [("evaluate", 1), ("write_csv", TINY["epochs"])])
def test_a_run_killed_at_the_end_of_an_epoch_finishes_it_when_it_goes_on(
    experiment, reference, tmp_path, monkeypatch, place, call
):
    """Before its validation, and before its row is written: in the last epoch nothing else is left to do."""
    through, calls = getattr(runs, place), itertools.count(1)

    def killed(*args, **kwargs):
        if next(calls) == call:
            raise RuntimeError("killed")
        return through(*args, **kwargs)

    folder = tmp_path / "run"
    monkeypatch.setattr(runs, place, killed)
    with pytest.raises(RuntimeError, match="killed"):
        list(run(experiment, folder))
    monkeypatch.undo()
    list(run(experiment, folder, resume=True))
    assert_same_run(folder, reference)


def test_a_signal_to_all_processes_stops_a_run_whose_workers_decode(experiment, tmp_path):
    """As `timeout` and schedulers send it, and Ctrl-C a terminal."""
    words = command(replace(experiment, epochs=1000, workers=1), tmp_path / "run")
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "run" / "rows.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert "stopped after" in said
    assert "Traceback" not in said


def test_a_worker_that_is_killed_is_told_with_the_way_out(experiment, tmp_path):
    def kill(name, done, total):
        time.sleep(0.5)  # killed while it asks torch's event whether to end, it would leave that locked for ever
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.5)

    with pytest.raises(ChildProcessError, match="a worker that decodes was killed"):
        list(run(replace(experiment, workers=1, cache="off"), tmp_path / "run", report=kill))


def test_a_finished_run_has_nothing_left_to_do(experiment, reference):
    assert list(run(experiment, reference, resume=True)) == []


def test_a_folder_belongs_to_one_config(experiment, reference):
    with pytest.raises(RunError, match=r"belongs to another config \(learning_rate is 0.01 there and 0.5 here\)"):
        next(run(replace(experiment, learning_rate=0.5), reference, resume=True))
    with pytest.raises(RunError, match=r"holds this run already; --resume goes on with it, or"):
        next(run(experiment, reference))
    with pytest.raises(RunError, match=r"already \(data is .* there and .* here\); .* if that is the same, or choose"):
        next(run(replace(experiment, data=experiment.validation), reference))


def test_a_config_that_was_edited_is_not_taken_for_the_runs_own(reference, tmp_path, capsys):
    edited = shutil.copytree(reference, tmp_path / "edited")
    settings = json.loads((edited / "config.json").read_text())
    (edited / "config.json").write_text(json.dumps({**settings, "epochs": 9, "learning_rate": 0.5, "workers": 1}))
    assert main(["train", "-o", str(edited), "--resume"]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is not what the run began with (epochs was 4 and is 9; learning_rate was 0.01 and is 0.5)" in told
    assert told.endswith(f"begin another run in another folder by --init {edited / 'last.safetensors'}")


def test_one_class_alone_is_nothing_to_learn(experiment, tmp_path):
    shutil.copytree(Path(experiment.data) / "dark", tmp_path / "one" / "dark")
    with pytest.raises(DataError, match="one has one class alone, dark; there is nothing to tell apart"):
        next(run(replace(experiment, data=str(tmp_path / "one")), tmp_path / "run"))


def test_what_was_forgotten_to_say_of_a_run_is_told(experiment, reference, tmp_path, capsys):
    def told(*words):
        assert main(["train", "-o", *map(str, words)]) == 1
        return capsys.readouterr().err.strip()

    assert told(reference) == f"ffn train: {reference} holds a run; --resume goes on with it, or choose another folder"
    assert f"{tmp_path} holds no run to go on with; --data must say which videos" in told(tmp_path, "--resume")
    assert told(tmp_path).startswith("ffn train: --data must say which videos")
    longer = told(reference, "--resume", "--epochs", 9)
    assert "epochs is 4 there and 9 here" in longer
    assert longer.endswith(f"what is trained can begin another by --init {reference / 'last.safetensors'}")
    moved = shutil.copytree(reference, tmp_path / "moved")
    write_config(replace(experiment, data=str(tmp_path / "gone")), moved)
    assert f"{tmp_path / 'gone'}, the data of this run, is not there any more; --data says" in told(moved, "--resume")


def test_videos_to_validate_on_that_are_not_there_are_told_before_training(experiment, tmp_path):
    (tmp_path / "videos.csv").write_text("path,label\ngone.mp4,dark\nlost.mp4,light\n")
    away = replace(experiment, validation=str(tmp_path / "videos.csv"))
    with pytest.raises(DataError, match=r"none of the 2 videos to validate on is there: .*gone.mp4"):
        next(run(away, tmp_path / "run"))
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_what_differs_of_two_long_settings_is_shown():
    where = "/a/rather/long/path/of/some/experiment/with/videos/"
    assert _short("one", "two") == ["one", "two"]
    assert _short(f"{where}one", f"{where}two") == ["...eriment/with/videos/one", "...eriment/with/videos/two"]
    assert _short("one" * 20, "two" * 20) == ["one" * 13 + "o...", "two" * 13 + "t..."]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", '{"my": "settings"}', "config.json is no config of a run"),
        ("config.json", "[]", "config.json is no config of a run: it has no settings"),
        ("config.json", "null", "config.json is no config of a run: it has no settings"),
        ("config.json", '{"data": null}', "config.json is no config of a run: data cannot be null"),
        ("config.json", '{"epochs": 4.0}', "config.json is no config of a run: epochs cannot be 4.0"),
        ("config.json", '{"learning_rate": true}', "config.json is no config of a run: learning_rate cannot be true"),
        ("config.json", '{"frames": 4}', "config.json is no config of a run: frames cannot be 4"),
        ("rows.csv", "a,b", "rows.csv is of no run"),
    ],
)
def test_nothing_of_another_program_is_overwritten(experiment, tmp_path, name, content, problem):
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=f"{problem}.*choose another folder"):
        next(run(experiment, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


def test_plain_values_and_tuples_are_one_config(experiment, tmp_path):
    tuples = replace(experiment, epochs=1, model_options={"channels": (8, 8, 8, 8)})
    list(run(tuples, tmp_path))
    assert list(run(tuples, tmp_path, resume=True)) == []


def test_a_run_goes_on_where_its_data_was_moved_and_what_it_started_from_is_gone(
    experiment, reference, videos, tmp_path
):
    shutil.copytree(videos, tmp_path / "here")
    shutil.copy(reference / "last.safetensors", tmp_path / "start.safetensors")
    mine = replace(experiment, init=str(tmp_path / "start.safetensors"), validation=str(tmp_path / "here" / "val"))
    mine = replace(mine, data=str(tmp_path / "here" / "train"), epochs=3)
    list(run(mine, tmp_path / "whole"))
    training = run(mine, tmp_path / "run")
    next(training)
    (tmp_path / "start.safetensors").unlink()
    next(training)
    training.close()
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(DataError, match="no such folder"):
        list(run(mine, tmp_path / "run", resume=True))
    there = {"data": str(tmp_path / "there" / "train"), "validation": str(tmp_path / "there" / "val")}
    list(run(replace(mine, **there), tmp_path / "run", resume=True))
    assert same(tmp_path / "run", tmp_path / "whole")
    cards = [ffn.read_card(tmp_path / name / "last.safetensors") for name in ("run", "whole")]
    assert cards[0]["recipe"] == cards[1]["recipe"]
    assert read_config(tmp_path / "run").data == there["data"]


def test_a_run_does_not_go_on_from_another_start_or_without_one(experiment, reference, tmp_path):
    mine = replace(experiment, init=str(reference / "last.safetensors"))
    first_epoch(mine, tmp_path / "run")
    for other in (DEMO / "tsm-4.safetensors", tmp_path / "run" / "last.safetensors", tmp_path / "gone.safetensors"):
        with pytest.raises(RunError, match=rf"{other.name} is not the checkpoint that the run in .* started from"):
            next(run(replace(mine, init=str(other)), tmp_path / "run", resume=True))
    assert read_config(tmp_path / "run") == mine
    with pytest.raises(RunError, match=r"belongs to another config \(init is"):
        next(run(experiment, tmp_path / "run", resume=True))


def test_a_run_goes_on_with_other_workers(experiment, reference, tmp_path):
    first_epoch(experiment, tmp_path)
    list(run(replace(experiment, workers=2, cache="off"), tmp_path, resume=True))
    assert same(tmp_path, reference)


def test_a_folder_where_nothing_was_trained_belongs_to_nobody(experiment, tmp_path):
    with pytest.raises(ValueError, match="cannot be built"):
        next(run(replace(experiment, model_options={"chanels": 8}), tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    with pytest.raises(FloatingPointError):
        next(run(replace(experiment, learning_rate=1e25, optimiser="sgd"), tmp_path / "new"))
    assert next(run(experiment, tmp_path / "new"))["epoch"] == 1
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file is a file; choose another"):
        next(run(experiment, tmp_path / "file" / "run"))


def test_two_processes_are_never_at_one_run(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr("ffn.run_folder.PATIENCE", 0.1)
    training = run(experiment, tmp_path)
    next(training)
    with pytest.raises(RunError, match="another process is training in"):
        next(run(experiment, tmp_path, resume=True))
    training.close()
    assert next(run(experiment, tmp_path, resume=True))["epoch"] == 2


def test_a_run_does_not_go_on_with_classes_in_another_order(experiment, videos, tmp_path):
    rows = [f"{path},{path.parent.name}" for path in sorted((videos / "train").glob("*/*.mp4"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    listed = replace(experiment, data=str(tmp_path / "list.csv"), validation="")
    first_epoch(listed, tmp_path / "run")
    (tmp_path / "classes.txt").write_text("light\ndark\n")
    with pytest.raises(DataError, match=r"in another order; they were dark, light: write .* to classes.txt beside it"):
        next(run(listed, tmp_path / "run", resume=True))
    (tmp_path / "classes.txt").write_text("dark\nlight\n")
    assert next(run(listed, tmp_path / "run", resume=True))["epoch"] == 2


def test_a_run_does_not_go_on_with_other_data(experiment, videos, tmp_path):
    shutil.copytree(videos / "train", tmp_path / "train")
    moved = replace(experiment, data=str(tmp_path / "train"))
    first_epoch(moved, tmp_path / "run")
    (tmp_path / "train" / "dark" / "0.mp4").write_bytes((tmp_path / "train" / "light" / "0.mp4").read_bytes())
    with pytest.raises(DataError, match=r"train is not the data that the run began with: its videos, what they hold"):
        next(run(moved, tmp_path / "run", resume=True))
    assert read_config(tmp_path / "run") == moved


def test_absolute_paths_may_move_too(experiment, videos, tmp_path):
    shutil.copytree(videos / "train", tmp_path / "here")
    shutil.copy(tmp_path / "here" / "dark" / "0.mp4", tmp_path / "here" / "light" / "0.mp4")
    listed = replace(experiment, data=str(tmp_path / "list.csv"), validation="", select="last")

    def write(folder):
        rows = [f"{path},{path.parent.name}" for path in sorted(folder.glob("*/*.mp4"))]
        (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))

    def stop(name, done, total):
        if name.startswith("epoch") and done == experiment.batch_size:
            os.kill(os.getpid(), signal.SIGTERM)

    write(tmp_path / "here")
    with pytest.raises(KeyboardInterrupt):
        list(run(listed, tmp_path / "run", report=stop))
    for place in ("there", "everywhere"):  # in the first epoch, and after it
        next((tmp_path / name) for name in ("here", "there") if (tmp_path / name).exists()).rename(tmp_path / place)
        write(tmp_path / place)
        first_epoch(listed, tmp_path / "run", resume=True)


def test_a_state_of_an_earlier_version_goes_on(experiment, reference, tmp_path):
    first_epoch(experiment, tmp_path)
    state = torch.load(tmp_path / "state.pt")
    for name in ("origin", "listings", "contents"):
        del state[name]
    del state["trainer"]["tally"]["learning_rate"]
    torch.save(state, tmp_path / "state.pt")
    list(run(experiment, tmp_path, resume=True))
    assert same(tmp_path, reference)


def test_nor_with_its_videos_in_another_order(experiment, videos, tmp_path):
    lines = [f"{path} {path.parent.name}\n" for path in sorted((videos / "train").glob("*/*.mp4"))]
    (tmp_path / "list.txt").write_text("".join(lines))
    listed = replace(experiment, data=str(tmp_path / "list.txt"))
    first_epoch(listed, tmp_path / "run")
    (tmp_path / "list.txt").write_text("".join(lines[::-1]))
    with pytest.raises(DataError, match=r"list.txt is not the data that the run began with: .* their order are others"):
        next(run(listed, tmp_path / "run", resume=True))


def test_nor_with_other_videos_to_validate_on(experiment, videos, tmp_path):
    shutil.copytree(videos / "val", tmp_path / "val")
    mine = replace(experiment, validation=str(tmp_path / "val"))
    first_epoch(mine, tmp_path / "run")
    (tmp_path / "val" / "dark" / "0.mp4").unlink()
    with pytest.raises(DataError, match=r"val is not the data that the run began with: its videos, what they hold"):
        next(run(mine, tmp_path / "run", resume=True))


def test_nor_with_other_data_in_its_first_epoch(experiment, videos, tmp_path):
    def stop(name, done, total):
        if name.startswith("epoch") and done == experiment.batch_size:
            os.kill(os.getpid(), signal.SIGTERM)

    shutil.copytree(videos / "train", tmp_path / "data")
    mine = replace(experiment, data=str(tmp_path / "data"), validation="", select="last")
    with pytest.raises(KeyboardInterrupt):
        list(run(mine, tmp_path / "run", report=stop))
    (tmp_path / "data" / "dark" / "0.mp4").rename(tmp_path / "data" / "light" / "00.mp4")
    with pytest.raises(DataError, match="not the data that the run began with: its videos, what they hold"):
        list(run(mine, tmp_path / "run", resume=True))
    (tmp_path / "data" / "light" / "00.mp4").rename(tmp_path / "data" / "dark" / "0.mp4")
    assert len(list(run(mine, tmp_path / "run", resume=True))) == experiment.epochs


@pytest.mark.parametrize("split", ["train", "val"])
def test_data_of_which_nothing_can_be_read_is_an_error(experiment, videos, tmp_path, split):
    shutil.copytree(videos / split, tmp_path / split)
    for path in (tmp_path / split).glob("*/*"):
        path.write_bytes(b"")
    name, said = {"train": ("data", "no step of epoch 1 had enough"), "val": ("validation", "none of the 6 videos")}[
        split
    ]
    with pytest.raises(DataError, match=said):
        next(run(replace(experiment, **{name: str(tmp_path / split)}), tmp_path / "run"))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nSee the documentation"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_large_a_step_is_told_with_the_way_out(experiment, tmp_path, monkeypatch, capsys, error):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(torch.Tensor, "backward", full)
    assert main(command(experiment, tmp_path / "run")[3:]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("ffn train: 4 videos a step at 4 frames and 24 pixels are too many for this device; take a")


def test_videos_that_are_skipped_are_counted(experiment, videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    for split in ("train", "val"):
        (tmp_path / "videos" / split / "dark" / "0.mp4").write_bytes(b"")
    places = {"data": str(tmp_path / "videos" / "train"), "validation": str(tmp_path / "videos" / "val")}
    row = next(run(replace(experiment, **places), tmp_path / "run"))
    assert (row["unreadable"], row["clips"]) == (2, 11)


def test_a_count_that_is_only_mixed_in_has_no_loss(experiment, tmp_path):
    mixed = replace(experiment, method="mixed", frames=(4,), streams=(2, 4), share=1.0, epochs=1)
    (row,) = run(mixed, tmp_path)
    assert (row["loss_2"], row["train_2"]) == (None, None)
    assert row["loss_4"] > 0
    assert {"val_2", "val_4"} <= row.keys()


def test_a_run_is_stopped_while_it_validates(experiment, reference, tmp_path, monkeypatch):
    def stopped(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args, **kwargs)

    monkeypatch.setattr("ffn.runs.evaluate", stopped)
    with pytest.raises(KeyboardInterrupt, match="stopped after 4 of 6 videos of validation; --resume"):
        next(run(experiment, tmp_path))
    monkeypatch.undo()
    list(run(experiment, tmp_path, resume=True))
    assert_same_run(tmp_path, reference)


def test_a_card_says_nothing_of_this_machine(experiment, reference, tmp_path):
    start = str(reference / "last.safetensors")
    (_,) = run(replace(experiment, epochs=1, init=start, seed=3), tmp_path / "run")
    card = ffn.read_card(tmp_path / "run" / "last.safetensors")
    assert card["recipe"]["init"] == "last.safetensors"
    assert not any(str(folder) in json.dumps(card) for folder in (tmp_path, reference.parent, Path(experiment.data)))


def test_a_damaged_state_is_named(experiment, reference, tmp_path):
    for name in ("config.json", "state.pt"):
        (tmp_path / name).write_bytes((reference / name).read_bytes())
    content = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"state.pt is damaged .*remove the folder to start anew"):
        next(run(experiment, tmp_path, resume=True))
    torch.save({"step": 1}, tmp_path / "state.pt")
    with pytest.raises(RunError, match=r"state.pt is damaged \('trainer'\); remove the folder to start anew"):
        next(run(experiment, tmp_path, resume=True))
    state = torch.load(reference / "state.pt", weights_only=True)
    torch.save({**state, "trainer": {"step": 1, "epoch": 1, "tally": {}}}, tmp_path / "state.pt")
    (tmp_path / "last.safetensors").write_bytes((reference / "last.safetensors").read_bytes())
    with pytest.raises(RunError, match=r"state.pt is damaged \('model'\); remove the folder to start anew"):
        next(run(experiment, tmp_path, resume=True))
    (tmp_path / "last.safetensors").unlink()
    with pytest.raises(RunError, match=r"lacks its last.safetensors: bring that back"):
        next(run(experiment, tmp_path, resume=True))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="is no config of a run"):
        next(run(experiment, tmp_path, resume=True))


@pytest.mark.parametrize("resume", [True, False])
def test_what_was_trained_is_kept_where_the_state_is_gone(experiment, reference, tmp_path, resume):
    shutil.copytree(reference, tmp_path / "run")
    (tmp_path / "run" / "state.pt").unlink()
    before = (tmp_path / "run" / "best.safetensors").read_bytes()
    with pytest.raises(
        RunError, match=r"run holds what a run trained, but no state.pt to go on from; remove the folder"
    ):
        next(run(experiment, tmp_path / "run", resume=resume))
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == before


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(experiment, tmp_path):
    wild = replace(experiment, learning_rate=1e25, optimiser="sgd", schedule="step", warmup=0.0)
    mild = replace(wild, milestones=(0.0,), decay=1e-30, epochs=2)
    with pytest.raises(
        FloatingPointError, match=r"at step \d of 3 of epoch 1: lower the learning rate.*no epoch was fin"
    ):
        list(run(wild, tmp_path / "wild"))
    list(run(mild, tmp_path / "mild"))
    state = torch.load(tmp_path / "mild" / "state.pt", weights_only=True)
    state["trainer"]["step"], state["trainer"]["epoch"], state["rows"] = 3, 1, state["rows"][:1]
    state["trainer"]["model"]["network.backbone.fc.bias"].fill_(float("nan"))
    torch.save(state, tmp_path / "mild" / "state.pt")
    with pytest.raises(FloatingPointError, match=r"epoch 2.*state.pt holds epoch 1"):
        list(run(mild, tmp_path / "mild", resume=True))


def test_what_a_killed_run_left_half_written_is_cleared_away(experiment, tmp_path):
    first_epoch(experiment, tmp_path)
    for name in (".77-88.state.pt", ".notes"):
        (tmp_path / name).touch()
    next(run(experiment, tmp_path, resume=True))
    assert not (tmp_path / ".77-88.state.pt").exists()
    assert (tmp_path / ".notes").exists()


def test_a_disk_that_is_full_for_tensorboard_is_told_in_one_line(experiment, tmp_path, monkeypatch, capfd):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write", full)
        with pytest.raises(OSError, match=rf"^the disk is full: the events for TensorBoard in {tmp_path} were not wri"):
            list(run(experiment, tmp_path))
    assert "Traceback" not in capfd.readouterr().err
    assert len(list(run(experiment, tmp_path, resume=True))) == experiment.epochs


def test_a_full_disk_leaves_what_was_there(experiment, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    training = run(experiment, folder)
    next(training)
    before = {path.name: path.read_bytes() for path in folder.glob("*.*") if "events" not in path.name}

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"the disk is full: .*state.pt was not written"):
        next(training)
    assert {path.name: path.read_bytes() for path in folder.glob("*.*") if "events" not in path.name} == before


def test_every_setting_has_its_reason_and_its_option(capsys):
    assert all(field.metadata["why"] for field in fields(Experiment))
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert all(f"--{field.name.replace('_', '-')}" in text for field in fields(Experiment))


def test_explicit_settings_come_before_those_of_the_recipe(videos, tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("ffn.runs.run", lambda experiment, *_, **__: seen.append(experiment) or [])
    words = ["train", "-o", str(tmp_path / "run"), "--data", str(videos / "train")]
    assert main([*words, "--recipe", "tsm-sthv1", "--epochs", "7", "--frames", "4", "8", "--no-pretrained"]) == 0
    (experiment,) = seen
    assert experiment == Experiment(
        **{**RECIPES["tsm-sthv1"], "epochs": 7, "frames": (4, 8), "pretrained": False, "data": str(videos / "train")}
    )
    assert main([*words, "--recipe", "tsm-sthv1", "--model-options", '{"zero_init_last": false}']) == 0
    assert seen[1].model_options == {**RECIPES["tsm-sthv1"]["model_options"], "zero_init_last": False}
    assert main([*words, "--recipe", "tsm-sthv3"]) == 1
    assert "there is no recipe 'tsm-sthv3'; there are tsm-sthv1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "vain"),
    [
        ("--momentum 0.8 --nesterov", ["momentum changes nothing with the optimiser adamw; it is for sgd", "nesterov"]),
        ("--share 0.5", ["share changes nothing with the method ffn; it is for mixed, proportional, ffn-thinned"]),
        ("--method labels --distillation 2", ["distillation changes nothing with the method labels; it is for ffn,"]),
        ("--milestones 2 --decay 0.5", ["milestones changes nothing with the schedule onecycle", "decay"]),
        ("--schedule step --milestones 2 --warmup-rate 0.1 --final-rate 0", ["final_rate"]),
        (
            "--recipe tsm-sthv1 --epochs 20",
            [
                "no drop at the milestones 20, 40: training ends after 20 epochs",
                "float16 is for GPUs; a CPU trains in single precision",
            ],
        ),
        ("--schedule step --milestones 2 16", ["no drop at the milestones 16: training ends after 16 epochs"]),
        ("--resize-to 300", ["resize_to changes nothing with the crop_kind random; it is for jitter"]),
        ("--init a.safetensors --pretrained", ["pretrained changes nothing beside init, which says what to start"]),
        ("--capture", ["capture is of CUDA graphs; on this cpu it changes nothing"]),
        (
            "--recipe tsm-sthv1 --schedule cosine --momentum 0.8",
            ["float16 is"],
        ),  # the recipe's milestones are not asked for here
    ],
)
def test_settings_that_change_nothing_are_told(tmp_path, monkeypatch, capsys, words, vain):
    monkeypatch.setattr("ffn.runs.run", lambda *_, **__: [])
    assert main(["train", "-o", str(tmp_path / "run"), "--data", "videos", "--device", "cpu", *words.split()]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(vain)
    assert all(line.startswith(f"ffn train: {start}") for line, start in zip(told, vain, strict=True))


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ("--without sharing --without alteration", {"without": ["sharing", "alteration"]}),
        ("--frames 4 8 --frames 16", {"frames": [4, 8, 16]}),
        ("--frames 4 8 --frames 16 --recipe slowfast-sthv1", {"frames": [4, 8, 16]}),
        ("--streams --frames 8 16", {"frames": [8, 16]}),
    ],
)
def test_repeated_options_of_a_list_add_up(tmp_path, monkeypatch, words, chosen):
    seen = []
    monkeypatch.setattr("ffn.runs.run", lambda experiment, *_, **__: seen.append(experiment.settings()) or [])
    assert main(["train", "-o", str(tmp_path / "run"), "--data", "videos", *words.split()]) == 0
    (settings,) = seen
    assert {name: settings[name] for name in ("without", "frames", "streams")} == {
        "without": [],
        "frames": [4, 8, 16],
        "streams": [],
        **chosen,
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"without": ("norms",)},
            "nothing is called norms; leave out private-norm, alteration, sharing or distillation",
        ),
        ({"select": "8"}, r"select is mean, last or one of \(2, 4\), got '8'"),
        ({"cache": "yes"}, "cache is auto, on, off"),
        ({"method": "single", "without": ("distillation",)}, "can be left out of ffn or ffn-labels, not of single"),
        ({"crop": 40}, "crop of 40 pixels must fit"),
        ({"frames": (8, 4)}, r"frames must be increasing positive integers .* got \(8, 4\)"),
        (
            {"method": "ffn-thinned", "frames": (2, 4, 8), "share": 0.0},
            "a share of 0 shows 4 frames never; raise --share",
        ),
        ({"streams": (3,)}, r"no stream of \(3,\) trains the branch 2; leave out --streams"),
        ({"streams": (4, 4)}, r"must be increasing positive integers .* got \(4, 4\)"),
        ({"method": "single"}, r"single trains at one frame count, got \(2, 4\); give it one, or take"),
        ({"method": "mixed"}, r"mixed shows two frame counts to a network of one branch.*--frames 16 --streams 4 16"),
        ({"method": "proportional", "frames": (16,)}, r"got the streams \(16,\) and the branches \(16,\)"),
        ({"model_options": 3}, "model_options are named"),
        ({"model_options": {"num_classes": 3}}, "num_classes is no model option; that is said by the data"),
        ({"model_options": {"alteration": False}}, "that is said by --without alteration"),
        ({"flip": "maybe"}, "unknown flip 'maybe'"),
        ({"crop_kind": "jitter"}, "jitter needs resize_to"),
        ({"crop_kind": "jitter", "resize_to": 31}, "between resize, 32 pixels, and resize_to, 31; raise that"),
    ],
)
def test_impossible_settings_are_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**{**TINY, **wrong})


def test_further_counts_are_validated_and_decide_nothing(experiment, tmp_path):
    (row,) = run(replace(experiment, epochs=1, tested=(1, 4, 8)), tmp_path / "more")
    (alone,) = run(replace(experiment, epochs=1), tmp_path / "alone")
    assert {name for name in row if name.startswith("val_")} == {"val_1", "val_2", "val_4", "val_8"}
    times = ("seconds", "clips_per_second", "waiting")
    assert {k: v for k, v in row.items() if k in alone and k not in times} == {
        k: v for k, v in alone.items() if k not in times
    }
    model = ffn.load(tmp_path / "more" / "last.safetensors")
    (found,) = evaluate(model, experiment.clips_to_test(experiment.validation, (8,)), batch_size=4)
    assert row["val_8"] == 100 * found.correct / found.clips


def test_model_options_that_timm_does_not_know_are_explained():
    wrong = Experiment(**{**TINY, "model_options": {"chanels": [8]}})
    with pytest.raises(ValueError, match=r"resnet18 cannot be built with .*chanels.*unexpected keyword argument"):
        wrong.build(2)


@pytest.mark.parametrize(("wrong", "name"), [({"tested": (4,)}, "tested"), ({"select": "2"}, "select")])
def test_what_validation_alone_could_use_is_refused_without_it(wrong, name):
    with pytest.raises(ValueError, match=f"^{name} needs videos to validate on: give --validation, or leave out"):
        Experiment(**TINY, **wrong)
    assert Experiment(**TINY, **wrong, validation="videos").validated == (2, 4)
    assert all(Experiment(**TINY, select=select).digest for select in ("mean", "last"))


VIT = {"architecture": "vit_tiny_patch16_224", "resize": 36, "crop": 32}


def test_a_crop_that_the_network_does_not_take_is_explained_before_training(experiment, tmp_path):
    wrong = replace(experiment, **VIT, model_options={"depth": 1})
    way_out = '--model-options \'{"depth": 1, "img_size": 32}\''
    with pytest.raises(ValueError, match=rf"224 pixels and the crop has 32; take `--crop 224`.*`{way_out}`$"):
        next(run(wrong, tmp_path / "run"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {**VIT, "model_options": {"depth": 1, "img_size": 32}},
        {**VIT, "model_options": {"depth": 1, "dynamic_img_size": True}},
        {"architecture": "mvitv2_tiny", "resize": 64, "crop": 64},  # which timm says is for 224 pixels alone
    ],
)
def test_a_crop_that_the_network_takes_may_be_another_than_its_usual(options):
    assert Experiment(**{**TINY, "model_options": {}, **options, "frames": (2,)}).build(2).frames == (2,)


def test_the_greatest_seed_is_torch_s():
    build = Experiment(**{**TINY, "seed": 2**64 - 1}).build
    assert torch.equal(next(build(2).parameters()), next(build(2).parameters()))


def test_the_digest_stands_for_the_recipe_alone(experiment, videos, reference):
    elsewhere = replace(experiment, data="elsewhere", tested=(8,), seed=3, workers=2, cache="off")
    assert elsewhere.digest == experiment.digest
    others = [
        replace(experiment, epochs=5),
        replace(experiment, without=("alteration",)),
        replace(experiment, frames=(2, 3, 4)),
    ]
    others.append(replace(experiment, init=str(reference / "last.safetensors")))
    assert len({experiment.digest, *(other.digest for other in others)}) == 5


def test_a_checkpoint_to_start_from_stands_for_downloaded_weights(experiment, reference, monkeypatch):
    def offline(*args, pretrained, **kwargs):
        if pretrained:
            raise OSError("An error happened on the Hub. Please check your connection.")
        return ffn.create_model(*args, **kwargs)

    monkeypatch.setattr("ffn.experiment.create_model", offline)
    pretrained = replace(experiment, pretrained=True)
    with pytest.raises(OSError, match=r"not to be had \(An error happened on the Hub\); .*--no-pretrained"):
        pretrained.build(2)
    replace(pretrained, init=str(reference / "last.safetensors")).build(2)


def test_an_error_that_is_not_of_downloading_is_told_as_it_is(experiment, monkeypatch):
    def unreadable(*args, **kwargs):
        raise PermissionError("weights.pth may not be read")

    monkeypatch.setattr("ffn.experiment.create_model", unreadable)
    with pytest.raises(PermissionError, match=r"^weights.pth may not be read$"):
        experiment.build(2)


@pytest.mark.parametrize("part", ["private-norm", "alteration", "distillation", "sharing"])
def test_every_part_can_be_left_out(experiment, tmp_path, part):
    (row,) = run(replace(experiment, epochs=1, without=(part,)), tmp_path / "run")
    whole = experiment.build(2)
    model = ffn.load(tmp_path / "run" / "last.safetensors")
    assert model.frames == (2, 4)
    assert (sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in whole.parameters())) == (
        part == "distillation"
    )
    assert set(row) >= {"loss_2", "loss_4"}
