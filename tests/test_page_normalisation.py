"""The page Normalisation: its experiments through the widgets, with the library's numbers."""

import pytest
from test_app import TITLES, bundled, chosen, finished, page_of, selected  # noqa: F401

import ffn
from ffn.data import clips_for
from workbench import experiments, jobs, session

LAYER = "layer2.0.bn1"


@pytest.mark.parametrize("policy", ["nearest", "recalibrate"])
def test_a_layer_in_the_link_shows_its_channels(folder, policy):
    app = page_of("normalisation", checkpoint=TITLES[1], frames=6, layer=LAYER, policy=policy)
    if policy != "nearest":  # not recorded
        session.known(selected(app)).sweep.task.wait(300)
        app.run()
    assert app.selectbox(key="layer").value == LAYER
    job = jobs.channels(selected(app), folder)
    finished(app, job)
    model = session.model(chosen(TITLES[1]))
    expected = experiments.channels(model, folder, 6, policy, folder if policy == "recalibrate" else None)
    assert job.result.equals(expected)
    shift = (expected["mean"] - expected.expected_mean).abs().max()
    assert (shift < 1e-4) == (policy == "recalibrate")


def test_the_gap_is_explained_against_a_network_of_that_count(folder):
    app = page_of("normalisation", checkpoint=TITLES[1], frames=4)
    app.button(key="experiment_start").click().run()
    job = jobs.experiment(selected(app), folder, None, chosen(TITLES[0]))
    finished(app, job)
    gap = job.result.gap.set_index("way")
    clips = clips_for(chosen(TITLES[0]).card, folder, (4,))
    (alone,) = ffn.evaluate(session.model(chosen(TITLES[0])), clips)
    assert gap.correct["separate"] == alone.correct
    assert any("Against a network trained at 4 frames alone" in text.value for text in app.markdown)


def test_private_norms_are_drawn_beside_a_network_of_one_count(folder):
    app = page_of("normalisation", checkpoint=TITLES[0], frames=3)
    assert app.selectbox(key="private").value == TITLES[1]
    app.button(key="experiment_start").click().run()
    job = jobs.experiment(selected(app), folder, chosen(TITLES[1]), None)
    finished(app, job)
    assert set(job.result.curves.network) == {"as trained", "recalibrated", "private", "interpolated"}
    assert job.result.gap is None


def test_norms_of_another_network_are_transplanted(folder):
    app = page_of("normalisation", checkpoint=TITLES[1], frames=2)
    app.selectbox(key="donor").set_value(TITLES[0]).run()
    app.selectbox(key="norms").set_value("layer3").run()
    app.selectbox(key="what").set_value("both").run()
    app.button(key="transplant_start").click().run()
    job = jobs.transplantation(selected(app), folder, chosen(TITLES[0]), 4, "layer3", ("statistics", "affine"))
    finished(app, job)
    target, source = (session.model(chosen(title)) for title in TITLES[::-1])
    clips = clips_for(target.card, folder, (2,))
    for model, correct in zip(
        (target, ffn.transplant(target, source, "layer3", branch=2)), job.result.correct, strict=True
    ):
        (result,) = ffn.evaluate(model, clips)
        assert result.correct == correct
    assert any("these norms change the accuracy by" in text.value for text in app.markdown)


def test_the_branches_own_norms_can_be_transplanted(folder):
    app = page_of("normalisation", checkpoint=TITLES[1], frames=2)
    assert app.selectbox(key="donor").value == "this network"
    app.selectbox(key="donor_branch").set_value(4).run()
    app.button(key="transplant_start").click().run()
    finished(app, jobs.transplantation(selected(app), folder, chosen(TITLES[1]), 4, None, ("statistics",)))


def test_two_networks_are_compared_layer_by_layer():
    app = page_of("normalisation", checkpoint=TITLES[1], beside=TITLES[0])
    assert any(f"From here to {TITLES[0]}" in text.value for text in app.markdown)
    assert app.selectbox(key="between_measure").value


def test_without_videos_the_page_says_what_can_be_done():
    app = page_of("normalisation", data="a folder or manifest")
    assert [text.value for text in app.caption].count("This can start once there are videos.") == 2


def test_what_was_opened_before_can_be_compared_with(checkpoint):
    path = checkpoint("own.safetensors", title=TITLES[0])
    app = page_of("normalisation", checkpoint="a local file", checkpoint_path=path)
    app.selectbox(key="checkpoint").set_value(TITLES[0]).run()
    own = session.open_path(path)
    beside = f"{TITLES[0]} ({own.digest[:6]})"
    assert app.selectbox(key="beside").options == ["no other network", TITLES[1], beside]
    app.selectbox(key="beside").set_value(beside).run()
    assert not app.exception
    assert any(text.value == f"#### From here to {beside}" for text in app.markdown)


@pytest.mark.parametrize(("frames", "said"), [(4, 0), (3, 2)])
def test_a_policy_that_does_not_count_is_told(frames, said):
    app = page_of("normalisation", frames=frames, policy="interpolate", checkpoint=TITLES[1])
    assert sum("answers, not interpolate" in text.value for text in app.caption) == said
