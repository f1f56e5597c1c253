"""A load test from several client processes, which together send more than one can."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from typing import cast

from dcgan.core import event_loop
from dcgan.serving.load_test.config import LoadTestConfig, LoadTestError
from dcgan.serving.load_test.report import CallLog, LoadTestReport, summarize
from dcgan.serving.load_test.runner import Reference, fetch_reference, send_requests

_START_TIMEOUT_S = 60.0  # in which all processes must have imported gRPC
_SEED_STEP = 1_000_003  # between the random numbers of two processes


class NotStartedError(LoadTestError):
    """Another client process has not started."""


def run_in_processes(config: LoadTestConfig, processes: int) -> LoadTestReport:
    """Loads servers from several processes in parallel.

    The images that replies are compared with are fetched once, before the processes start, so that
    every reply to every process must have the same bytes.

    Args:
        config: of the whole test. Callers and rate are divided among the processes; each process
            has `connections` connections to each target.
        processes: number of client processes.

    Raises:
        LoadTestError: if no server answers, there are fewer callers than processes, or a process
            dies.
    """
    if config.rate is None and config.concurrency < processes:
        raise LoadTestError(
            f"{config.concurrency} callers cannot be divided among {processes} processes; "
            "choose fewer --processes, or more --concurrency"
        )
    reference = event_loop.run(fetch_reference(config))

    # gRPC does not survive a fork.
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    children: list[tuple[SpawnProcess, Connection]] = []
    try:
        for i in range(processes):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (share_of(config, i, processes), reference, barrier, sender)
            child = context.Process(target=_run_child, args=arguments, daemon=True)
            child.start()
            sender.close()
            children.append((child, receiver))
        logs = _receive_all([receiver for _, receiver in children])
    finally:
        for child, _ in children:
            child.terminate()
        for child, _ in children:
            child.join()
    return summarize(merge(logs), config)


def share_of(config: LoadTestConfig, i: int, processes: int) -> LoadTestConfig:
    """Returns the part of a load test that process number i runs."""
    callers, more = divmod(config.concurrency, processes)
    return replace(
        config,
        concurrency=callers + (i < more),
        rate=None if config.rate is None else config.rate / processes,
        seed=config.seed + i * _SEED_STEP,
    )


def merge(logs: list[CallLog]) -> CallLog:
    """Returns the calls of several processes, which measured for the same time, as one log."""
    return CallLog(
        start=logs[0].start,
        end=logs[0].end,
        calls=[call for log in logs for call in log.calls],
        mismatches=sum(log.mismatches for log in logs),
    )


def _receive_all(receivers: Sequence[Connection]) -> list[CallLog]:
    """Receives the results of all processes.

    Raises:
        Exception: what the first process that failed by itself has sent. The others then send only
            that not all have started, which would hide the cause.
    """
    pending = list(receivers)
    logs: list[CallLog] = []
    not_started: NotStartedError | None = None
    while pending:
        for receiver in cast(list[Connection], wait(pending)):
            pending.remove(receiver)
            try:
                logs.append(_receive(receiver))
            except NotStartedError as error:
                not_started = error
    if not_started is not None:
        raise not_started
    return logs


def _receive(receiver: Connection) -> CallLog:
    try:
        result = receiver.recv()
    except EOFError:
        raise LoadTestError(
            "a client process has died; choose fewer --processes, or look for its error above"
        ) from None
    if isinstance(result, Exception):
        raise result
    if not isinstance(result, CallLog):
        raise TypeError(f"a client process sent a {type(result).__name__}")
    return result


def _run_child(
    config: LoadTestConfig, reference: Reference, barrier: Barrier, sender: Connection
) -> None:
    """Runs one process of a load test, and sends its CallLog or its error to the parent."""
    # Ctrl-C reaches the whole process group; the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def wait_for_others() -> None:
        await asyncio.to_thread(barrier.wait, _START_TIMEOUT_S)

    try:
        result: CallLog | Exception = event_loop.run(
            send_requests(config, reference, wait_for_others)
        )
    except threading.BrokenBarrierError:
        result = NotStartedError("not all client processes have started; choose fewer --processes")
    except Exception as error:  # noqa: BLE001 - the parent raises it
        barrier.abort()
        result = error
    with suppress(BrokenPipeError):  # the parent has been interrupted
        sender.send(result)
