"""The page Cost: its numbers are the library's, and the budget chooses among them."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from test_app import TITLES, bundled, chosen, finished, metric, page_of, selected  # noqa: F401

import ffn
from ffn.budget import front
from workbench import analysis, budgets, plots, pricing, session


def networks() -> dict[str, session.Checkpoint]:
    return {title: chosen(title) for title in TITLES}


def counted(app: AppTest) -> tuple[AppTest, dict[str, pd.DataFrame]]:
    job = pricing.prices(selected(app), networks())
    return finished(app, job, 60), job.result


def said(app: AppTest, start: str) -> str:
    (found,) = (text.value for text in app.markdown if text.value.startswith(f"**{start}"))
    return found


def test_the_tiles_are_the_library_s():
    app = page_of("cost", frames=2)
    profile = session.profile(chosen(TITLES[0]))
    profile._task.wait(60)
    app.run()
    expected = ffn.cost(session.model(chosen(TITLES[0])), 2)
    assert metric(app, "Compute") == f"{expected.macs / 1e9:.3g} GMACs"
    assert metric(app, "Peak memory") == f"{expected.memory / 1e6:.3g} MB"
    assert metric(app, "Parameters") == f"{expected.params / 1e6:.2f} M"
    assert metric(app, "Latency") == f"{profile.at(2).latency.p50:.1f} ms"


def test_the_budget_in_the_link_chooses_among_all_networks_and_counts():
    app, prices = counted(page_of("cost", frames=4))
    records = {title: session.recordings()[chosen(title).digest].accuracy for title in TITLES}
    table = analysis.trade_offs(records, prices, "gmacs")
    (slider,) = (slider for slider in app.slider if slider.key == "budget_gmacs")
    found = analysis.within_budget(table, "gmacs", slider.value)
    assert said(app, "At most") == f"**{analysis.affordable(found, 'gmacs', slider.value)}**"
    app.slider(key="budget_gmacs").set_value(0.0).run()
    assert "every network costs more" in said(app, "At most 0 GMACs")
    for title in TITLES:
        model = session.model(chosen(title))
        assert prices[title].gmacs.tolist() == [ffn.cost(model, t).macs / 1e9 for t in prices[title].num_frames]


@pytest.mark.parametrize("measure", ["gmacs", "memory"])
def test_on_the_front_nothing_cheaper_is_as_accurate(measure):
    accuracies = {
        name: analysis.accuracy({"num_frames": t, "branch": 4, "correct": c, "clips": 10} for t, c in right.items())
        for name, right in {"first": {1: 3, 2: 5, 4: 5}, "second": {1: 4, 2: 4, 4: 9}}.items()
    }
    prices = pd.DataFrame({"num_frames": [1, 2, 4], "gmacs": [1.0, 2.0, 4.0], "memory": [1.0, 3.0, 2.0]})
    table = analysis.trade_offs(accuracies, dict.fromkeys(accuracies, prices), measure)
    assert set(table.index[table.front]) == set(front(table[measure].tolist(), table.top1.tolist()))
    best = analysis.within_budget(table, measure, 3.0)
    assert best.top1.iloc[0] == table.top1[table[measure] <= 3].max()
    assert (best[measure] <= 3).all()
    assert len(analysis.within_budget(table, measure, 0.5)) == 0
    shown = plots.trade_off(table, measure, "first", 2, 3.0)
    (ringed,) = (trace for trace in shown.data if trace.name and trace.name.startswith("Pareto"))
    assert {int(t) for t in ringed.text} == set(table.num_frames[table.front])
    assert f"{table.top1[table.front].max():.1f} %" in plots.alt_text(shown)


def test_networks_that_are_built_alike_are_counted_once():
    models = {title: session.model(network) for title, network in networks().items()}
    steps = []
    found = analysis.prices(models | {"again": models[TITLES[0]]}, (1, 4), progress=lambda *step: steps.append(step))
    assert steps == [(done, 4) for done in (1, 2, 3, 4)]
    assert found["again"].equals(found[TITLES[0]])


def test_latency_is_measured_when_it_is_asked_for():
    app, _ = counted(page_of("cost", frames=2, cost="median latency per clip (ms)"))
    assert app.selectbox(key="cost").value == "p50"
    app.button(key="latencies_start").click().run()
    job = pricing.latencies(selected(app), networks())
    finished(app, job, 60)
    assert set(job.result.network) == set(TITLES)
    assert (job.result.p50 <= job.result.p95).all()
    assert " ms" in said(app, "At most")


def test_stopping_when_sure_is_chosen_on_other_videos_than_it_is_tested_on(folder):
    app = page_of("cost", data="a folder or manifest", data_path=folder, checkpoint=TITLES[1])
    app.button(key="adaptive_start").click().run()
    job = pricing.adaptive(selected(app), folder)
    finished(app, job, 60)
    assert job.result.equals(budgets.adaptive(session.model(chosen(TITLES[1])), folder, folder))
    assert set(job.result.clips) == {2}  # of four videos
    assert any("of the compute" in text.value or "No way of stopping" in text.value for text in app.markdown)


def test_without_an_accuracy_there_is_a_sentence(tmp_path):
    app = page_of("cost", data="a folder or manifest", data_path=tmp_path / "missing")
    assert any("No accuracy is known yet" in text.value for text in app.caption)
