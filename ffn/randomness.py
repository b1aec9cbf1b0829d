"""Other people's code that draws from the global generators, made to draw what we say."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's and NumPy's global generators begin at `seed`; afterwards they go on as if nothing had been drawn."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def seed_from(rng: np.random.Generator) -> int:
    """A seed for `seeded`."""
    return int(rng.integers(2**32))
