"""The lesson: eight steps, whose words and figures come from what is recorded."""

import re

import pandas as pd
import pytest
from test_app import bundled, opened  # noqa: F401

from ffn.bundled import DEMO
from workbench.lesson import STEPS, ablations

PAGE = "workbench/pages/lesson.py"


def lesson(**choices):
    app = opened(**choices).switch_page(PAGE)
    app.query_params.update({key: str(value) for key, value in choices.items()})
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_a_figure_and_its_finding_are_of_the_same_numbers(step):
    made = {}
    view = step.view()
    exec(view.python, made)
    pd.testing.assert_frame_equal(made["table"], view.table)
    assert made["figure"].to_json() == view.figure.to_json()
    assert re.search(r"\d", step.finding())


def test_the_first_finding_is_what_is_recorded():
    rows = pd.read_csv(DEMO / "tsm-16.accuracy.csv").set_index("num_frames")
    top1 = {t: f"{100 * rows.correct[t] / rows.clips[t]:.0f} %" for t in (4, 16, 32)}
    finding = STEPS[0].finding()
    assert all(f"{top1[t]}" in finding for t in top1)


def test_what_leaving_out_costs_is_a_mean_over_frame_counts():
    by_method = {"ffn": (90.0, 92.0), "ffn-without-alteration": (89.0, 90.0)}
    rows = [(name, t, value) for name, both in by_method.items() for t, value in zip((4, 8), both, strict=True)]
    table = pd.DataFrame(rows, columns=["method", "num_frames", "top1"]).assign(seeds=3)
    assert "alteration -1.5" in ablations(table)
    assert "3 runs" in ablations(table)


def test_buttons_go_through_the_steps_and_the_address_says_where():
    app = lesson()
    assert app.subheader[0].value == f"1. {STEPS[0].title}"
    assert app.button(key="back").disabled
    app.button(key="next").click().run()
    assert app.subheader[0].value == f"2. {STEPS[1].title}"
    app = lesson(step=5)
    assert app.subheader[0].value == f"5. {STEPS[4].title}"


def test_the_answer_comes_after_the_guess_and_goes_when_the_question_changes():
    app = lesson(step=8)
    assert not app.get("plotly_chart")
    app.button(key="look").click().run()
    answer = [text.value for text in app.markdown if "Your guess of 50 %" in text.value]
    assert len(answer) == 1
    app.slider(key="frames").set_value(2).run()
    assert not app.get("plotly_chart")


def test_the_presenter_has_large_type():
    sizes = [lesson(step=1, presenter=shown).get("plotly_chart")[0].proto.spec for shown in ("false", "true")]
    assert '"size":20' not in sizes[0].replace(" ", "")
    assert '"size":20' in sizes[1].replace(" ", "")
