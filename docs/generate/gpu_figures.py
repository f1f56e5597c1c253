"""Tables of figures measured on a GPU, from benchmarks/results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from docs.generate.markdown import cell, table
from docs.generate.results import read_result

PRECISIONS = ("fp16", "fp32")

_CLIENTS = ", clients on the same cores"


def cuda_graph_forms() -> str:
    """Returns images/s of the forms of the graph on a GPU, by batch size."""
    result = read_result("cuda-graph-forms.json")
    sizes = list(result["rows"][0]["images_per_s"])
    rows = []
    for row in result["rows"]:
        layout = ", channels last" if row["prefer_nhwc"] else ""
        name = f"{row['form']}, {row['precision']}, {row['cudnn_conv_algo_search']}{layout}"
        rates = [row["images_per_s"][size] for size in sizes]
        rows.append(
            [
                cell(name),
                *(f"{rate['on_device']:,.0f} / {rate['with_copies']:,.0f}" for rate in rates),
            ]
        )
    note = f"\n{_run(result)}.\n"
    return table(["graph", *(f"batch {size}" for size in sizes)], rows) + note


def gpu_engine() -> str:
    """Returns images/s of engines in one process, by batch size, engines and CUDA graphs."""
    result = read_result("serving-gpu.json")
    rates = result["raw"]
    rows = []
    for size, graphs in ((64, True), (256, True), (256, False), (512, True)):
        how = "CUDA graphs" if graphs else "no graphs"
        names = [
            f"{precision}, batch {size}, {engines} engines, {how}"
            for precision in PRECISIONS
            for engines in (1, 2)
        ]
        label = f"batch {size}" if graphs else f"batch {size}, without CUDA graphs"
        rows.append([label, *(f"{rates[name]:,.0f}" for name in names)])
    head = ["images/s", "fp16, 1 engine", "fp16, 2", "fp32, 1 engine", "fp32, 2"]
    return table(head, rows) + _gpu_note(result)


def gpu_served() -> str:
    """Returns images/s and latency of the service, by number of workers and load."""
    result = read_result("serving-gpu.json")
    rows = []
    for precision in PRECISIONS:
        for workers in (1, 8):
            server = f"{precision}, {workers} workers"
            for n, callers in ((64, 128), (1, 128), (1, 1)):
                load = result["served"][f"{server}, n={n}, {callers} callers"]
                rows.append(
                    [
                        f"{precision}, {_count(workers, 'worker')}",
                        f"{_count(callers, 'caller')} of n = {n}",
                        f"{load['images_per_s']:,.0f}",
                        f"{load['requests_per_s']:,.0f}",
                        f"{load['p50_ms']:.1f} / {load['p99_ms']:.1f} ms",
                        f"{load['wrong_replies']} / {load['refused_or_failed']}",
                    ]
                )
    head = ["server", "load", "images/s", "requests/s", "p50 / p99", "wrong / refused"]
    return table(head, rows) + _gpu_note(result, _CLIENTS)


def gpu_same_bytes() -> str:
    """Returns what comparing every byte of two servers on a GPU found."""
    rows = []
    result: Mapping[str, Any] = {}
    for precision in PRECISIONS:
        result = read_result(f"serving-same-bytes-gpu-{precision}.json")
        rows.append(
            [
                precision,
                f"{result['replies']:,}",
                f"{result['images']:,}",
                f"{result['called_off']:,}",
                f"{len(result['failures'])}",
                f"{result['differing_replies']}",
            ]
        )
    head = ["precision", "replies", "images", "cancelled besides", "failed", "differing replies"]
    return table(head, rows) + _gpu_note(result, _CLIENTS)


def gpu_batch_sizes() -> str:
    """Returns how many replies differed where a server had several batch sizes."""
    result = read_result("gpu-a54a341.json")
    rows = [
        [
            cell(row["server"]),
            f"{row['replies']:,}" if row["replies"] else "all",
            f"{row['differing']:,}",
        ]
        for row in result["replies"]
    ]
    note = f"\n{_run(result)}.\n"
    return table(["server, batch sizes", "replies", "differing"], rows) + note


def gpu_training() -> str:
    """Returns images/s of the training step of recipes, switch by switch."""
    result = read_result("training-gpu.json")
    recipes = result["recipes"]
    rows = []
    for name in next(iter(recipes.values()))["images_per_second"]:
        cells = []
        for recipe in recipes.values():
            rate = recipe["images_per_second"].get(name)
            if rate is None:
                cells.append("")
                continue
            ratio = rate / recipe["images_per_second"]["plain step"]
            cells.append(f"{rate:,.0f} ({ratio:.2f}), {recipe['kernels'][name]['kernels']} kernels")
        rows.append([cell(f"`{name}`" if "_" in name else name), *cells])
    return table(["step in bf16", *recipes], rows) + _training_note(result)


def gpu_training_loop() -> str:
    """Returns images/s of the seed model's step compared with the plain loop."""
    result = read_result("training-gpu.json")
    rates = result["images_per_second"]
    rows = [
        [cell(name), f"{rate:,.0f} ({rate / rates['plain loop']:.2f})"]
        for name, rate in rates.items()
        if not name.startswith("peak")
    ]
    head = ["step of `dcgan64-seed`, batch 64", "images/s (ratio)"]
    return table(head, rows) + _training_note(result)


def gpu_campaign() -> str:
    """Returns what each stage of the campaign found."""
    result = read_result("gpu-campaign.json")
    rows = []
    for stage in result["stages"]:
        found = [stage["result"]["summary"]]
        for file in stage["result"].get("gate", []):
            if file["on"] == "CUDAExecutionProvider":
                found.append(_gate_result(file))
        rows.append([f"`{stage['stage']}`", f"{stage['seconds']:.0f} s", cell("; ".join(found))])
    note = f"\n{_run(result)}, {result['host']}.\n"
    return table(["stage", "time", "result"], rows) + note


GPU_FIGURES: Mapping[str, Callable[[], str]] = {
    "cuda-graph-forms": cuda_graph_forms,
    "gpu-batch-sizes": gpu_batch_sizes,
    "gpu-campaign": gpu_campaign,
    "gpu-engine": gpu_engine,
    "gpu-same-bytes": gpu_same_bytes,
    "gpu-served": gpu_served,
    "gpu-training": gpu_training,
    "gpu-training-loop": gpu_training_loop,
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _gate_result(file: Mapping[str, Any]) -> str:
    levels = _count(file["levels"], "level")
    psnr = f", {file['psnr_db']:.1f} dB" if file["psnr_db"] else ""
    changed = file["pixels_changed_percent"]
    return f"`{file['file']}` within {levels} ({changed:.4f} % of the pixels){psnr}"


def _gpu_note(result: Mapping[str, Any], clients: str = "") -> str:
    machine = result["machine"]
    return (
        f"\n{result['gpu']}, {machine['cores']} cores of an {machine['processor']}{clients}, "
        f"ONNX Runtime {machine['libraries']['onnxruntime-gpu']}, {machine['date']}, "
        f"commit {result['commit']}.\n"
    )


def _training_note(result: Mapping[str, Any]) -> str:
    return f"\n{_run(result)}, {result['host']}, PyTorch {result['versions']['torch']}.\n"


def _run(result: Mapping[str, Any]) -> str:
    return f"{result['hardware']}, {result['date']}, commit {result['commit']}"
