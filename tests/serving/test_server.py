"""The process: start, readiness, what it loads, how it refuses to start, how it ends."""

import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from dcgan.serving import cli
from dcgan.serving.client.client import Client, ClientError, RefusedError
from dcgan.serving.observability.log import is_relevant
from dcgan.zoo import golden
from dcgan.zoo.repository import describe_file, read_release

SERVICE = "dcgan.v1.GeneratorService"
WAITING = 'dcgan_queue_requests{model="slow"}'
CANCELLED = 'grpc_server_handled_total{grpc_code="CANCELLED",grpc_method="GenerateStream"}'
SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)


@pytest.fixture
def copied(repository, tmp_path):
    """A repository of its own with the model `tiny`, to be damaged."""
    shutil.copytree(repository / "tiny" / "2", tmp_path / "tiny" / "2")
    return tmp_path


@pytest.fixture
def copied_classy(repository, tmp_path):
    shutil.copytree(repository / "classy" / "2", tmp_path / "classy" / "2")
    return tmp_path


def refuse_to_start(repository: Path, *options: str) -> str:
    """Starts a server that must not start, and gives its one sentence."""
    ports = ["--port", "0", "--metrics-port", "0"]
    result = CliRunner().invoke(
        cli.serve, ["--model-repository", str(repository), *ports, *options]
    )
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    return result.stderr


def test_one_line_says_where_and_what_and_how_well(server):
    assert "tiny version 2 on CPUExecutionProvider, golden images exact" in server.ready_line


def test_health_says_alive_and_ready(server):
    with grpc.insecure_channel(server.target) as channel:
        stub = HealthStub(channel)
        for service in ("", SERVICE):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_service(server):
    with grpc.insecure_channel(server.target) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reply = next(ServerReflectionStub(channel).ServerReflectionInfo(iter([request])))
        assert SERVICE in [service.name for service in reply.list_services_response.service]


def test_metrics_count_images_batches_and_calls(start_server, only, read_metrics):
    with start_server(only("tiny")) as server, Client(server.target) as client:
        client.generate(1, 40)
        with pytest.raises(RefusedError):
            client.generate(1, label=3)
        values = read_metrics(server)
    assert values['dcgan_images_total{model="tiny"}'] == 40
    assert values['dcgan_batch_images_sum{model="tiny"}'] == 40
    assert values['grpc_server_handled_total{grpc_code="OK",grpc_method="Generate"}'] == 1
    assert (
        values['grpc_server_handled_total{grpc_code="INVALID_ARGUMENT",grpc_method="Generate"}']
        == 1
    )
    assert values['dcgan_rejected_total{reason="INVALID_FIELD"}'] == 1
    assert (
        values['dcgan_queue_images{model="tiny"}']
        == values['dcgan_queue_requests{model="tiny"}']
        == 0
    )
    assert any(
        name.startswith("dcgan_model_info{") and 'agreement="exact"' in name for name in values
    )


def test_neither_torch_nor_onnx_is_loaded_by_serving(repository):
    program = f"""
import asyncio, contextlib, json, pathlib, sys
from dcgan.serving import cli, client, config, server
from dcgan.serving.client import output
from dcgan.serving.observability.metrics import Metrics

async def main():
    settings = config.ServerConfig(model_repository=pathlib.Path({str(repository)!r}), port=0, metrics_port=0)
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_it_accepted(start_server, only, number):
    with start_server(only("slow")) as server, Client(server.target) as client:
        accepted = [client.stream(seed, 120) for seed in range(4)]
        first = [next(chunks) for chunks in accepted]
        server.process.send_signal(number)
        rest = [list(chunks) for chunks in accepted]
        assert server.process.wait(timeout=30) == 0
    assert [len(np.concatenate([head, *tail])) for head, tail in zip(first, rest, strict=True)] == [
        120
    ] * 4


def test_a_client_that_leaves_takes_its_work_with_it(start_server, only, read_metrics):
    with start_server(only("slow")) as server, Client(server.target) as client:
        chunks = client.stream(1, 2**32 - 1)
        next(chunks)
        chunks.close()
        poll(
            lambda: read_metrics(server).get(CANCELLED) == 1 and read_metrics(server)[WAITING] == 0
        )
        assert client.generate(1).shape == (1, 8, 8, 3)


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


def test_a_slow_reader_makes_the_server_wait(start_server, only, read_metrics):
    made = []
    with start_server(only("tiny")) as server, Client(server.target) as client:
        chunks = client.stream(1, 10_000_000)
        next(chunks)

        def is_steady() -> bool:
            made.append(read_metrics(server)['dcgan_images_total{model="tiny"}'])
            return (
                len(made) > 100 and made[-1] >= 128 and len(set(made[-100:])) == 1
            )  # for a second

        poll(is_steady)
        assert made[-1] < 60_000
        assert len(next(chunks)) == 64
        chunks.close()


def test_a_command_that_cannot_start_shows_no_traceback(entry_point, tmp_path):
    command = [*entry_point("serve"), "--model-repository", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert "is no folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_said_in_one_sentence(server, repository):
    for option, port in (
        ("--port", server.port),
        ("--metrics-port", int(server.metrics.split(":")[2].split("/")[0])),
    ):
        assert f"127.0.0.1:{port}" in refuse_to_start(repository, option, str(port))


def test_a_missing_repository_or_model_is_said_in_one_sentence(repository, tmp_path):
    assert "is no folder" in refuse_to_start(tmp_path / "nowhere")
    assert "holds no model" in refuse_to_start(tmp_path)
    assert "tiny" in refuse_to_start(repository, "--model", "nobody")


def test_a_damaged_model_is_not_served(copied):
    file = copied / "tiny" / "2" / "generator.onnx"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    assert "is damaged" in refuse_to_start(copied)


def test_a_model_that_onnx_runtime_cannot_load_is_not_served(copied):
    file = copied / "tiny" / "2" / "generator.onnx"
    file.write_bytes(b"x" * file.stat().st_size)
    change_manifest(file.parent, file.name)
    assert "ONNX Runtime cannot load" in refuse_to_start(copied)


def test_a_model_whose_golden_images_differ_is_not_served(copied):
    change_golden(copied, levels=2)
    assert "golden images" in refuse_to_start(copied)


def test_a_model_within_one_grey_level_is_served_and_said_to_be_close(copied, start_server):
    change_golden(copied, levels=1)
    with start_server(copied) as server, Client(server.target) as client:
        assert "golden images close" in server.ready_line
        assert client.model().agreement == 2


def test_asked_for_cuda_without_a_gpu_it_refuses_to_start(repository):
    assert "--device cpu" in refuse_to_start(repository, "--device", "cuda")


@pytest.mark.parametrize("options", [("--port", "70000"), ("--device", "tpu"), ("--porr", "1")])
def test_a_bad_option_is_said_in_one_sentence(repository, options):
    assert options[0] in refuse_to_start(repository, *options)


def poll(holds: Callable[[], bool]) -> None:
    """Waits until something holds, a minute at most."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def change_golden(repository: Path, levels: int) -> None:
    """Publishes golden images that are so many grey levels from those that the model makes."""
    folder = repository / "tiny" / "2"
    pixels = golden.read_golden(read_release(folder)).astype(int)
    pixels = np.where(pixels < 128, pixels + levels, pixels - levels).astype(np.uint8)
    (folder / "golden.png").write_bytes(golden.encode_golden(pixels))
    change_manifest(folder, "golden.png")


def change_manifest(folder: Path, name: str) -> None:
    """Makes the manifest agree with a file that was changed, and withdraws the golden digests."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    entry = next(file for file in manifest["files"] if file["path"] == name)
    described = describe_file(folder / name, entry["role"])
    entry |= {"bytes": described.bytes, "sha256": described.sha256}
    manifest["golden"]["digests"] = []
    path.write_text(json.dumps(manifest))


def test_a_second_signal_drops_what_has_not_finished(start_server, only):
    options = ("--drain-delay-s", "60")
    with (
        start_server(only("slow"), *options, noisy=True) as server,
        Client(server.target) as client,
    ):
        chunks = client.stream(1, 2**32 - 1)
        next(chunks)
        server.process.terminate()
        poll(lambda: not is_ready(server))
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        with pytest.raises(ClientError):
            list(chunks)


def test_while_it_drains_it_is_not_ready_but_serves(start_server, only):
    with start_server(only("tiny"), "--drain-delay-s", "60", noisy=True) as server:
        server.process.terminate()
        poll(lambda: not is_ready(server))
        with Client(server.target) as client:
            assert client.generate(7, 2).shape == (2, 8, 8, 3)
        server.process.terminate()


def test_health_watch_shows_readiness_end(start_server, only):
    running = start_server(only("tiny"), "--drain-delay-s", "60", noisy=True)
    with running as server, grpc.insecure_channel(server.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert next(watch).status == SERVING
        server.process.terminate()
        assert next(watch).status == NOT_SERVING
        watch.cancel()


def test_a_client_that_watches_health_does_not_delay_the_end(start_server, only):
    with start_server(only("tiny")) as server, grpc.insecure_channel(server.target) as channel:
        watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        next(watch)
        server.process.terminate()
        assert server.process.wait(timeout=15) == 0


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
            assert listening(process.pid) == 2  # it loads the model, with its ports open
            process.terminate()
            poll(lambda: listening(process.pid) == 0)
        except AssertionError:
            process.kill()
            raise
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


@contextmanager
def held(path: Path) -> Iterator[Callable[[], bool]]:
    """Makes whoever opens a file wait until the end of the block, by a lease; gives whether somebody waits."""
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


@pytest.mark.parametrize("host", ["::1", "[::1]", "localhost"])
def test_it_listens_where_it_is_told(start_server, only, host):
    with start_server(only("tiny"), "--host", host) as server, Client(server.target) as client:
        assert client.generate(7).shape == (1, 8, 8, 3)


def test_a_host_that_is_none_is_named(only):
    assert "--host" in refuse_to_start(only("tiny"), "--host", "nowhere.invalid")


@pytest.mark.parametrize("change", ["batch", "latent", "layout", "type"])
def test_a_model_that_is_not_what_its_manifest_says_is_not_served(copied, change):
    path = copied / "tiny" / "2" / "generator.onnx"
    model = onnx.load(path)
    z, images = model.graph.input[0].type.tensor_type, model.graph.output[0].type.tensor_type
    if change == "batch":
        z.shape.dim[0].dim_value = 1
    elif change == "latent":
        z.shape.dim[1].dim_param = "any"
    elif change == "layout":
        model.graph.node[-2].attribute[0].ints[:] = [0, 1, 2, 3]
        images.shape.dim[1].dim_value, images.shape.dim[3].dim_value = 3, 8
    else:
        z.elem_type = onnx.TensorProto.DOUBLE
        cast = onnx.helper.make_node("Cast", ["z"], ["single"], to=onnx.TensorProto.FLOAT)
        model.graph.node[0].input[0] = "single"
        model.graph.node.insert(0, cast)
    onnx.save(model, path)
    change_manifest(path.parent, path.name)
    assert "generator.onnx" in refuse_to_start(copied)


def test_a_golden_label_that_the_model_has_not_is_said(copied_classy):
    path = copied_classy / "classy" / "2" / "manifest.json"
    path.write_text(path.read_text().replace('"label": 0', '"label": 7'))
    refuse_to_start(copied_classy)


def test_accepted_requests_have_only_so_long_to_finish(start_server, only):
    with start_server(only("slow"), "--exit-timeout-s", "0.2") as server:
        with Client(server.target) as client:
            chunks = client.stream(1, 2**32 - 1)
            next(chunks)
            server.process.terminate()
            with pytest.raises(ClientError):
                list(chunks)
        assert server.process.wait(timeout=30) == 0


def test_options_come_from_the_command_line_then_the_environment(monkeypatch):
    monkeypatch.setenv("DCGAN_SERVE_METRICS_PORT", "1234")
    monkeypatch.setenv("DCGAN_SERVE_MAX_BATCH_SIZE", "4")
    arguments = [
        "--dry-run",
        "--max-batch-size",
        "5",
        "--batch-buckets",
        "2,4",
        "--deterministic",
        "--instances",
        "3",
    ]
    result = CliRunner().invoke(cli.serve, arguments)
    config = json.loads(result.stdout)
    assert (config["metrics_port"], config["engine"]["max_batch"]) == (1234, 5)
    assert (config["engine"]["buckets"], config["engine"]["instances"]) == ([4], 3)


@pytest.mark.parametrize("sizes", ["", "8,4", "0,1", "1,1", "one", "1,,2", "-1"])
def test_batch_buckets_must_rise(sizes):
    result = CliRunner().invoke(cli.serve, ["--dry-run", "--batch-buckets", sizes])
    assert (result.exit_code, "--batch-buckets" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--instances", "1"),
        ("--instances", "3"),
        ("--intra-op-threads", "2"),
        ("--max-batch-size", "3"),
        ("--quantum-images", "1"),
    ],
)
def test_the_bytes_do_not_depend_on_how_engines_run(start_server, only, expected, options):
    with start_server(only("tiny"), *options) as server, Client(server.target) as client:
        np.testing.assert_array_equal(client.generate(7, 50), expected("tiny", 7, range(50)))


def test_the_log_can_be_json(start_server, only):
    with start_server(only("tiny"), "--log-format", "json", noisy=True) as server:
        pass
    lines = [json.loads(line) for line in server.log[0].splitlines()]
    assert lines
    assert {(line["level"], line["logger"]) for line in lines} == {("info", "dcgan.serving.server")}


def is_ready(server) -> bool:
    with grpc.insecure_channel(server.target) as channel:
        return (
            HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=SERVICE)).status
            == SERVING
        )


def test_messages_have_the_sizes_that_were_chosen(start_server, only):
    options = ("--max-reply-bytes", "10000", "--max-request-bytes", "100")
    with start_server(only("tiny"), *options) as server, Client(server.target) as client:
        most = client.model().max_images_per_request
        assert 0 < most * 192 < 10_000 < (most + 6) * 192 + 1024
        assert len(client.generate(7, most)) == most
        assert len(client.generate(7, most + 1)) == most + 1  # by stream
        with pytest.raises(RefusedError, match="larger than max"):
            client.generate(7, model="x" * 200)


@pytest.mark.parametrize(
    ("error", "news"),
    [
        (asyncio.CancelledError(), False),
        (grpc.aio.InternalError(), False),
        (RuntimeError("odd"), True),
    ],
)
def test_a_client_that_goes_early_is_no_error_of_ours(error, news):
    record = logging.LogRecord(
        "grpc", logging.ERROR, __file__, 1, "odd", None, (type(error), error, None)
    )
    assert is_relevant(record) is news
