"""What a mirrored video shows."""

import numpy as np
import pytest
from conftest import write_video

from ffn import Clips, Preprocessing, moving_shapes
from ffn.mirroring import mirrored, mirrored_classes
from ffn.transforms import Augmentation


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("Pushing something from left to right", "Pushing something from right to left"),
        ("Turning the camera left while filming something", "Turning the camera right while filming something"),
        ("swipe_left", "swipe_right"),
        ("Swiping Left", "Swiping Right"),
        ("LEFT", "RIGHT"),
        ("rotate_clockwise", "rotate_counterclockwise"),
        ("Turning Hand Counterclockwise", "Turning Hand Clockwise"),
        ("Putting something upright on the table", "Putting something upright on the table"),
        ("leftovers, brightly", "leftovers, brightly"),
        ("turnLeft", "turnRight"),
        ("LeftTurn2", "RightTurn2"),
        ("drift leftwards", "drift rightwards"),
        ("spin_cw", "spin_ccw"),
        ("upRight, Brightly, McLeft", "upLeft, Brightly, McRight"),
    ],
)
def test_directions_are_exchanged_word_by_word(name, want):
    assert mirrored(name) == want
    assert mirrored(want) == name


def test_classes_without_a_direction_are_their_own_mirror_image():
    assert mirrored_classes(("up", "left", "down", "right")) == (0, 3, 2, 1)
    mirror = mirrored_classes(moving_shapes.CLASSES)
    assert [mirror[i] for i in mirror] == list(range(len(mirror)))
    assert {moving_shapes.CLASSES[i] for i, j in enumerate(mirror) if i != j} == {
        *("left", "right"),
        *(f"{motion}_{way}" for motion in ("rotate", "orbit") for way in ("clockwise", "counterclockwise")),
    }


def test_a_direction_without_its_opposite_is_an_error():
    with pytest.raises(ValueError, match=r"no class 'go right' for mirrored videos of 'go left'; use flip off"):
        mirrored_classes(("go left", "stay"))
    with pytest.raises(ValueError, match=r"'go left' \(nor for 1 more\); use flip off"):
        mirrored_classes(("go left", "turn right"))


@pytest.mark.parametrize("names", [("0", "1"), ("up", "down")])
def test_where_no_class_has_a_direction_nothing_can_be_swapped(names):
    with pytest.raises(
        ValueError, match=rf"none of the 2 classes \({', '.join(names)}\) has left, right .* classes.txt"
    ):
        mirrored_classes(names)


@pytest.fixture
def sides(tmp_path):
    """Videos whose light is on the side that their label says."""
    for label in ("left", "right"):
        frames = np.full((8, 32, 32, 3), 40, np.uint8)
        frames[:, :, slice(0, 16) if label == "left" else slice(16, 32)] = 200
        write_video(tmp_path / label / "0.mp4", frames)
    return tmp_path


def lit(sample):
    image = sample.images[0].float()
    return int(image[..., 16:].mean() > image[..., :16].mean())


def test_a_mirrored_clip_takes_the_label_of_what_it_shows(sides):
    data = {"frames": (2, 4), "preprocessing": Preprocessing(resize=32, crop=32), "seed": 0}
    swapped = Clips(sides, augmentation=Augmentation(flip="swap"), **data)
    plain = Clips(sides, augmentation=Augmentation(flip="on"), **data)
    seen = set()
    for epoch in range(12):
        swapped.epoch = plain.epoch = epoch
        for i in range(2):
            sample = swapped[i]
            assert sample.label == lit(sample)
            assert plain[i].label == i
            seen.add((i, sample.label))
    assert len(seen) == 4


def test_only_training_clips_need_opposites(sides):
    (sides / "right").rename(sides / "middle")
    data = {"frames": (2,), "preprocessing": Preprocessing(resize=32, crop=32)}
    swap = Augmentation(flip="swap")
    assert len(Clips(sides, augmentation=swap, **data)) == 2
    with pytest.raises(ValueError, match="no class 'right' for mirrored videos of 'left'"):
        Clips(sides, augmentation=swap, seed=0, **data)
