"""Decisions in a file are those that were written, and small."""

import numpy as np
import pytest
from test_decisions import ANSWERS, LABELS, result

from ffn import decision_files
from ffn.decisions import RANKS, Decisions
from ffn.fingerprints import fingerprint


def test_what_is_read_is_what_was_written(tmp_path):
    found = Decisions.from_results([result(t, ANSWERS[t], LABELS) for t in (4, 8)])
    decision_files.save(tmp_path / "x.npz", found, checkpoint="1", data="2")
    read, about = decision_files.load(tmp_path / "x.npz")
    assert about == {"checkpoint": "1", "data": "2"}
    assert fingerprint(read) == fingerprint(found)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_five_answers_are_kept_the_likeliest_first():
    (logits,) = np.random.default_rng(0).normal(size=(1, 6, 9)).astype(np.float32)
    found = Decisions.from_results([_of(logits)])
    assert found.classes.shape == (1, 6, RANKS)
    assert found.classes[0].tolist() == np.argsort(-logits)[:, :RANKS].tolist()
    assert (np.diff(found.probabilities.astype(float)) <= 0).all()


def test_ties_are_answered_as_argmax_does():
    assert Decisions.from_results([_of(np.zeros((3, 9), np.float32))]).predictions.tolist() == [[0, 0, 0]]


def test_passes_joined_are_one_pass():
    parts = [result(t, ANSWERS[t], LABELS) for t in (16, 4, 8)]
    joined = Decisions.joined([Decisions.from_results(parts[:1]), Decisions.from_results(parts[1:])])
    assert fingerprint(joined) == fingerprint(Decisions.from_results(parts))


@pytest.mark.parametrize("content", [b"", b"PK no zip", b"text"])
def test_a_damaged_file_is_a_sentence(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match="record them again"):
        decision_files.load(tmp_path / "x.npz")


def _of(logits):
    made = result(4, [0] * len(logits), [0] * len(logits), classes=logits.shape[1])
    return type(made)(4, 16, made.indices, made.labels, logits, {}, ())
