"""Numbers agree with what they count."""

import pytest

from workbench.words import counted, in_frames


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 points"), (0.6, "1 point"), (1, "1 point"), (1.4, "1 point"), (16, "16 points")]
)
def test_one_is_not_several(number, said):
    assert counted(number, "point") == said
    assert in_frames(number) == said.replace("point", "frame")
