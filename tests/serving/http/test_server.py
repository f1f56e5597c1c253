"""HTTP servers with other options, and what they share with gRPC."""

import shutil
import subprocess
import threading

import grpc
import numpy as np
import pytest

from dcgan.core.images import decode_png
from dcgan.serving.client import Client
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

TINY = "/v1/models/tiny/2"


@pytest.mark.slow
def test_foreign_pages_may_read_only_if_told_so(get, start_server, only):
    origin = "https://example.org"
    assert get("/v1/models", origin=origin).getheader("access-control-allow-origin") is None
    with start_server(only("tiny"), "--http-cors-origin", origin) as server:
        response = get(f"{TINY}/images/7.png", to=server, origin=origin)
        assert response.getheader("access-control-allow-origin") == origin
        asked = {"access-control-request-method": "GET", "origin": origin}
        response = get(f"{TINY}/images/7.png", "OPTIONS", to=server, **asked)
        assert response.getheader("access-control-allow-methods") == "GET, HEAD"


@pytest.mark.slow
def test_a_fault_of_the_engine_is_told_without_a_trace(get, start_server, only, problem):
    with start_server(only("poisoned"), noisy=True) as server:
        statuses = set()
        for index in range(40):
            path = f"/v1/models/poisoned/2/images/7.png?index={index}"
            response = get(path, to=server, x_request_id="abc-3")
            statuses.add(response.status)
            if response.status == 500:
                told = problem(response)
                assert (told["reason"], told["request_id"]) == ("ENGINE_FAULT", "abc-3")
                assert "Traceback" not in response.content.decode()
        assert statuses == {200, 500}

    assert any("request abc-3" in line for line in server.log[0].splitlines())


@pytest.mark.slow
def test_a_full_queue_says_when_to_come_back(get, start_server, only, problem):
    with start_server(only("slow"), "--max-queue-images", "16") as server:
        responses = []

        def ask(seed: int) -> None:
            responses.append(get(f"/v1/models/slow/2/grids/{seed}.png?n=256", to=server))

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [response for response in responses if response.status == 429]
        assert refused
        assert {response.status for response in responses} == {200, 429}
        for response in refused:
            assert problem(response)["reason"] == "QUEUE_FULL"
            assert int(response.getheader("retry-after")) >= 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_the_pixels_of_grpc_and_they_stay_the_same(start_server, only, tmp_path):
    def curl(server, name: str, *options: str) -> str:
        """Saves image 0 of seed 7; returns the last status."""
        address = f"{server.url}/v1/models/tiny/images/7.png"
        command = ["curl", "-sSL", "-o", str(tmp_path / name), "-w", "%{http_code}", *options]
        return subprocess.run(
            [*command, address], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    tag = str(tmp_path / "tag")
    with start_server(only("tiny")) as server, Client(server.target) as client:
        assert curl(server, "a.png", "--etag-save", tag) == "200"
        image = decode_png((tmp_path / "a.png").read_bytes())
        np.testing.assert_array_equal(image, client.generate(7)[0])
        assert curl(server, "none.png", "--etag-compare", tag) == "304"
        assert not (tmp_path / "none.png").exists() or not (tmp_path / "none.png").stat().st_size

    # After a restart, and beside a second server.
    with start_server(only("tiny")) as restarted, start_server(only("tiny")) as second:
        for name, server in (("b.png", restarted), ("c.png", second)):
            assert curl(server, name) == "200"
            assert (tmp_path / name).read_bytes() == (tmp_path / "a.png").read_bytes()
            assert curl(server, "none.png", "--etag-compare", tag) == "304"


@pytest.mark.slow
def test_both_doors_have_one_account(get, start_server, only, read_metrics):
    with start_server(only("tiny")) as server, Client(server.target) as client:
        client.generate(seed=1, n=3)
        get(f"{TINY}/images/7.png", to=server)
        get(f"{TINY}/grids/7.png?n=9", to=server)
        get(f"{TINY}/walks/7-8.webp?steps=4", to=server)
        get(f"{TINY}/images/7.png?index=x", to=server)
        get("/v1/models", to=server)
        metrics = read_metrics(server)

    assert metrics['dcgan_images_total{model="tiny"}'] == 3 + 1 + 9 + 4
    work = {
        key: metrics[f'dcgan_work_total{{model="tiny",outcome="{key}"}}']
        for key in ("offered", "accepted", "ok", "rejected", "failed", "cancelled", "expired")
    }
    assert work == {
        "offered": 4,
        "accepted": 4,
        "ok": 4,
        "rejected": 0,
        "failed": 0,
        "cancelled": 0,
        "expired": 0,
    }
    http = {
        key: value for key, value in metrics.items() if key.startswith("dcgan_http_requests_total")
    }
    assert http == {
        'dcgan_http_requests_total{resource="images",status="200"}': 1,
        'dcgan_http_requests_total{resource="images",status="400"}': 1,
        'dcgan_http_requests_total{resource="grids",status="200"}': 1,
        'dcgan_http_requests_total{resource="walks",status="200"}': 1,
        'dcgan_http_requests_total{resource="models",status="200"}': 1,
    }
    assert metrics['dcgan_rejected_total{reason="INVALID_FIELD"}'] == 1
    assert metrics["dcgan_unread_reply_bytes"] == 0
    assert metrics['dcgan_png_images{model="tiny"}'] == 0


@pytest.mark.slow
def test_grpc_and_http_share_a_cache(get, start_server, only, read_metrics):
    with start_server(only("tiny"), "--cache-bytes", "1000000") as server:
        with grpc.insecure_channel(server.target) as channel:
            request = pb.GenerateRequest(seed=7, n=3, format=pb.IMAGE_FORMAT_PNG)
            first = GeneratorServiceStub(channel).Generate(request)
            contents = [get(f"{TINY}/images/7.png?index={i}", to=server).content for i in range(4)]
            request.n = 4
            second = GeneratorServiceStub(channel).Generate(request)
        assert contents[:3] == list(first.png)
        assert contents == list(second.png)
        metrics = read_metrics(server)

    assert metrics['dcgan_images_total{model="tiny"}'] == 4
    assert metrics["dcgan_cache_hits_total"] == 3 + 4
    assert metrics["dcgan_cache_misses_total"] == 3 + 1
    assert metrics["dcgan_cache_bytes"] == sum(map(len, contents))


@pytest.mark.slow
def test_each_request_is_logged_unless_told_not_to(get, start_server, only):
    with start_server(only("tiny"), "--log-format", "text") as server:
        get("/nothing?a=%0A", to=server, x_request_id="abc-4")
    (line,) = (line for line in server.log[0].splitlines() if "abc-4" in line)
    assert " INFO dcgan.serving.http.access: GET /nothing?a=%0A 404 " in line
    with start_server(only("tiny"), "--no-http-access-log") as server:
        get("/nothing", to=server, x_request_id="abc-5")
    assert "abc-5" not in server.log[0]


@pytest.mark.slow
def test_http_can_be_left_out(start_server, only):
    with start_server(only("tiny"), "--no-http") as server:
        assert server.report.http_address is None


@pytest.mark.slow
def test_workers_share_the_port(get, start_server, only):
    with start_server(only("tiny"), "--workers", "2", "--intra-op-threads", "1") as server:
        contents = {get(f"{TINY}/images/7.png", to=server).content for _ in range(20)}
    assert len(contents) == 1
