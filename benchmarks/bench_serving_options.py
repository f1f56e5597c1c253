"""Effect of each option of the engine: threads, engines, spinning, batch size and quantum.

    python benchmarks/bench_serving_options.py [--quick] [--rounds 2] [--only defaults "2 workers"]
        [--out benchmarks/results/serving-options.json]

One option at a time differs from the defaults on this machine. The servers take turns; each figure
is the best of its rounds. The client runs on the same machine. `p99 beside 1024` is that of single
images beside a client that streams 1,024 at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path

from overload import beside_1024
from servers import describe_machine, load, serving, split, started
from serving_models import publish_models

DEFAULT = "defaults"
CORES = len(os.sched_getaffinity(0))
OPTIONS = {
    DEFAULT: "",
    f"1 engine of {CORES} threads": f"--instances 1 --intra-op-threads {CORES}",
    f"1 engine of {CORES} threads, spinning": (
        f"--instances 1 --intra-op-threads {CORES} --spinning"
    ),
    "1 engine of 1 thread": "--instances 1 --intra-op-threads 1",
    f"{2 * CORES} engines of 1 thread": f"--instances {2 * CORES} --intra-op-threads 1",
    **{f"max batch {n}": f"--max-batch-size {n}" for n in (4, 8, 32, 64)},
    **{f"quantum {n}": f"--quantum-images {n}" for n in (1, 4)},
    "2 workers": "--workers 2",
    "event loop of asyncio": "--event-loop asyncio",
}


def main() -> None:
    """Measures the server under each set of options and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=OPTIONS, default=list(OPTIONS), metavar="ROW")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "serving-options.json"
    )
    arguments = parser.parse_args()

    rounds, seconds = (1, 0.3) if arguments.quick else (arguments.rounds, 1.2)
    wanted = {name: OPTIONS[name] for name in arguments.only}
    with tempfile.TemporaryDirectory() as folder:
        publish_models(Path(folder))
        rows = measure(split(Path(folder), "dcgan64"), wanted, rounds, seconds)

    document = {
        "machine": describe_machine(),
        "rounds": rounds,
        "seconds": seconds,
        "options": wanted,
        "table": rows,
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    for name, row in rows.items():
        print(f"{name:<28}", *(f"{key} {value:>8}" for key, value in row.items()), sep="  ")


def measure(
    repository: Path, wanted: dict[str, str], rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Measures every set of options in turn, several times."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in wanted}
    for _ in range(rounds):
        for name, options in wanted.items():
            command = serving(repository, "--log-level", "warning", *options.split())
            with started(command) as (target, _):
                found[name].append(figures(target, seconds))
    return {name: {key: best(key, rows) for key in rows[0]} for name, rows in found.items()}


def figures(target: str, seconds: float) -> dict[str, float]:
    """Measures throughput, idle latency, and latency during a large stream."""
    rates = {
        f"n={n} x {callers}": load(target, n=n, callers=callers, seconds=seconds).images_per_s
        for n, callers in ((1, 32), (16, 8), (64, 4))
    }
    idle = load(target, n=1, callers=1, seconds=seconds).latency_ms["50"]
    return {
        **rates,
        "idle p50 ms": idle,
        "p99 beside 1024 ms": asyncio.run(beside_1024(target, 2 * seconds))["99"],
    }


def best(key: str, rows: list[dict[str, float]]) -> float:
    """Returns the best value of a figure: the least time, or the highest rate."""
    choose = min if key.endswith("ms") else max
    return round(choose(row[key] for row in rows), 2 if key.endswith("ms") else 0)


if __name__ == "__main__":
    main()
