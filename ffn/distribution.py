"""Several processes at one training or evaluation: accelerate's engine, and what they tell each other.

Shapes: P processes, V numbers.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import warn

import torch
from torch import nn

from ffn.order import ALL, Part

if TYPE_CHECKING:
    from accelerate import Accelerator

Anything = TypeVar("Anything")
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # torchrun's and mpirun's


@contextmanager
def engine() -> Iterator["Accelerator | None"]:
    """The engine of a process that `accelerate launch`, `torchrun` or `mpirun` started with others, else None.

    Processes meet over NCCL where there are GPUs, over gloo on CPUs. Mixed precision is the training's, not the
    engine's, whatever `accelerate config` says.

    Raises:
        ImportError: when there are several processes and no accelerate.
    """
    if not any(int(os.environ.get(name, 1)) > 1 for name in SIZES):
        if "ACCELERATE_USE_CPU" in os.environ and "MASTER_PORT" in os.environ:  # where it was asked for several
            warn(
                "accelerate launch has started one process only, as it does without GPUs and with --cpu; take "
                "`accelerate launch --multi_gpu` or `torchrun --nproc-per-node`, with or without GPUs",
                stacklevel=3,
            )
        yield None
        return
    from accelerate import Accelerator

    device = torch.accelerator.current_accelerator(check_available=True)
    meets = device is not None and device.type != "mps"  # there is no way for processes to meet over Metal
    shared = Accelerator(cpu=not meets, mixed_precision="no")
    yield shared
    shared.end_training()  # not after an error: the others may never come to the end


class Processes:
    """This process and the others that share its work; alone without an engine, or with one of a single process.

    Every method but `distribute` of one process waits for the same method of the others.
    """

    def __init__(self, engine: "Accelerator | None" = None) -> None:
        self.engine = engine if engine is not None and engine.num_processes > 1 else None
        self.part = Part(self.engine.process_index, self.engine.num_processes) if self.engine else ALL

    def distribute(self, model: nn.Module, *, branches: bool) -> nn.Module:
        """`model`, as the first process has it, on this one's device: what runs to get the mean gradients of all.

        Every `backward()` gives them, of a forward pass through one of several `branches` too.
        """
        if not self.engine:
            return model
        from accelerate import DistributedDataParallelKwargs

        self.engine.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=branches)
        network = self.engine.prepare_model(model)
        network.broadcast_buffers = False  # else each forward pass changes buffers that another's backward may need
        return network

    def rows(self, *numbers: float) -> list[list[float]]:
        """The `numbers` (V) of every process, (P, V)."""
        if not self.engine:
            return [list(numbers)]
        return self.engine.gather(self._tensor(numbers).unsqueeze(0)).tolist()

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Sums (V) of `numbers` (V) over the processes."""
        if not self.engine:
            return list(numbers)
        return self.engine.reduce(self._tensor(numbers), "sum").tolist()

    def each(self, thing: Anything) -> list[Anything]:
        """The `thing` of every process; anything that can be pickled."""
        if not self.engine:
            return [thing]
        from accelerate.utils import gather_object

        return gather_object([thing])

    def share_buffers(self, model: nn.Module) -> None:
        """Gives every process the buffers of the first one's `model`, such as running statistics."""
        if self.engine:
            from accelerate.utils import broadcast

            broadcast(list(model.buffers()))

    def _tensor(self, numbers: Sequence[Any]) -> torch.Tensor:
        assert self.engine is not None
        return torch.tensor(numbers, dtype=torch.float64, device=self.engine.device)
