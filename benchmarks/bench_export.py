"""Speed, size and error of each form of the ONNX graph, in each precision.

    python benchmarks/bench_export.py [--width 64] [--threads 2] [--seconds 0.6]
        [--out results/export.json]

Speed is that of the bare session on the shape of the seed model. Its weights are random, because
speed does not depend on them. Error is against the plain float32 graph in grey levels, on the
random network and on the shipped model, which was trained. The forms take turns, several times,
and the best turn of each counts, so that a disturbance affects all alike. ONNX Runtime's profile
by kind of node comes last: of the plain graph, and of int8 before and after its last change.

A float graph with channels last is not a candidate: the standard operators have no convolution for
it (the runtime's NHWC kernels on the CPU are for int8, where it chooses them itself, and float16).
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import click
import graph_forms
import onnx
import onnxruntime as ort
import torch

from dcgan.core import noise
from dcgan.core.hardware import processor_family, processor_name
from dcgan.core.onnx_session import CPU, CUDA, available_providers, cuda_options
from dcgan.export.formats.onnx_file import read_onnx_weights
from dcgan.export.graph.fold import FoldedGenerator, fold, round_to_float16
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_onnx
from dcgan.export.int8.search import find_plan
from dcgan.export.verify.quality import compare_quality
from dcgan.training.models.network_config import GeneratorConfig
from dcgan.training.models.networks import Generator, init_weights
from dcgan.zoo.repository import SHIPPED, find_release

ROUNDS = 5
BATCHES = (1, 16, 64)
PROFILED = (
    "plain, fp32",
    "as exported, fp32",
    "int8 of 0.1.0 (float head and tail)",
    "as exported, int8",
)


def random_network(width: int) -> FoldedGenerator:
    """A folded generator of the seed model's shape, with activations as large as after training."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(image_size=64, channels=3, latent_size=100, width=width))
    init_weights(generator)
    with torch.no_grad():
        for _ in range(20):  # fills the statistics of batch normalisation
            generator(torch.randn(64, 100))
    return fold(generator.eval())


def trained_network() -> FoldedGenerator:
    """Returns the shipped model, read back from its ONNX file."""
    return read_onnx_weights(find_release(SHIPPED, "dcgan64-tiny").folder / "generator.onnx")


def candidates(network: FoldedGenerator) -> dict[str, bytes]:
    """Each graph by name; the plain one, which is the denominator, first."""
    plan = find_plan(network)

    def exported(**how: object) -> onnx.ModelProto:
        return build_onnx(network, **how)  # type: ignore[arg-type]

    def float16() -> onnx.ModelProto:
        rounded = round_to_float16(network)
        return build_onnx(rounded, form=PLAIN, float16_weights=True, float16_compute=True)

    models = {
        "plain, fp32": exported(form=PLAIN),
        "plain but for a Gemm first, fp32": graph_forms.plain_with_gemm(network),
        "2x2 on a larger grid, DepthToSpace, fp32": graph_forms.joined(
            network, depth_to_space=True
        ),
        "2x2 on a larger grid, pixels moved, fp32": graph_forms.joined(
            network, depth_to_space=False
        ),
        "four phases, first layer a convolution, fp32": graph_forms.first_as_convolution(
            network, exported()
        ),
        "four phases of 0.1.0 (DepthToSpace on floats), fp32": graph_forms.float_tail(
            network, None
        ),
        "as exported, fp32": exported(form=SUBPIXEL),
        "as exported, fp16": float16(),
        "int8 of 0.1.0 (float head and tail)": graph_forms.float_tail(network, plan),
        "int8, float head": exported(plan=graph_forms.head_in_float(plan)),
        "as exported, int8": exported(plan=plan),
    }
    return {name: model.SerializeToString(deterministic=True) for name, model in models.items()}


def session(
    model: bytes, threads: int, profile: Path | None = None, provider: str = CPU
) -> ort.InferenceSession:
    """Opens a session of a graph with a number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if provider == CUDA:  # what has no kernel there is refused, and does not fall back in silence
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(
        model,
        options,
        providers=[(provider, cuda_options("fp32")) if provider == CUDA else provider],
    )


def images_per_second(running: ort.InferenceSession, batch: int, seconds: float) -> float:
    """Returns the best of many batches: what the graph can do while nothing disturbs it."""
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
    kinds: defaultdict[str, float] = defaultdict(float)
    for (kind, _), microseconds in best.items():
        kinds[kind] += microseconds
    most_first = sorted(kinds.items(), key=lambda item: -item[1])
    return {kind: round(microseconds, 1) for kind, microseconds in most_first}


def errors(models: dict[str, bytes], label: str) -> dict[str, dict[str, float]]:
    """How far each graph's images are from those of the first, over 256 of them."""
    z = noise.latents(0, 0, 256, 100)
    images = {name: session(model, 1).run(None, {"z": z})[0] for name, model in models.items()}
    plain = next(iter(images.values()))
    return {
        name: {
            f"psnr_db_{label}": round(quality.psnr, 1),
            f"max_levels_{label}": quality.max_levels,
        }
        for name, quality in ((name, compare_quality(each, plain)) for name, each in images.items())
    }


def speeds(
    models: dict[str, bytes], provider: str, threads: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Images/s of each graph and batch size, without graphs that the provider has no kernel for."""
    sessions = {}
    for name, model in models.items():
        try:
            sessions[name] = session(model, threads, provider=provider)
        except Exception as error:
            if provider == CPU:
                raise
            print(f"{name} does not run on {provider}: {str(error).partition(chr(10))[0]:.200}")
    rows: dict[str, dict[str, float]] = {name: {} for name in sessions}
    for batch in BATCHES:
        best = dict.fromkeys(sessions, 0.0)
        for _ in range(ROUNDS):
            for name, running in sessions.items():
                best[name] = max(best[name], images_per_second(running, batch, seconds))
        for name, rate in best.items():
            rows[name][f"images_per_s_batch_{batch}"] = round(rate, 1)
    return rows


@click.command()
@click.option("--width", default=64, help="Channels of the last hidden layer.")
@click.option("--threads", default=2, help="Of each session.")
@click.option("--seconds", default=0.6, help="For each candidate, batch and round.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the results.")
def main(width: int, threads: int, seconds: float, out: Path | None) -> None:
    """Measure every form of the graph in one run."""
    torch.set_num_threads(threads)
    models = candidates(random_network(width))
    close = [
        errors(models, "random_weights"),
        errors(candidates(trained_network()), "dcgan64-tiny"),
    ]
    rows = {
        name: {"bytes": len(model)}
        | {key: value for error in close for key, value in error[name].items()}
        for name, model in models.items()
    }
    result = {
        "what": f"bare ONNX Runtime session, {threads} threads, "
        f"seed model's shape at width {width}",
        "hardware": f"{processor_name()} ({processor_family(CPU)})",
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"onnxruntime": ort.__version__, "python": platform.python_version()},
        "candidates": rows,
        "speed": {
            provider: speeds(models, provider, threads, seconds)
            for provider in available_providers()
        },
        "not_measured": {} if CUDA in available_providers() else {CUDA: "no GPU at hand"},
        "profile_us_per_image_one_thread": {name: profile_of(models[name], 1) for name in PROFILED},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")


if __name__ == "__main__":
    main()
