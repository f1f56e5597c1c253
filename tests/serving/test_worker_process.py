"""The handle of one worker: how it starts, and how its end and its silence are noticed."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess

import pytest

from dcgan.serving import worker_process
from dcgan.serving.config import ServerConfig
from dcgan.serving.errors import ServingError
from dcgan.serving.models.releases import pin_release
from dcgan.serving.observability.log import LogConfig
from dcgan.serving.worker_process import Worker
from dcgan.zoo.repository import find_release


@pytest.fixture
def create_worker(only):
    """Returns a handle of a worker that serves the model "tiny"."""

    def create() -> Worker:
        config = ServerConfig(model_repository=only("tiny"), port=0, metrics_port=0)
        pinned = [pin_release(find_release(only("tiny"), "tiny"), "fp32")]
        return Worker(config, pinned, LogConfig(level="error"))

    return create


@pytest.fixture
def refused(monkeypatch) -> list[SpawnProcess]:
    """The system has no room for a process; returns those that could not be started."""
    processes = []

    def refuse(process: SpawnProcess) -> None:
        processes.append(process)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(SpawnProcess, "start", refuse)
    return processes


@pytest.mark.hostile("No room for another process when a worker is started", "tried again")
async def test_a_worker_that_cannot_be_started_is_as_it_was(create_worker, refused, monkeypatch):
    ends = []

    def note_pipe(_) -> tuple[Connection, Connection]:
        ends.extend(Pipe())
        return tuple(ends[-2:])

    monkeypatch.setattr(SpawnContext, "Pipe", note_pipe)
    worker = create_worker()
    for _ in range(2):
        with pytest.raises(ServingError, match="Resource temporarily unavailable; use fewer"):
            await worker.start()
        assert (worker.pid, await worker.wait()) == (None, None)
        worker.drain()
    assert len(refused) == 2
    assert [end.closed for end in ends] == [True] * 4


@pytest.mark.slow
async def test_a_worker_that_is_restarted_keeps_the_port_of_its_metrics(create_worker, request):
    worker = create_worker()
    report = await worker.start()
    os.kill(worker.pid, signal.SIGKILL)
    assert await asyncio.wait_for(worker.wait(), timeout=60) == -signal.SIGKILL

    refused = request.getfixturevalue("refused")
    with pytest.raises(ServingError):
        await worker.start()
    config, *_ = refused[0]._args
    assert report.metrics_addresses == (f"127.0.0.1:{config.metrics_port}",)
    assert await worker.wait() == -signal.SIGKILL


@pytest.mark.slow
async def test_a_worker_that_dies_is_noticed_however_few_threads_there_are(create_worker):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    team = [create_worker() for _ in range(2)]
    await asyncio.gather(*(worker.start() for worker in team))
    ended = [asyncio.ensure_future(worker.wait()) for worker in team]
    try:
        os.kill(team[1].pid, signal.SIGKILL)
        assert await asyncio.wait_for(asyncio.shield(ended[1]), timeout=30) == -signal.SIGKILL
        assert not ended[0].done()
    finally:
        for worker in team:
            worker.drain()
        codes = await asyncio.gather(*ended)

    assert codes == [0, -signal.SIGKILL]


@pytest.mark.hostile(
    "SIGSTOP of one worker",
    "noticed by its missing heartbeat, killed and replaced",
)
@pytest.mark.slow
async def test_a_worker_that_is_frozen_is_killed(create_worker, monkeypatch, caplog):
    monkeypatch.setattr(worker_process, "_HEARTBEAT_INTERVAL_S", 0.05)
    monkeypatch.setattr(worker_process, "_HEARTBEAT_TIMEOUT_S", 3.0)  # those of the worker: 1 s
    worker = create_worker()
    await worker.start()
    ended = asyncio.ensure_future(worker.wait())
    os.kill(worker.pid, signal.SIGSTOP)
    assert await asyncio.wait_for(ended, timeout=60) == -signal.SIGKILL
    assert f"worker {worker.pid} has not answered" in caplog.text


@pytest.mark.slow
async def test_a_worker_that_is_frozen_while_it_starts_is_killed(
    create_worker, monkeypatch, caplog
):
    monkeypatch.setattr(worker_process, "_HEARTBEAT_INTERVAL_S", 0.05)
    monkeypatch.setattr(worker_process, "_FIRST_HEARTBEAT_TIMEOUT_S", 0.2)
    worker = create_worker()
    starting = asyncio.create_task(worker.start())
    while worker.pid is None:
        await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(ServingError, match="ended before it was ready"):
        await asyncio.wait_for(starting, timeout=60)
    assert await asyncio.wait_for(worker.wait(), timeout=60) == -signal.SIGKILL
    assert f"worker {worker.pid} has not answered" in caplog.text
