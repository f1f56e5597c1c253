"""Several server processes on one port: all serve, what dies comes back, and all end together."""

import asyncio
import os
import select
import shutil
import signal
import socket
from pathlib import Path

import grpc
import numpy as np
import pytest
from click.testing import CliRunner

from dcgan.serving import workers
from dcgan.serving.cli.serve import main
from dcgan.serving.client import Client
from dcgan.serving.launch import launch_server
from dcgan.serving.load_test import LoadTestConfig, LoadTestReport, run_load_test
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub
from tests.serving.support import poll
from tests.serving.tiny_models import Network, publish_model

pytestmark = pytest.mark.slow

TWO = ("--workers", "2", "--intra-op-threads", "1")


def children(pid: int) -> list[int]:
    """The workers of a server."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            worker = b"spawn_main" in (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if parent == pid and worker:
            found.append(int(folder.name))

    return found


def read_log(server) -> bytes:
    """What a server writes next on standard error."""
    pipe = server.process.stderr.fileno()
    assert select.select([pipe], [], [], 60)[0], "it writes nothing"
    more = os.read(pipe, 2**16)
    assert more, "it has ended"
    return more


def load(server) -> LoadTestReport:
    """Many connections, so that the kernel gives each worker some; every reply is compared."""
    config = LoadTestConfig(
        targets=(server.target,), connections=16, duration_s=0.5, warmup_s=0.0, verify=True
    )
    return asyncio.run(run_load_test(config))


def test_all_workers_serve_the_same_bytes_and_each_has_metrics(
    start_server, only, read_metrics, expected
):
    with start_server(only("tiny"), *TWO) as server:
        assert "2 workers serving tiny" in server.ready_line
        workers = server.split()

        assert len(children(server.process.pid)) == len(workers) == 2
        while not all(
            read_metrics(worker)['dcgan_images_total{model="tiny"}'] for worker in workers
        ):
            report = load(server)
            assert set(report.codes) <= {"OK"}  # on a busy machine none may end in the time
            assert report.mismatches == 0
        with Client(server.target) as client:
            np.testing.assert_array_equal(client.generate(7, 100), expected("tiny", 7, range(100)))


@pytest.mark.hostile("SIGKILL of one worker", "replaced; clients see no error")
def test_a_worker_that_dies_comes_back_and_clients_see_nothing(start_server, only, expected):
    log = b""
    with start_server(only("tiny"), *TWO, noisy=True) as server, Client(server.target) as client:
        first = children(server.process.pid)
        for number, victim in enumerate(first, 1):
            stream = client.stream(7, 5000)
            head = next(stream)
            os.kill(victim, signal.SIGKILL)
            whole = np.concatenate([head, *stream])
            np.testing.assert_array_equal(whole, expected("tiny", 7, range(5000)))
            while log.count(b"a worker is ready again") < number:
                log += read_log(server)
            assert len(pids := children(server.process.pid)) == 2
            assert victim not in pids

    assert log.count(b"restarting it") == 2
    assert b"exit code -9" in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_all_finish_what_they_accepted(start_server, only, number):
    with start_server(only("slow"), *TWO) as server, Client(server.target) as client:
        workers = children(server.process.pid)
        stream = client.stream(1, 300)
        head = next(stream)
        server.process.send_signal(number)
        assert len(np.concatenate([head, *stream])) == 300
        assert server.process.wait(timeout=30) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_ctrl_c_in_a_terminal_does_not_count_twice(start_server, only):
    with start_server(only("slow"), *TWO) as server, Client(server.target) as client:
        stream = client.stream(1, 300)
        head = next(stream)
        for process in (
            *children(server.process.pid),
            server.process.pid,
        ):  # a terminal tells the whole group
            os.kill(process, signal.SIGINT)
        assert len(np.concatenate([head, *stream])) == 300
        assert server.process.wait(timeout=30) == 0


def test_without_their_parent_workers_end(only, entry_point):
    ports = ["--port", "0", "--metrics-port", "0", *TWO, "--model-repository", str(only("tiny"))]
    with launch_server([*entry_point("serve"), *ports]) as server:
        workers = children(server.process.pid)
        server.process.kill()
        poll(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert len(workers) == 2


def refuse(*options: str) -> str:
    result = CliRunner().invoke(main, [*TWO, "--metrics-port", "0", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr


def test_what_a_worker_cannot_serve_is_said_once(tmp_path):
    said = refuse("--port", "0", "--model-repository", str(tmp_path))
    assert said.count("Error: ") == 1
    assert "holds no model" in said


def test_workers_whose_ports_for_metrics_would_not_exist_are_refused(only):
    options = [
        "--model-repository",
        str(only("tiny")),
        *TWO,
        "--port",
        "0",
        "--metrics-port",
        "65535",
    ]
    result = CliRunner().invoke(main, options)

    assert result.exit_code == 2
    assert "choose --metrics-port 65534 or less" in result.stderr


@pytest.mark.parametrize("reuse", [False, True])
def test_a_port_of_others_is_not_shared(only, reuse):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse))
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refuse(
            "--port", port, "--model-repository", str(only("tiny"))
        )


async def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch, caplog):
    class Reluctant:
        """A worker that dies, for which the system then has no room, and then has."""

        def __init__(self) -> None:
            self.outcomes = [OSError(11, "Resource temporarily unavailable"), None]
            self.ready = asyncio.Event()

        async def wait(self) -> int:
            if not self.outcomes:
                await asyncio.Event().wait()
            return 1

        async def start(self) -> None:
            if error := self.outcomes.pop(0):
                raise error
            self.ready.set()

    monkeypatch.setattr(workers, "_RESTART_DELAY_S", 0.0)
    worker = Reluctant()
    keeper = asyncio.create_task(workers.keep_alive(worker))
    await worker.ready.wait()
    keeper.cancel()
    assert "cannot be restarted: [Errno 11]" in caplog.text


def test_a_signal_to_the_whole_group_counts_once(start_server, only):
    with start_server(only("slow"), *TWO) as server, Client(server.target) as client:
        stream = client.stream(1, 300)
        head = next(stream)
        for process in (*children(server.process.pid), server.process.pid):
            os.kill(process, signal.SIGTERM)
        assert len(np.concatenate([head, *stream])) == 300
        assert server.process.wait(timeout=30) == 0


def test_a_worker_that_comes_back_serves_what_the_others_serve(repository, start_server, tmp_path):
    shutil.copytree(repository / "tiny" / "2", tmp_path / "tiny" / "2")
    with start_server(tmp_path, *TWO, noisy=True) as server:
        newer = publish_model(tmp_path, "tiny", 3, Network(seed=5))
        assert newer.exists()
        victim, _ = children(server.process.pid)
        os.kill(victim, signal.SIGKILL)
        log = b""

        while b"a worker is ready again" not in log:
            log += read_log(server)
        for _ in range(20):  # each over its connection, so that both workers answer
            with Client(server.target) as client:
                assert client.model().version == 2


@pytest.mark.hostile(
    "A model folder that is changed while it is served",
    "a restarted worker does not serve it",
)
def test_a_release_that_has_changed_is_not_served_by_a_worker_that_comes_back(
    repository, start_server, tmp_path
):
    folder = tmp_path / "tiny" / "2"
    shutil.copytree(repository / "tiny" / "2", folder)

    with start_server(tmp_path, *TWO, noisy=True) as server:
        other = publish_model(tmp_path / "other", "tiny", 2, Network(seed=5))
        shutil.rmtree(folder)
        shutil.move(other, folder)
        os.kill(children(server.process.pid)[0], signal.SIGKILL)
        log = b""
        while b"has changed since the server started" not in log:
            log += read_log(server)


@pytest.mark.hostile("A worker that is restarted", "takes no connection before its model is ready")
def test_a_worker_takes_no_connection_before_it_is_ready(start_server, only):
    with start_server(only("slow"), *TWO, noisy=True) as server:
        victim, _ = children(server.process.pid)
        os.kill(victim, signal.SIGKILL)
        poll(lambda: not Path(f"/proc/{victim}").exists())
        log = b""

        while b"a worker is ready again" not in log:
            own = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
            with grpc.insecure_channel(server.target, own) as channel:
                assert GeneratorServiceStub(channel).Generate(pb.GenerateRequest(), timeout=60).n
            if select.select([server.process.stderr.fileno()], [], [], 0)[0]:
                log += read_log(server)
