"""Throughput and latency of the service compared with alternatives.

    python benchmarks/bench_alternatives.py [--quick] [--triton-python triton/bin/python]
        [--out benchmarks/results/alternatives.json]

The network of `dcgan64-seed` is served by a gRPC handler around PyTorch, by one around ONNX
Runtime, by NVIDIA Triton (in its own environment, see `triton_server.py`; left out, and marked so,
without one) and by `dcgan-serve`. All servers run, and take turns in several rounds; a figure is
the best of its rounds. The client runs on the same machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from servers import describe_machine, load, serving, split, started

HERE = Path(__file__).parent
LOADS = ((1, 32), (16, 8), (64, 4))  # images of a request, callers
Measure = Callable[[str, int, int, float], dict[str, float]]


def main() -> None:
    """Measures every server and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works"
    )
    parser.add_argument(
        "--triton-python", type=Path, help="interpreter of an environment with nvidia-pytriton"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "alternatives.json")
    parser.add_argument(
        "--note", default="", help="what a reader of the figures should know, e.g. what else ran"
    )
    arguments = parser.parse_args()

    rounds, seconds = (1, 0.5) if arguments.quick else (3, 3.0)
    with tempfile.TemporaryDirectory() as folder:
        rows = contenders(prepare(Path(folder)), arguments.triton_python)
        table = measure_all(rows, rounds, seconds)

    document = {
        "machine": describe_machine(),
        "rounds": rounds,
        "seconds": seconds,
        "note": arguments.note,
        "triton": "measured" if arguments.triton_python else "not measured",
        "servers": table,
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(table, indent=2))


def prepare(folder: Path) -> Path:
    """Trains a step, and exports it in our form with int8, and in the form of the training."""
    run, repository = str(folder / "run"), str(folder / "models")
    command(
        "training", "--data", "digits", "--recipe", "dcgan64-seed", "--steps", "1", "--out", run
    )
    command("export", run, "--out", repository, "--name", "ours", "--onnx", "--int8")
    command("export", run, "--out", repository, "--name", "plain", "--onnx", "--target", "cuda")
    return folder


def contenders(folder: Path, triton: Path | None) -> dict[str, tuple[list[str], Measure]]:
    """Command line and measure of each server, by what it is."""
    models = folder / "models"
    plain, ours = (str(models / name / "1" / "generator.onnx") for name in ("plain", "ours"))
    naive = [sys.executable, str(HERE / "naive_server.py")]
    rows: dict[str, tuple[list[str], Measure]] = {
        "gRPC handler, PyTorch": ([*naive, "torch", str(folder / "run")], measure),
        "gRPC handler, ONNX Runtime, plain graph": ([*naive, "onnxruntime", plain], measure),
    }

    if triton is not None:
        program = [str(triton.absolute()), str(HERE / "triton_server.py")]
        ask = measure_with([*program, "load"])
        rows["Triton, ONNX Runtime, plain graph"] = ([*program, "serve", plain], ask)
        rows["Triton, ONNX Runtime, graph of dcgan-export"] = ([*program, "serve", ours], ask)

    rows["dcgan-serve"] = (serving(split(models, "ours")), measure)
    rows["dcgan-serve --precision int8"] = (
        serving(split(models, "ours"), "--precision", "int8"),
        measure,
    )
    return rows


def measure_all(
    rows: dict[str, tuple[list[str], Measure]], rounds: int, seconds: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Returns the best of several rounds for each server and load."""
    best: dict[str, dict[str, dict[str, float]]] = {name: {} for name in rows}
    with ExitStack() as stack:
        targets = {
            name: stack.enter_context(started(server))[0] for name, (server, _) in rows.items()
        }

        for _ in range(rounds):
            for n, callers in LOADS:
                key = f"n={n} callers={callers}"
                for name, (_, ask) in rows.items():
                    row = ask(targets[name], n, callers, seconds)
                    highest = best[name].get(key, {"images_per_s": 0.0})
                    if row["images_per_s"] > highest["images_per_s"]:
                        best[name][key] = {figure: round(value, 1) for figure, value in row.items()}
    return best


def measure(target: str, n: int, callers: int, seconds: float) -> dict[str, float]:
    """Measures a server that speaks `dcgan.v1`, with our load test."""
    report = load(target, n=n, callers=callers, seconds=seconds)
    latency = {f"p{share}_ms": report.latency_ms[share] for share in ("50", "99")}
    return {"images_per_s": report.images_per_s, **latency}


def measure_with(program: list[str]) -> Measure:
    """Measures with the load test that belongs to the server."""

    def ask(target: str, n: int, callers: int, seconds: float) -> dict[str, float]:
        words = [*program, target, str(n), str(callers), str(seconds)]
        reply = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        measured: dict[str, float] = json.loads(reply)
        return measured

    return ask


def command(part: str, *arguments: str) -> None:
    """Runs one of our commands."""
    subprocess.run(
        [sys.executable, "-m", f"dcgan.{part}", *arguments], check=True, stdout=sys.stderr
    )


if __name__ == "__main__":
    main()
