"""Work in several processes, started afresh: nothing that is open here is shared across a fork."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread
from types import ModuleType
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
ENDS_OF_TERMINALS = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()  # Windows has none
STOPS = (signal.SIGINT, signal.SIGTERM, *ENDS_OF_TERMINALS)
FEW = 32  # are done here sooner than by processes that have yet to start


class Run(Protocol):
    """How work is done: `function` of every item, in order."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]: ...


def parallel(function: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """`function` of every item, in order, by `workers` processes; here if that is at most one, or the items are few."""
    with processes(workers if len(items) >= FEW else min(workers, 1)) as run:
        yield from run(function, items)


@contextmanager
def processes(workers: int) -> Iterator[Run]:
    """`workers` processes that stand ready, to run one function after another; none if that is at most one.

    Raises:
        ValueError: when there are less than 0 workers.
        ChildProcessError: when a process is killed.
    """
    if workers < 0:
        raise ValueError(f"the number of workers must be at least 0, got {workers}")
    if workers <= 1 or parent_process():  # a worker, such as a DataLoader's, may start none
        yield map
        return
    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(theirs,))
    try:
        yield partial(_submitted, pool)
    except BrokenProcessPool:
        raise ChildProcessError("a worker process was killed, perhaps for want of memory; use fewer workers") from None
    finally:
        ours.close()  # ends them in the midst of their work, though Ctrl-C be pressed again
        pool.shutdown(cancel_futures=True)
        theirs.close()


def _submitted(pool: ProcessPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    with anonymous_main():
        futures = deque(pool.submit(function, item) for item in items)
    while futures:
        yield futures.popleft().result()


def _begin(parent: Connection) -> None:
    """What a process does first: leave Ctrl-C to its parent, end when that hangs up or is killed, take one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def watch() -> None:
        parent.poll(None)  # nothing is ever sent: it returns when the other end is closed
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def follow_parent(worker: int = 0) -> None:
    """What a DataLoader's worker does first: leave Ctrl-C and SIGTERM to its parent, and end when that is killed.

    Both may come to all processes of a group; torch gives up where a worker goes first. And a worker whose batches
    nobody takes any more would wait for ever, with all that its parent had open: the lock of a run's folder too.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    started_by = parent_process()  # which may be gone by now
    parent = started_by.pid if started_by else os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def stops_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait while this lasts, and for processes that start in it until they ignore them."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
