"""Which frames a stream sees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ffn
from ffn.sampling import stream_indices

counts = st.integers(1, 200)


@pytest.mark.parametrize(
    ("total", "num_frames", "want"),
    [(48, 4, [6, 18, 30, 42]), (10, 1, [5]), (5, 5, [0, 1, 2, 3, 4]), (2, 4, [0, 0, 1, 1]), (1, 3, [0, 0, 0])],
)
def test_a_frame_is_the_centre_of_its_segment_and_short_videos_repeat(total, num_frames, want):
    assert ffn.segment_indices(total, num_frames).tolist() == want


@given(counts, counts, st.none() | st.integers(0, 99))
def test_every_frame_is_in_its_own_segment(total, num_frames, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    indices = ffn.segment_indices(total, num_frames, rng)
    edges = np.arange(num_frames + 1) * total / num_frames
    assert (np.floor(edges[:-1]) <= indices).all()
    assert (indices < np.ceil(edges[1:])).all()
    assert (np.diff(indices) >= (1 if num_frames * 2 <= total and seed is None else 0)).all()


def test_random_frames_reach_every_place_of_a_segment():
    rng = np.random.default_rng(0)
    seen = np.stack([ffn.segment_indices(12, 3, rng) for _ in range(200)])
    assert [sorted(set(column)) for column in seen.T.tolist()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize(("total", "num_frames"), [(0, 4), (10, 0), (-1, 4), (10, -2)])
def test_impossible_numbers_are_named(total, num_frames):
    with pytest.raises(ValueError, match=f"cannot take {num_frames} frames from a video of {total}"):
        ffn.segment_indices(total, num_frames)


@given(counts, st.lists(st.integers(1, 40), min_size=1, max_size=4), st.none() | st.integers(0, 99))
def test_one_pass_gives_each_stream_what_it_would_draw_alone(total, frames, seed):
    def generator():
        return None if seed is None else np.random.default_rng(seed)

    wanted, places = stream_indices(total, frames, generator())
    assert (np.diff(wanted) > 0).all()
    rng = generator()
    for num_frames, place in zip(frames, places, strict=True):
        assert (wanted[place] == ffn.segment_indices(total, num_frames, rng)).all()
    assert set(np.concatenate(places)) == set(range(len(wanted)))
