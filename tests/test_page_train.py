"""The page Train: one training at a time for all, which can be cancelled, gone on with, and opened elsewhere."""

import threading

import pytest
from streamlit.testing.v1 import AppTest
from test_app import TITLES, bundled, opened  # noqa: F401

import ffn
from ffn.data import clips_for
from ffn.files import read_csv
from workbench import analysis, session, training
from workbench.training import Plan, Trainings, read_run

PAGE = "workbench/pages/train.py"
COUNTS = (2, 4)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    """A network and counts that take a second."""
    monkeypatch.setattr(training, "BACKBONE", {"architecture": "resnet18", "channels": (8, 8, 8, 8)})
    monkeypatch.setattr(training, "TESTED", COUNTS)


@pytest.fixture
def plan(folder) -> Plan:
    return Plan("single", (4,), 2, data=str(folder), validation=str(folder))


def page(folder, **choices: object) -> AppTest:
    settings = {"data": "a folder or manifest", "data_path": folder, "validation": folder, "epochs": 2}
    app = opened(**{**settings, **choices}).switch_page(PAGE).run()
    assert not app.exception
    return app


def test_a_training_shows_the_deviation_and_opens_in_the_other_pages(folder):
    app = page(folder)
    assert any("Nothing has been trained" in text.value for text in app.caption)
    app.button(key="train_start").click().run()
    assert not app.exception
    room = session.trainings()
    room.job.task.wait(60)
    assert not room.job.task.error
    app.run()
    assert not app.exception
    found = room.runs()[app.selectbox(key="run").value]
    assert (found.name, found.finished) == (room.name, True)
    table = analysis.epochs(found.rows)
    assert app.subheader[0].value == analysis.deviation(table, (4,))
    assert len(app.get("plotly_chart")) == 2
    assert "trained already" in app.info[0].value
    app.button(key="run_open").click().run()
    assert not app.exception
    assert app.session_state[session.SELECTION].checkpoint.source == found.best


def test_the_epochs_are_those_of_the_run(plan, folder, tmp_path):
    room = Trainings(tmp_path / "runs")
    assert room.start(plan.name, plan.prepare)
    room.job.task.wait(60)
    found = room.runs()[plan.name]
    table = analysis.epochs(found.rows).set_index(["epoch", "num_frames"])
    rows = read_csv(found.rows)
    assert table.validation[2, 2] == float(rows[1]["val_2"])
    assert table.loss[1, 4] == float(rows[0]["loss_4"])
    assert table.loss.isna().sum() == 2
    model = ffn.load(found.folder / "last.safetensors")
    for result in ffn.evaluate(model, clips_for(model.card, folder, COUNTS)):
        assert table.validation[2, result.num_frames] == 100 * result.correct / result.clips


def test_one_at_a_time_cancelled_and_gone_on_with(plan, tmp_path, folder):
    room, begun, go = Trainings(tmp_path / "runs"), threading.Event(), threading.Event()

    def held(report):
        begun.set()
        go.wait(30)
        return plan.prepare(report)

    assert room.start(plan.name, held)
    assert begun.wait(30)
    assert not room.start("another", plan.prepare)
    room.job.cancel()
    go.set()
    room.job.task.wait(60)
    assert not room.running
    assert not room.runs() or not room.runs()[plan.name].finished
    assert room.start(plan.name, plan.prepare)
    room.job.task.wait(60)
    assert not room.job.task.error
    assert room.runs()[plan.name].finished


def test_a_run_that_was_cancelled_keeps_its_best_and_goes_on_to_the_same_end(plan, tmp_path):
    whole, room = Trainings(tmp_path / "whole"), Trainings(tmp_path / "runs")
    whole.start(plan.name, plan.prepare)
    whole.job.task.wait(60)

    def stops(doing, done, total):
        if doing.startswith("Epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        room._train(plan.name, plan.prepare, stops)
    stopped = Trainings(tmp_path / "runs").runs()[plan.name]
    assert (stopped.epochs, stopped.finished, stopped.best.is_file()) == (1, False, True)
    assert room.go_on(stopped)
    room.job.task.wait(60)
    expected, found = (analysis.epochs(one.runs()[plan.name].rows) for one in (whole, room))
    assert found.equals(expected)


def test_others_see_that_a_training_is_under_way(folder, monkeypatch):
    go = threading.Event()
    room = session.trainings()
    room.start("held", lambda report: go.wait(30))
    try:
        app = page(folder)
        assert "one at a time for all viewers" in app.info[0].value
        assert "train_start" not in [button.key for button in app.button]
    finally:
        go.set()
        room.job.task.wait(30)


def test_settings_that_do_not_go_together_are_a_sentence(folder):
    app = page(folder)
    app.selectbox(key="method").set_value("ffn").run()
    app.multiselect(key="trained_counts").set_value([]).run()
    assert "increasing positive integers" in app.info[0].value
    assert "validate on here" in page(folder, validation="").info[0].value


def test_data_that_cannot_be_trained_on_are_a_sentence(folder, tmp_path):
    for path in folder.glob("*/*"):
        path.write_bytes(b"")
    app = page(folder)
    app.button(key="train_start").click().run()
    session.trainings().job.task.wait(60)
    app.run()
    assert "cannot" in app.error[0].value or "can be read" in app.error[0].value


@pytest.mark.parametrize("method", training.METHODS)
def test_every_method_can_be_planned(method):
    plan = Plan(method, (4,) if method == "single" else (4, 16), 3, per_class=10)
    assert plan.experiment().shown == plan.frames
    assert plan.name != Plan(method, plan.frames, 3, per_class=20).name
    assert 0 < plan.seconds(2) < plan.seconds(1)


def test_progress_never_goes_back_while_it_validates():
    said = []
    report = training.steady(lambda *call: said.append(call))
    for call in (("decoding", 1, 4), ("epoch 1/2", 8, 16), ("validating epoch 1", 1, 9), ("epoch 2/2", 16, 16)):
        report(*call)
    assert said == [("Decoding", 1, 4), ("Epoch 1/2", 8, 16), ("Validating epoch 1", 8, 16), ("Epoch 2/2", 16, 16)]


def test_a_folder_that_is_no_run_is_passed_over(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text("{")
    assert read_run(tmp_path / "a") is None
    assert Trainings(tmp_path).runs() == {}
