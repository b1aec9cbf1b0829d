"""Work in several processes: the same results in the same order, and a word when one is killed."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest

from ffn.processes import FEW, parallel, processes


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order_whoever_computes_them(workers):
    numbers = list(range(FEW))
    assert list(parallel(math.sqrt, numbers, workers)) == [math.sqrt(i) for i in numbers]


def test_processes_run_one_function_after_another_with_one_thread_each(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with processes(2) as run:
        assert os.getpid() not in run(_pid, range(4))
        assert list(run(os.getenv, ["OMP_NUM_THREADS"])) == ["1"]


def _pid(_):
    return os.getpid()


def test_errors_of_a_process_are_ours():
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"), processes(2) as run:
        list(run(math.sqrt, [1.0, -1.0]))


def test_a_killed_process_is_told():
    with pytest.raises(ChildProcessError, match="was killed, perhaps for want of memory"), processes(2) as run:
        list(run(os._exit, [1]))


def test_an_interrupt_ends_work_at_once():
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), processes(2) as run:  # noqa: PT012
        results = run(time.sleep, [0, *[600] * 8])
        next(results)
        raise KeyboardInterrupt
    assert time.monotonic() - start < 60


WORKER = """
import multiprocessing, os, threading, time
from ffn.processes import follow_parent

def work(parent, late):
    if not late:
        follow_parent()
    print(os.getpid(), flush=True)
    while late and os.getppid() == parent:
        time.sleep(0.01)
    follow_parent()
    threading.Event().wait()

multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(), {late})).start()
threading.Event().wait()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows forks no process")
@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "before it has begun"])
def test_a_worker_that_waits_for_ever_ends_when_its_parent_is_killed(late):
    script = WORKER.format(late=late)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        if not late:
            os.kill(worker, signal.SIGTERM)  # is left to the parent
        parent.kill()
        assert parent.communicate(timeout=60)[0] == ""  # once the worker has ended too, which has it open


def test_less_than_none_is_too_few():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        list(parallel(abs, [1], -1))
