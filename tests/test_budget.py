"""What is recorded of single passes says exactly what running a policy gives, and what it costs."""

from itertools import chain, pairwise, product
from math import inf

import numpy as np
import pytest
from conftest import counting_frames, small, write_video

import ffn
from ffn import cli
from ffn.budget import AdaptiveClassifier, Policy, Recorded, choose, frontier, outcome, recorded
from ffn.data import clips_for
from ffn.files import read_csv
from ffn.video import Video
from workbench import analysis, plots

COUNTS = (2, 4, 6, 8)
MACS = (20, 40, 60, 80)


@pytest.fixture
def videos() -> Recorded:
    """Predictions that are the surer, and the more often right, the more frames they are made from."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    sure = np.array([1.0, 1.5, 2.0, 2.5])[:, None, None]
    logits = 2 * sure * np.eye(3)[labels] + 2 * rng.standard_normal((4, 90, 3))
    exponentials = np.exp(logits)
    return Recorded(COUNTS, MACS, exponentials / exponentials.sum(-1, keepdims=True), labels)


@pytest.fixture
def network(folder, checkpoint):
    """A model, and what `evaluate` says of four videos with it."""
    model = ffn.load(checkpoint())
    results = ffn.evaluate(model, clips_for(model.card, folder, (12, 4, 2)))
    return model, results


def alone(videos: Recorded, num_frames: int) -> int:
    place = videos.counts.index(num_frames)
    return int((videos.probabilities[place].argmax(-1) == videos.labels).sum())


@pytest.mark.parametrize("place", range(4))
def test_a_single_count_is_the_network_at_that_count(videos, place):
    found = outcome(Policy(COUNTS[place : place + 1]), videos)
    assert found.correct == alone(videos, COUNTS[place])
    assert (found.macs, found.frames, found.shares) == (MACS[place], COUNTS[place], (1,))


def test_thresholds_of_zero_stop_at_the_first_pass(videos):
    found = outcome(Policy((2, 4, 8), (0, 0)), videos)
    assert found.correct == alone(videos, 2)
    assert (found.macs, found.frames, found.shares) == (20, 2, (1, 0, 0))


def test_thresholds_that_nothing_reaches_pay_for_every_pass(videos):
    for never in (inf, 1.1):
        found = outcome(Policy((2, 4, 8), (never, never)), videos)
        assert (found.macs, found.frames, found.shares) == (140, 14, (0, 0, 1))
        answers = videos.probabilities[[0, 1, 3]].mean(0)
        assert found.correct == int((answers.argmax(-1) == videos.labels).sum())


def test_an_outcome_is_that_of_the_videos_one_by_one(videos):
    policy = Policy((2, 6, 8), (0.9, 0.7))
    right, macs = 0, 0
    for n, label in enumerate(videos.labels):
        answers = []
        for count, threshold in zip(policy.counts, (*policy.thresholds, 0), strict=True):
            answers.append(videos.probabilities[COUNTS.index(count), n])
            macs += MACS[COUNTS.index(count)]
            if np.mean(answers, axis=0).max() >= threshold:
                break
        right += np.mean(answers, axis=0).argmax() == label
    found = outcome(policy, videos)
    assert (found.correct, found.clips) == (right, 90)
    assert found.macs == pytest.approx(macs / 90)
    assert sum(found.shares) == pytest.approx(1)
    assert found.frames == pytest.approx(np.dot(found.shares, (2, 8, 16)))


def test_the_frontier_gets_better_as_it_gets_dearer_and_nothing_beats_it(videos):
    found = frontier(videos, passes=2, levels=5)
    assert all(a.macs < b.macs and a.correct < b.correct for a, b in pairwise(found))
    for first, last in product(COUNTS, COUNTS):
        for threshold in np.quantile(videos.probabilities[COUNTS.index(first)].max(-1), (0.2, 0.6), method="higher"):
            tried = outcome(Policy((first, last), (threshold,)) if first < last else Policy((first,)), videos)
            assert any(o.macs <= tried.macs and o.correct >= tried.correct for o in found)
    assert [outcome(o.policy, videos) for o in found] == found


def test_with_as_many_levels_as_videos_every_threshold_is_tried(videos):
    found = frontier(videos, passes=2, levels=90)
    tried = [outcome(Policy((2, 8), (threshold,)), videos) for threshold in videos.probabilities[0].max(-1)]
    assert all(any(o.macs <= t.macs and o.correct >= t.correct for o in found) for t in tried)


def test_more_is_never_worse_for_the_search(videos):
    for budget in (20, 50, 80, 140):
        best = [choose(frontier(videos, passes=passes, levels=8), budget) for passes in (1, 2, 3)]
        assert all(o.macs <= budget for o in best)
        assert best[0].correct <= best[1].correct <= best[2].correct
    assert choose(frontier(videos, passes=1), 79).policy.counts != (8,)


def test_the_search_says_how_far_it_is_and_can_be_stopped(videos):
    steps = []
    frontier(videos, passes=2, levels=3, progress=lambda *step: steps.append(step))
    assert steps == [(done, 10) for done in range(1, 11)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frontier(videos, progress=stop)


def test_what_is_recorded_is_what_was_predicted_at_its_exact_cost(network):
    model, results = network
    videos = recorded(model, results)
    assert videos.counts == (2, 4, 12)
    assert videos.macs == tuple(ffn.cost(model, t).macs for t in (2, 4, 12))
    np.testing.assert_array_equal(videos.probabilities[2].argmax(-1), results[0].logits.argmax(-1))
    np.testing.assert_allclose(videos.probabilities.sum(-1), 1)
    assert videos.labels.tolist() == results[0].labels.tolist()


@pytest.mark.parametrize("stops", [1, 2, 3])
def test_running_a_policy_gives_what_was_recorded(network, folder, stops):
    model, results = network
    videos = recorded(model, results)
    thresholds = ((0, 0), (inf, 0), (inf, inf))[stops - 1]
    classify = AdaptiveClassifier(model, Policy((2, 4, 12), thresholds))
    paths = [clips_for(model.card, folder, (2,)).path(i) for i in range(4)]
    for n, path in enumerate(paths):
        answer = classify(path)
        np.testing.assert_allclose(answer.probabilities, videos.probabilities[:stops, n].mean(0), atol=1e-5)
        means = [videos.probabilities[: passes + 1, n].mean(0) for passes in range(stops)]
        np.testing.assert_allclose(answer.running, means, atol=1e-5)
        assert answer.counts == (2, 4, 12)[:stops]
        assert answer.macs == sum(videos.macs[:stops])


def test_each_video_stops_where_it_did_in_the_record(network, folder):
    model, results = network
    videos = recorded(model, results)
    threshold = float(np.sort(videos.probabilities[0].max(-1))[1:3].mean())  # between two of the four
    policy = Policy((2, 12), (threshold,))
    clips = clips_for(model.card, folder, (2,))
    answers = [AdaptiveClassifier(model, policy)(clips.path(i)) for i in range(4)]
    want = outcome(policy, videos)
    assert want.shares == (0.5, 0.5)
    assert np.mean([answer.macs for answer in answers]) == want.macs
    assert np.mean([sum(answer.counts) for answer in answers]) == want.frames
    right = [answer.probabilities.argmax() == label for answer, label in zip(answers, videos.labels, strict=True)]
    assert sum(right) == want.correct


@pytest.mark.parametrize(("counts", "decoded"), [((4, 8, 16), 28), ((4, 12), 12), ((2, 6, 18), 18)])
def test_frames_are_decoded_once_and_only_when_needed(tmp_path, monkeypatch, counts, decoded):
    path = write_video(tmp_path / "video.mp4", counting_frames(48))
    asked = []
    read = Video.frames
    monkeypatch.setattr(Video, "frames", lambda self, indices: asked.append(list(indices)) or read(self, indices))
    model = small((4, 8))
    model.card = {"input_size": 32}
    never = (inf,) * (len(counts) - 1)
    answer = AdaptiveClassifier(model, Policy(counts, never))(path)
    every = list(chain(*asked))
    assert len(every) == len(set(every)) == answer.decoded == decoded
    assert AdaptiveClassifier(model, Policy(counts, (0,) * len(never)))(Video(path)).decoded == counts[0]


def test_what_cannot_be_is_refused(videos, network):
    model, _ = network
    with pytest.raises(ValueError, match="need 2 thresholds, got"):
        Policy((4, 8, 16), (0.5,))
    with pytest.raises(ValueError, match="increasing"):
        Policy((8, 4), (0.5,))
    with pytest.raises(ValueError, match="no predictions"):
        recorded(model, [])
    with pytest.raises(ValueError, match="nothing is recorded at 5 frames; recorded are"):
        outcome(Policy((5,)), videos)
    with pytest.raises(ValueError, match="1 pass and 2 levels, got 0 and 24"):
        frontier(videos, passes=0)
    with pytest.raises(ValueError, match=r"as little as 1.9e-08 GMACs per clip, the cheapest 2e-08"):
        choose(frontier(videos, passes=1), 19)
    with pytest.raises(ValueError, match="training mode"):
        AdaptiveClassifier(model.train(), Policy((4,)))


def test_videos_of_which_none_could_be_read_are_refused(folder, checkpoint):
    for path in folder.rglob("*.mp4"):
        path.write_bytes(b"")
    model = ffn.load(checkpoint())
    results = ffn.evaluate(model, clips_for(model.card, folder, (2, 4)))
    with pytest.raises(ValueError, match="at least one readable video"):
        recorded(model, results)


def test_the_table_and_its_figure_hold_fixed_counts_and_the_frontier(network):
    model, results = network
    table = analysis.budget(model, results, results)
    columns = "policy counts gmacs num_frames correct clips top1 low high validation_top1"
    assert list(table) == columns.split()
    assert table[table.policy == "fixed"].counts.tolist() == ["2", "4", "12"]
    assert table.gmacs.is_monotonic_increasing
    assert table.top1.equals(table.validation_top1)
    adaptive = [o for o in frontier(recorded(model, results)) if o.policy.thresholds]
    assert (table.policy == "adaptive").sum() == len(adaptive)
    figure = plots.budget_curves(table)
    assert [trace.name for trace in figure.data] == ["fixed frame counts", "adaptive frame counts"]
    assert figure.data[0].x.tolist() == [ffn.cost(model, t).macs / 1e9 for t in (2, 4, 12)]
    assert f"fixed frame counts reach {table.top1[table.policy == 'fixed'].max():.1f} %" in plots.alt_text(figure)


def test_the_command_says_what_fixed_counts_and_the_chosen_policy_give(folder, checkpoint, tmp_path, capsys):
    table = tmp_path / "table.csv"
    arguments = ["budget", "--checkpoint", checkpoint(), "--validation", folder, "--data", folder, "--csv", table]
    assert cli.main([*map(str, arguments), "--frames", "8", "2", "4", "--share", "0.6"]) == 0
    *_, two, four, eight, chosen = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in (two, four, eight)] == ["2", "4", "8"]
    assert float(chosen.split()[-1]) <= 60
    rows = read_csv(table)
    assert [row["frames in turn"] for row in rows[:3]] == ["2", "4", "8"]
    assert [row["of the MACs %"] for row in rows[:3]] == ["25.0", "50.0", "100.0"]


def test_the_command_says_that_a_budget_is_too_small(folder, checkpoint, capsys):
    arguments = ["budget", "--checkpoint", checkpoint(), "--validation", folder, "--data", folder, "--share", "0.1"]
    assert cli.main([*map(str, arguments)]) == 1
    assert "raise the budget or record smaller frame counts" in capsys.readouterr().err
    assert cli.main([*map(str, arguments[:-1]), "0"]) == 1
    assert capsys.readouterr().err == "ffn budget: --share is of the MACs, above 0; got 0\n"
