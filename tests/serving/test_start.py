"""A start that hangs: it ends by itself, and at once when told to."""

import asyncio
import signal
import socket
import subprocess
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dcgan.core.errors import DcganError
from dcgan.core.schema import dump_json, parse_json
from dcgan.serving.config import ServerConfig
from dcgan.serving.running_calls import running_calls
from dcgan.serving.server import run
from dcgan.serving.shutdown import ShutdownRequest
from dcgan.serving.threads import DaemonThread
from dcgan.zoo.manifest import FILE_NAME, SCHEMA_VERSION, Manifest
from dcgan.zoo.release import describe_file
from tests.serving.support import UNCHECKED
from tests.serving.tiny_models import Network, publish_model

STARTED = "the engine is opened"

# Replaces the engines by some that never get ready, and tells when they are opened.
HANGING_ENGINE = f"""
import sys, threading
from dcgan.serving.models import loader

def hang(*args, **options):
    print("{STARTED}", file=sys.stderr, flush=True)
    threading.Event().wait()

loader.open_engines = hang
"""

# Lets ONNX Runtime hang in native code, and tells when it is called.
HANGING_GRAPH = f"""
{UNCHECKED}
import sys
original = loader.run_self_test

def run_self_test(*args):
    print("{STARTED}", file=sys.stderr, flush=True)
    return original(*args)

loader.run_self_test = run_self_test
"""


@pytest.fixture(scope="module")
def hanging(tmp_path_factory):
    """A repository with a model whose Loop goes on for years, for its golden images too."""
    repository = tmp_path_factory.mktemp("hanging")
    folder = publish_model(repository, "hanging", 1, Network(endless=True))
    path = folder / "generator.onnx"

    model = onnx.load(path)
    scale = next(each for each in model.graph.initializer if each.name == "scale")
    scale.CopyFrom(numpy_helper.from_array(np.array(1000, np.float32), "scale"))
    onnx.save(model, path)

    manifest = parse_json(Manifest, (folder / FILE_NAME).read_text(), FILE_NAME, SCHEMA_VERSION)
    files = (describe_file(path, "onnx", "fp32"), *manifest.files[1:])
    (folder / FILE_NAME).write_text(dump_json(replace(manifest, files=files)))
    return repository


@pytest.fixture(params=["an engine", "a graph"])
def start_hanging(request, entry_point, hanging, only):
    """Starts a server whose only model never gets ready; it is over when the test ends."""
    code, repository = HANGING_GRAPH, hanging
    if request.param == "an engine":
        code, repository = HANGING_ENGINE, only("tiny")
    processes = []

    def start(*options):
        ports = ("--port", "0", "--http-port", "0", "--metrics-port", "0", "--device", "cpu")
        command = [*entry_point("serve", before=code), *ports, *options]
        process = subprocess.Popen(
            [*command, "--model-repository", str(repository)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.hostile("A model that does not get ready", "ends the server after `--start-timeout-s`")
@pytest.mark.slow
def test_a_model_that_does_not_get_ready_in_time_ends_the_server(start_hanging):
    process = start_hanging("--start-timeout-s", "1")
    out, log = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    started, error = log.splitlines()
    assert started == STARTED
    assert error.startswith("Error: model ")
    assert error.endswith(
        "is not ready after 1 s; check the model and the device, "
        "or allow more time with --start-timeout-s"
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_start_that_hangs_at_once(start_hanging, number):
    process = start_hanging()
    assert process.stderr.readline() == f"{STARTED}\n"
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


async def test_each_model_has_the_whole_time(monkeypatch, repository):
    """Many models may take longer together than one may."""
    allowed = []
    timeout = asyncio.timeout

    def record(delay):
        allowed.append(delay)
        return timeout(delay)

    monkeypatch.setattr("dcgan.serving.server.asyncio.timeout", record)
    config = ServerConfig(model_repository=repository, model="tiny", port=0, metrics_port=0)
    shutdown = ShutdownRequest()
    await run(config, lambda server: shutdown.drain.set(), shutdown)
    assert allowed.count(config.start_timeout_s) == 4


async def test_a_wrong_repository_is_noticed_before_a_port_is_opened(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(
            model_repository=tmp_path / "none", port=0, metrics_port=taken.getsockname()[1]
        )
        with pytest.raises(DcganError, match="none"):
            await run(config, lambda server: None, ShutdownRequest())


def test_calls_of_daemon_threads_are_counted_while_they_run():
    before = running_calls()
    thread = DaemonThread("test")
    assert len(thread.submit(lambda: running_calls() - before).result(60)) == 1
    assert running_calls() == before
    thread.close()
