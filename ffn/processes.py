"""Work in several processes, started afresh: nothing that is open here is shared across a fork."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
FEW = 32  # are done here sooner than by processes that have yet to start


def parallel(function: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """`function` of every item, in order, by `workers` processes; here if that is at most one, or the items are few.

    Raises:
        ValueError: when there are less than 0 workers.
        ChildProcessError: when a process is killed.
    """
    if workers < 0:
        raise ValueError(f"the number of workers must be at least 0, got {workers}")
    if workers <= 1 or len(items) < FEW or parent_process():  # a worker may start none
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        with anonymous_main():
            futures: list[Future[R]] = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise ChildProcessError("a worker process was killed, perhaps for want of memory; use fewer workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """What a process does first: leave Ctrl-C to its parent, end when that is killed, take one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parent = parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def anonymous_main() -> Iterator[None]:
    """Let processes start without the main script.

    A spawned process first runs the script its parent runs: a Streamlit page, or one that works in parallel
    without `if __name__ == "__main__"`, would run all over again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
