"""Which videos make up a step: an order drawn from seed and epoch alone, so that it can be taken up anywhere.

A batch is one step's videos over all processes, each of which gets its share: the order does not depend on how many
processes there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler


@dataclass(frozen=True)
class Part:
    """One of `of` processes that share the work."""

    rank: int = 0
    of: int = 1

    def __call__(self, indices: Sequence[int]) -> Sequence[int]:
        """This process's share of `indices`: every `of`-th."""
        return indices[self.rank :: self.of]


ALL = Part()


def steps_per_epoch(videos: int, batch_size: int) -> int:
    """How many batches an epoch has; a last, smaller one is left out unless it is the only one."""
    return max(1, videos // batch_size)


class Shuffled(Sampler[list[int]]):
    """The batches of one epoch from step `first` on, in an order drawn from `seed` and `epoch`."""

    def __init__(
        self, videos: int, batch_size: int, *, seed: int, epoch: int, first: int = 0, part: Part = ALL
    ) -> None:
        self.order = np.random.default_rng((seed, epoch)).permutation(videos).tolist()
        self.batch_size, self.first, self.part = batch_size, first, part

    def __len__(self) -> int:
        return steps_per_epoch(len(self.order), self.batch_size) - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.first + len(self)):
            yield list(self.part(self.order[step * self.batch_size : (step + 1) * self.batch_size]))


class InOrder(Sampler[list[int]]):
    """Every video once, in order; of several processes each has its own ones.

    Raises:
        ValueError: when a batch would hold nothing.
    """

    def __init__(self, videos: int, batch_size: int, *, part: Part = ALL) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.indices, self.batch_size = part(range(videos)), batch_size

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.indices), self.batch_size):
            yield list(self.indices[start : start + self.batch_size])
