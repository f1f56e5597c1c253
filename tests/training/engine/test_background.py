"""Tasks in a thread run in order, and their errors are not lost."""

import threading

import pytest

from dcgan.training.engine.background import BackgroundWriter


def test_without_a_thread_a_task_runs_at_once():
    done = []
    writer = BackgroundWriter(asynchronous=False)
    writer.submit(lambda: done.append(threading.current_thread()))
    assert done == [threading.current_thread()]
    writer.close()


def test_tasks_run_in_their_order_and_draining_waits_for_them():
    go = threading.Event()
    done = []
    writer = BackgroundWriter(asynchronous=True)
    writer.submit(go.wait)
    for number in range(5):
        writer.submit(lambda number=number: done.append(number))
    assert done == []
    go.set()
    writer.drain()
    assert done == list(range(5))
    writer.close()


def test_an_error_is_raised_by_a_later_call():
    def fail() -> None:
        raise OSError("the disk is full")

    writer = BackgroundWriter(asynchronous=True)
    writer.submit(fail)
    with pytest.raises(OSError, match="the disk is full"):
        writer.drain()
    writer.drain()
    writer.close()


def test_few_tasks_wait_at_a_time():
    go = threading.Event()
    started = []
    writer = BackgroundWriter(asynchronous=True)

    def submit_many() -> None:
        for number in range(30):
            writer.submit(go.wait)
            started.append(number)

    thread = threading.Thread(target=submit_many)
    thread.start()
    thread.join(timeout=0.2)
    assert thread.is_alive()
    assert len(started) < 10
    go.set()
    thread.join()
    writer.drain()
    assert len(started) == 30
    writer.close()
