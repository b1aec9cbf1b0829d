"""The page Compare: differences on the same videos are the library's, and it says what may be chance."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from test_app import TITLES, bundled, chosen, finished, page_of  # noqa: F401
from test_decision_tables import decided

import ffn
from ffn.costs import stored
from ffn.data import clips_for
from ffn.pairing import gain
from workbench import analysis, plots, pricing, session


def bold(app: AppTest) -> list[str]:
    return [text.value.strip("*") for text in app.markdown if text.value.startswith("**")]


def test_recorded_networks_are_compared_at_once(folder):
    app = page_of("compare", frames=2)
    assert app.multiselect(key="against").value == [TITLES[1]]
    found = {}
    for title in TITLES:
        clips = clips_for(chosen(title).card, folder, (1, 2, 4, 6))
        found[title] = ffn.Decisions.from_results(ffn.evaluate(session.model(chosen(title)), clips))
    table = analysis.differences(found, TITLES[0])
    finished(app, pricing.differences(found, TITLES[0]))
    assert bold(app) == [analysis.difference_in_words(table, TITLES[1], 2)]
    own, theirs = (found[title].correct[1] for title in TITLES)
    expected = gain(own, theirs)
    row = table[table.num_frames == 2].iloc[0]
    assert (row.difference, row.low, row.high) == (100 * expected.value, 100 * expected.low, 100 * expected.high)


def test_a_network_of_one_s_own_is_compared_on_other_data(tmp_path, folder, checkpoint):
    path = checkpoint("own.safetensors", title="A TSM")
    app = page_of("compare", data="a folder or manifest", data_path=folder, against_path=path, frames=1)
    networks = {title: chosen(title) for title in TITLES} | {"A TSM (own.safetensors)": session.open_path(path)}
    for network in networks.values():
        session.sweep(network, folder).task.wait(60)
    app.run()
    found = {title: session.sweep(network, folder).tables().decisions for title, network in networks.items()}
    finished(app, pricing.differences(found, TITLES[0]))
    assert [text.split(" gets ")[0] for text in bold(app)] == [TITLES[1], "A TSM (own.safetensors)"]


def test_what_cannot_be_compared_is_a_sentence(tmp_path):
    app = page_of("compare", against_path=tmp_path / "nothing.safetensors")
    assert "There is no file" in app.error[0].value
    app.multiselect(key="against").set_value([]).run()
    assert not app.exception
    assert "Choose at least one network" in app.info[0].value


def test_the_totals_are_those_of_the_files():
    app = page_of("compare")
    networks = {title: chosen(title) for title in TITLES}
    pricing.storage(networks).task.wait(60)
    app.run()
    assert not app.exception
    table = pricing.storage(networks).result
    model = session.model(networks[TITLES[1]])
    one = table[(table.network == TITLES[1]) & (table.form == "one network")]
    assert one.params.sum() == ffn.cost(model, 2).params
    assert one.megabytes.sum() == pytest.approx(stored(model).bytes / 1e6)
    several = table[table.form == "one per frame count"]
    assert several.params.tolist() == [ffn.cost(ffn.extract(model, t), 2).params for t in (2, 4)]
    (said,) = (text.value for text in app.markdown if text.value.startswith(f"- {TITLES[0]}"))
    assert f"2 networks instead: {several.params.sum() / 1e6:.2f} M" in said


def test_differences_are_paired_and_corrected_for_all_of_them():
    reference, other = decided(), decided({8: [0, 0, 0], 16: [1, 1, 1], 32: [0, 0, 0]})
    table = analysis.differences({"first": reference, "second": other, "third": reference}, "first")
    assert list(table.network) == ["second", "second", "third", "third", "third"]
    assert list(table.num_frames) == [8, 16, 4, 8, 16]
    row = table.iloc[0]
    assert (row.only_network, row.only_reference, row.p_value, row.clips) == (0, 2, 0.5, 3)
    assert row.difference == pytest.approx(100 * (1 - 3) / 3)
    assert (table.holm >= table.p_value).all()
    assert (table[table.network == "third"][["difference", "low", "high"]] == 0).all(axis=None)
    assert "may be chance" in analysis.difference_in_words(table, "second", 8)
    assert "not answered at 32 frames" in analysis.difference_in_words(table, "second", 32)
    figure = plots.difference_curves(table)
    np.testing.assert_array_equal(figure.data[0].y, table.difference[:2])
    assert set(figure.data[0].marker.symbol) == {"circle-open"}


def test_nothing_in_common_is_no_difference():
    table = analysis.differences({"first": decided(), "second": decided({32: [0, 0, 0]})}, "first")
    assert table.empty
    assert list(table) == list(analysis.differences({"a": decided(), "b": decided()}, "a"))
