"""What is slow, in threads of its own: the page asks what is known by now and never waits."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn.costs import Cost, Latency, cost, latency
from ffn.evaluation import Result
from ffn.model import FrameFlexible
from ffn.progress import Progress, Report
from workbench.records import Record, Tables, as_record, as_tables, read_records, write_record

GRID = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)  # measured by itself for checkpoints without recorded results
SLIDER = range(1, 33)
IDLE_BUDGET = 60.0  # seconds after which latencies that nobody has asked for are left unmeasured
QUIET = 2.0  # seconds without a move of the slider before they are measured at all
LAST_STEP = 10.0  # seconds in which work that is under way when Python ends may come to its next step


class CancelledError(Exception):
    """Raised inside background work to end it."""


class Processor:
    """Background work takes turns, batch by batch, so that a latency is measured while nothing else computes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Any:
        with self._lock:
            yield

    def pass_on(self) -> None:
        """Lets whoever waits go first."""
        self._lock.release()
        time.sleep(0.002)
        self._lock.acquire()


PROCESSOR = Processor()


def in_turn(work: Callable[[Progress], Any]) -> Callable[[Progress], Any]:
    """`work` that holds the processor, and passes it on whenever it reports progress."""

    def turn(progress: Progress) -> Any:
        def step(done: int, total: int) -> None:
            progress(done, total)
            PROCESSOR.pass_on()

        with PROCESSOR.held():
            return work(step)

    return turn


class Task:
    """Work in a thread of its own, with progress; `work` calls its argument with (done, total)."""

    def __init__(self, work: Callable[[Progress], Any]) -> None:
        self.done, self.total = 0, 0
        self.error, self.result = "", None
        self.cancelled = False
        self._work = work
        self._since = (0, time.monotonic())  # where this stage of the work began
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Task":
        _STARTED.add(self)
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> "Task":
        self._thread.join(seconds)
        return self

    @property
    def remaining(self) -> float | None:
        """Seconds that this stage of the work will take, by its pace so far; None while that is not known."""
        first, since = self._since
        steps = self.done - first
        return (self.total - self.done) * (time.monotonic() - since) / steps if steps else None

    def cancel(self) -> None:
        """Ends the work at its next step."""
        self.cancelled = True

    def report(self, done: int, total: int) -> None:
        """Progress; ends the work when it was cancelled."""
        if total != self.total or done < self.done:
            self._since = (done, time.monotonic())
        self.done, self.total = done, total
        if self.cancelled:
            raise CancelledError

    def _run(self) -> None:
        try:
            self.result = self._work(self.report)
        except CancelledError:
            pass
        except Exception as error:  # a thread has nobody else to tell
            self.error = str(error) or type(error).__name__


_STARTED: weakref.WeakSet[Task] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Cancels what is under way: a thread that is inside torch while Python ends aborts the process."""
    under_way = [task for task in list(_STARTED) if task.running]
    for task in under_way:
        task.cancel()
    deadline = time.monotonic() + LAST_STEP
    for task in under_way:
        task.wait(max(0.0, deadline - time.monotonic()))


class Job:
    """Work that starts when a viewer asks for it, and whose result all share.

    `work` calls its argument with what is being done, steps done and steps in all.
    """

    def __init__(self, work: Callable[[Report], Any]) -> None:
        self.task: Task | None = None
        self.doing = ""
        self._work = work
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begins, or begins anew what was cancelled or failed."""
        with self._lock:
            if not self.running and self.result is None:
                self.task = Task(in_turn(self._staged)).start()

    @property
    def running(self) -> bool:
        return self.task is not None and self.task.running

    @property
    def result(self) -> Any:
        """None until the work is done."""
        return self.task.result if self.task else None

    def cancel(self) -> None:
        """Ends the work at its next step, if it is under way."""
        if self.task:
            self.task.cancel()

    def _staged(self, progress: Progress) -> Any:
        def stage(doing: str, done: int, total: int) -> None:
            self.doing = doing
            progress(done, total)

        return self._work(stage)


class Sweep:
    """Results of one checkpoint on one dataset, computed in the background, the frame count that is wanted first.

    `evaluate_at` gives the results at some frame counts. What is in `folder` is not computed again.
    """

    def __init__(
        self,
        evaluate_at: Callable[[Sequence[int], Progress], Sequence[Result]],
        folder: Path | None = None,
        grid: Sequence[int] = GRID,
    ) -> None:
        self.records = read_records(folder) if folder else {}
        self.task: Task | None = None
        self.now: tuple[int, ...] = ()
        self._evaluate_at, self._folder, self._grid = evaluate_at, folder, grid
        self._wanted: int | None = None
        self._lock = threading.Lock()
        self._tables: tuple[int, Tables] | None = None

    def want(self, num_frames: int | None) -> None:
        """Makes sure that this frame count is being computed, and the grid after it; a cancelled sweep stays so."""
        with self._lock:
            self._wanted = num_frames
            if self.missing() and not self.running and not self.stopped:
                self.task = Task(in_turn(self._work)).start()

    def resume(self) -> None:
        """Goes on after it was cancelled or failed."""
        with self._lock:
            self.task = None if not self.running else self.task
        self.want(self._wanted)

    @property
    def running(self) -> bool:
        return self.task is not None and self.task.running

    @property
    def stopped(self) -> bool:
        """Whether it was cancelled or failed."""
        return self.task is not None and (self.task.cancelled or bool(self.task.error))

    def missing(self) -> list[int]:
        """The frame counts to come, the wanted one first."""
        wanted = [] if self._wanted is None else [self._wanted]
        return [t for t in dict.fromkeys([*wanted, *self._grid]) if t not in self.records]

    def tables(self) -> Tables:
        """Everything that is known by now."""
        if self._tables is None or self._tables[0] != len(self.records):
            records = list(self.records.values())
            self._tables = (len(records), as_tables(records))
        return self._tables[1]

    def _work(self, progress: Progress) -> None:
        while missing := self.missing():
            # A few at a time share a decode; a newly wanted count never waits for the whole grid.
            self.now = tuple(missing[:1] if self._wanted == missing[0] else sorted(missing[:3]))
            for result in self._evaluate_at(self.now, progress):
                self._keep(as_record(result))

    def _keep(self, record: Record) -> None:
        if self._folder:
            write_record(self._folder, record)
        self.records[record.accuracy["num_frames"]] = record


@dataclass(frozen=True)
class Measured:
    """What a forward pass of one clip costs; `latency` is None where it failed."""

    cost: Cost
    latency: Latency | None


class Profile:
    """Cost and latency by frame count, measured in the background; the count that is asked for comes first."""

    def __init__(self, network: FrameFlexible) -> None:
        self.found: dict[int, Measured] = {}
        self._network = network
        self._asked, self._asked_at = min(network.frames), time.monotonic()
        self._deadline = time.monotonic() + IDLE_BUDGET
        self._task: Task | None = None
        self._lock = threading.Lock()

    def at(self, num_frames: int) -> Measured | None:
        """What is known of this frame count; None while it is being measured."""
        self._asked, self._asked_at = num_frames, time.monotonic()
        with self._lock:
            if self._next() is not None and not (self._task and self._task.running):
                self._task = Task(self._work).start()
        return self.found.get(num_frames)

    def _next(self) -> int | None:
        left = sorted(set(SLIDER) - self.found.keys(), key=lambda t: abs(t - self._asked))
        if self._asked not in self.found:
            return self._asked
        return left[0] if left and time.monotonic() < self._deadline else None

    def _work(self, progress: Progress) -> None:
        while (num_frames := self._next()) is not None:
            progress(len(self.found), len(SLIDER))
            if num_frames != self._asked and time.monotonic() - self._asked_at < QUIET:
                time.sleep(0.2)
                continue
            counted = cost(self._network, num_frames)
            with PROCESSOR.held():
                self.found[num_frames] = Measured(counted, self._latency(num_frames))

    def _latency(self, num_frames: int) -> Latency | None:
        try:
            return latency(self._network, num_frames)
        except RuntimeError:  # not enough memory
            return None
