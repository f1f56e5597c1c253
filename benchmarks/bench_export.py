"""Which form of the ONNX graph is fastest: images/s of the bare session for each form, precision and batch.

    python benchmarks/bench_export.py [--width 64] [--threads 2] [--seconds 0.6] [--out results/export.json]

The weights are drawn at random, with the shape of the seed model: speed does not depend on them, but the PSNR of int8
does, and is to be taken from the parity table of a trained model instead. Every form runs in
turn, several times over, and its best turn counts, so that a disturbance hits all alike. The table's last lines are
ONNX Runtime's own profile of the plain and the int8 graph: where the time went, and where it goes.
"""

from __future__ import annotations

import collections
import json
import platform
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import onnxruntime as ort
import torch

from dcgan.export.calibrate import activation_scales
from dcgan.export.fold import Folded, fold
from dcgan.export.onnx_graph import PLAIN, SUBPIXEL, build_graph
from dcgan.training.networks import Generator, GeneratorConfig, initialise
from dcgan.zoo import noise
from dcgan.zoo.processor import processor_family, processor_name

ROUNDS = 5


def random_network(width: int) -> Folded:
    """A folded generator of the seed model's shape, its activations of the size that training gives them."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(image_size=64, channels=3, latent_size=100, width=width))
    initialise(generator)
    with torch.no_grad():
        for _ in range(20):  # fills the statistics of batch normalisation
            generator(torch.randn(64, 100))
    return fold(generator.eval())


def candidates(network: Folded) -> dict[str, bytes]:
    """Each graph by name; the plain one, which is the denominator, first."""
    common = {"facts": "{}", "half_weights": False}
    models = {
        "plain fp32": build_graph(network, form=PLAIN, **common),
        "subpixel fp32": build_graph(network, form=SUBPIXEL, **common),
        "subpixel int8": build_graph(network, scales=activation_scales(network), **common),
    }
    return {name: model.SerializeToString(deterministic=True) for name, model in models.items()}


def session(model: bytes, threads: int, profile: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def images_per_second(running: ort.InferenceSession, batch: int, seconds: float) -> float:
    """The best of many batches: what the graph can do while nothing disturbs it."""
    z = noise.latents(0, 0, batch, 100)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        running.run(None, {"z": z})
        best = min(best, time.perf_counter() - start)
    return batch / best


def profile_of(model: bytes, threads: int) -> dict[str, float]:
    """Microseconds an image for each kind of node, most first; each node's quickest run counts."""
    with tempfile.TemporaryDirectory() as folder:
        running = session(model, threads, Path(folder) / "profile")
        z = noise.latents(0, 0, 16, 100)
        for _ in range(20):
            running.run(None, {"z": z})
        events = json.loads(Path(running.end_profiling()).read_text())
    best: dict[tuple[str, str], float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = (event["args"]["op_name"], event["name"])
            best[key] = min(best.get(key, float("inf")), event["dur"] / len(z))
    kinds: collections.Counter[str] = collections.Counter()
    for (kind, _), microseconds in best.items():
        kinds[kind] += microseconds
    return {kind: round(microseconds, 1) for kind, microseconds in kinds.most_common()}


def difference(images: np.ndarray, plain: np.ndarray) -> dict[str, float]:
    gap = images.astype(np.int32) - plain
    mean_square = float((gap**2).mean())
    psnr = 10 * np.log10(255**2 / mean_square) if mean_square else 100.0
    return {"psnr_db": round(psnr, 1), "max_levels": int(np.abs(gap).max())}


@click.command()
@click.option("--width", default=64, help="Channels of the last hidden layer.")
@click.option("--threads", default=2, help="Of each session.")
@click.option("--seconds", default=0.6, help="For each candidate, batch and round.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the results.")
def main(width: int, threads: int, seconds: float, out: Path | None) -> None:
    """Measure every form of the graph in one run."""
    torch.set_num_threads(threads)
    models = candidates(random_network(width))
    sessions = {name: session(model, threads) for name, model in models.items()}
    z = noise.latents(0, 0, 256, 100)
    plain = sessions["plain fp32"].run(None, {"z": z})[0].astype(np.int32)
    rows = {
        name: {"bytes": len(models[name]), **difference(running.run(None, {"z": z})[0], plain)}
        for name, running in sessions.items()
    }
    for batch in (1, 16, 64):
        best = dict.fromkeys(sessions, 0.0)
        for _ in range(ROUNDS):
            for name, running in sessions.items():
                best[name] = max(best[name], images_per_second(running, batch, seconds))
        for name, rate in best.items():
            rows[name][f"images_per_s_batch_{batch}"] = round(rate, 1)
    result = {
        "what": f"bare ONNX Runtime session on the CPU, {threads} threads, seed model's shape at width {width}",
        "hardware": f"{processor_name()} ({processor_family('CPUExecutionProvider')})",
        "versions": {"onnxruntime": ort.__version__, "python": platform.python_version()},
        "candidates": rows,
        "profile_us_per_image_one_thread": {
            name: profile_of(models[name], 1) for name in ("plain fp32", "subpixel fp32", "subpixel int8")
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")


if __name__ == "__main__":
    main()
