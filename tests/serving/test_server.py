"""The server process: start, refusal to start, graceful drain."""

import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dcgan.core import processors
from dcgan.core.processors import ProcessorLimits
from dcgan.serving.client import Client, RefusedError
from dcgan.serving.launch import wait_until_ready
from tests.serving.support import poll, refuse_to_start

pytestmark = pytest.mark.slow


def test_one_line_says_where_and_what_and_how_well(server):
    assert "tiny version 2 (the default), " in server.ready_line
    assert " on CPUExecutionProvider, golden images exact" in server.ready_line


def test_neither_torch_nor_onnx_is_loaded_by_serving(repository):
    program = f"""
import asyncio, contextlib, json, pathlib, sys
from dcgan.serving import client, config, server
from dcgan.core import output
from dcgan.serving.cli import generate, serve
from dcgan.serving.observability.metrics import Metrics

async def main():
    repository = pathlib.Path({str(repository)!r})
    settings = config.ServerConfig(
        model_repository=repository, model="tiny", port=0, metrics_port=0
    )
    async with contextlib.AsyncExitStack() as stack:
        running = await server.start(settings, Metrics(), stack)
        with client.Client(running.address) as connected:
            await asyncio.to_thread(connected.generate, 7, 3)
asyncio.run(main())
print(json.dumps(list(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "torchvision", "onnx", "onnxruntime", "dcgan.training", "dcgan.export"}
    assert heavy & set(json.loads(done.stdout)) == {"onnxruntime"}


def test_told_to_stop_it_does_not_wait_for_a_download(entry_point, tmp_path):
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as silent:  # it takes a connection, and says nothing
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/index.json"
        command = [
            *entry_point("serve"),
            "--port",
            "0",
            "--metrics-port",
            "0",
            "--model",
            "m",
            "--fetch-from",
            index,
        ]
        silent.settimeout(60)
        process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, env=os.environ | {"DCGAN_HOME": str(tmp_path)}
        )

        try:
            with silent.accept()[0]:
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=10) == 0  # it would try again for longer than that
        finally:
            process.kill()
            process.wait()


def test_a_taken_port_is_said_in_one_sentence(server, repository):
    for option, port in (
        ("--port", server.port),
        ("--metrics-port", int(server.metrics.split(":")[2].split("/")[0])),
    ):
        assert f"127.0.0.1:{port}" in refuse_to_start(
            repository, "--model", "tiny", option, str(port)
        )


def test_told_to_stop_before_it_is_ready_it_stops_and_never_announces_itself(copied, entry_point):
    command = [
        *entry_point("serve"),
        "--model-repository",
        str(copied),
        "--port",
        "0",
        "--metrics-port",
        "0",
    ]
    with held(copied / "tiny" / "2" / "generator.onnx") as is_wanted:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            poll(is_wanted)
            assert listening(process.pid) == 3  # it loads the model, with its ports open
            process.terminate()
            process.wait(timeout=60)  # while the file is still held
        except (AssertionError, subprocess.TimeoutExpired):
            process.kill()
            raise

    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


@contextmanager
def held(path: Path) -> Iterator[Callable[[], bool]]:
    """Blocks processes that open a file, by a lease; yields a function: does one wait?"""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the news that somebody does
    with path.open() as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"the file system of {path.parent} has no leases ({error.strerror})")

        try:
            yield lambda: fcntl.fcntl(file, fcntl.F_GETLEASE) != fcntl.F_WRLCK
        finally:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            signal.signal(signal.SIGIO, before)


def listening(pid: int) -> int:
    """How many TCP ports a process listens on."""
    tables = Path(f"/proc/{pid}/net").glob("tcp*")  # of IPv4 and IPv6
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed
            found += os.readlink(link) in sockets
    return found


def test_a_quota_of_processors_is_said_in_the_log(monkeypatch, caplog):
    limits = ProcessorLimits(affinity=64, quota=0.2)
    monkeypatch.setattr(processors, "processor_limits", lambda: limits)
    with caplog.at_level(logging.INFO):
        processors.log_quota()
    assert "allows 0.2 of 64 processors: engines and threads are sized for 1" in caplog.text


def test_a_folder_for_other_servers_metrics_is_ignored(start_server, only, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nosuch")
    with start_server(only("tiny")) as server, Client(server.target) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_metrics_may_have_an_address_of_their_own(start_server, only, read_metrics):
    with start_server(only("tiny"), "--metrics-host", "127.0.0.2") as server:
        assert server.metrics.startswith("http://127.0.0.2:")
        assert read_metrics(server)
        with Client(server.target) as client:
            assert server.target.startswith("127.0.0.1:")
            assert client.generate(7).shape == (1, 8, 8, 3)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_ready_line_that_cannot_be_written_does_not_stop_a_server(
    entry_point, only, tmp_path, format_
):
    ready_file = tmp_path / "ready.json"
    ports = ["--port", "0", "--metrics-port", "0", "--log-format", format_]
    places = ["--model-repository", str(only("tiny")), "--ready-file", str(ready_file)]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [*entry_point("serve"), *ports, *places], stdout=full, stderr=subprocess.PIPE, text=True
        )
    report = wait_until_ready(process, ready_file)
    with Client(report.address) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)
    process.terminate()
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "the ready line cannot be written" in errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_the_ready_line_is_json_with_a_json_log(start_server, only):
    with start_server(only("tiny"), "--log-format", "json", noisy=True) as server:
        line = json.loads(server.ready_line)
    assert (line["level"], line["report"]["address"]) == ("info", server.target)
    assert line["message"].startswith("ready at ")


def test_every_call_is_logged_at_debug(start_server, only):
    debug = start_server(only("tiny"), "--log-level", "debug", noisy=True)
    with debug as server, Client(server.target) as client:
        client.generate(7)
        with pytest.raises(RefusedError):
            client.generate(7, label=3)
    calls = [line for line in server.log[0].splitlines() if "dcgan.serving.api.rpc" in line]

    assert "Generate from ipv4:127.0.0.1:" in calls[0]
    assert [line.partition("ended with ")[2].split()[0] for line in calls] == [
        "OK",
        "INVALID_ARGUMENT",
    ]
