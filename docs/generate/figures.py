"""Tables of measured figures, from benchmarks/results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from docs.generate.gpu_figures import GPU_FIGURES, PRECISIONS
from docs.generate.markdown import cell, table
from docs.generate.results import machine_note, read_result

_LOADS = ("n=1 callers=32", "n=16 callers=8", "n=64 callers=4")
_LOAD_NAMES = ("32 callers of n = 1", "8 callers of n = 16", "4 callers of n = 64")


def alternatives() -> str:
    """Returns images/s of dcgan-serve compared with other ways to serve the same network."""
    result = read_result("alternatives.json")
    rows = [
        [cell(server), *(f"{loads[load]['images_per_s']:,.0f}" for load in _LOADS)]
        for server, loads in result["servers"].items()
    ]
    return table(["server, images/s", *_LOAD_NAMES], rows) + machine_note(result["machine"])


def serving() -> str:
    """Returns images/s through the service compared with bare ONNX Runtime sessions."""
    result = read_result("serving.json")
    rates = result["images_per_s"]
    pools = ("one session", "as served")

    bare = [rates[f"raw batch=64, {pool}"] for pool in pools]
    rows = [["bare session, batch 64", f"{bare[0]:,.0f} / {bare[1]:,.0f}", "1", "1"]]
    for load, name in zip(_LOADS, _LOAD_NAMES, strict=True):
        n = load.partition(" ")[0].removeprefix("n=")
        beside = "raw best batch" if n == "1" else f"raw batch={n}"
        ratios = [f"{result['claims'][f'served n={n} / {beside}, {pool}']:.2f}" for pool in pools]
        rows.append([name, f"{rates[f'served {load}']:,.0f}", *ratios])

    head = ["load", "images/s", "ratio to one session", "ratio to the same engines"]
    return table(head, rows) + machine_note(result["machine"])


def serving_latency() -> str:
    """Returns latency, start-up, fairness and overload of one server."""
    result = read_result("serving.json")
    idle = result["latency_ms"]["served n=1 callers=1"]
    extra = result["claims"]["idle p50 over echo p50 and raw after a pause, ms"]
    overload = result["overload"]
    rows = [
        ["idle server, n = 1: p50 / p99", f"{idle['50']:.1f} / {idle['99']:.1f} ms"],
        ["of which the service itself (p50, beyond RPC and session)", f"{extra:.1f} ms"],
        ["start of the process to ready", f"{result['ready_s']:.1f} s"],
        [
            "p99 of n = 1 beside a client that streams 1,024 / beside others of n = 1",
            f"{result['fairness']['ratio']:.2f}",
        ],
        ["goodput at 2x the capacity / peak", f"{100 * overload['goodput_at_2x']:.0f} %"],
        ["goodput at 5x the capacity / peak", f"{100 * overload['goodput_at_5x']:.0f} %"],
    ]
    return table(["measure", "value"], rows)


def serving_one_image() -> str:
    """Returns how requests of one image compare with the bare session and an empty RPC."""
    result = read_result("serving-one-image.json")
    ratios = {name: values[1] for name, values in result["ratios"].items()}
    apart = ratios["idle p50 over echo and raw, ms"]
    in_turn = ratios["idle p50 over echo and raw in turn, ms"]
    null = ratios["idle null p50 over echo, ms"]
    rows = [
        ["served / bare session in batches of 64", f"{ratios['served x 32 / raw']:.2f}"],
        ["if it cost only an empty RPC", f"{ratios['ceiling x 32 / raw']:.2f}"],
        ["idle server: p50 beyond an empty RPC and the session", f"{apart:.2f} ms"],
        ["beyond both in turn, which cool each other's caches", f"{in_turn:.2f} ms"],
        ["a graph that computes nothing: p50 beyond an empty RPC", f"{null:.2f} ms"],
    ]
    rounds = f"\nMedian of {result['rounds']} rounds. "
    return table(["n = 1", "value"], rows) + rounds + machine_note(result["machine"]).lstrip()


def serving_options() -> str:
    """Returns what engines, threads and batch sizes change."""
    result = read_result("serving-options.json")
    measures = list(next(iter(result["table"].values())))
    rows = [
        [cell(name), *(f"{values[measure]:,.4g}" for measure in measures)]
        for name, values in result["table"].items()
    ]
    return table(["server", *map(cell, measures)], rows) + machine_note(result["machine"])


def http() -> str:
    """Returns rates of HTTP beside gRPC."""
    result = read_result("http.json")
    rates = result["requests_per_s"]
    claims = result["claims"]
    proxy = result["proxy"]
    p99 = result["grpc_p99_ms"]
    rows = [[cell(name), f"{rate:,.0f} requests/s"] for name, rate in rates.items()]
    rows += [
        ["HTTP PNG / gRPC PNG", f"{claims['HTTP PNG / gRPC PNG']:.2f}"],
        ["304 / PNG over HTTP", f"{claims['304 / PNG']:.1f}"],
        [
            f"{proxy['addresses']} addresses twice through a caching nginx: requests to the server",
            f"{proxy['first round']}, then {proxy['second round']}",
        ],
        [
            f"p99 of gRPC without / with {p99['connections']:,} idle HTTP connections",
            f"{p99['without']:.1f} ms / {p99['with']:.1f} ms",
        ],
    ]
    head = ["measure", f"{result['model']}, {', '.join(result['tools'])}"]
    return table(head, rows) + machine_note(result["machine"])


def endurance() -> str:
    """Returns what was counted in the soak test and in the comparison of bytes."""
    soak = read_result("serving-soak.json")
    same = read_result("serving-same-bytes.json")
    kills = read_result("kills.json")
    rows = [
        [
            "random requests to two servers of different settings, one of them restarted",
            f"{same['replies']:,} replies, {same['images']:,} images, "
            f"{same['differing_bytes']} bytes differ",
        ],
        ["of these cancelled half-way", f"{same['called_off']:,}"],
        [
            f"mixed load for {soak['minutes']:.0f} minutes, growth of memory",
            f"{soak['rss_slope_mb_per_min']:.2f} MB a minute",
        ],
        [
            f"`kill -9` of a training run at random, {len(kills['killed_at_steps'])} times",
            f"{kills['files_compared']} files compared with an uninterrupted run, "
            f"{len(kills['files_that_differ'])} differ",
        ],
    ]
    return table(["what was done", "result"], rows)


def graphs() -> str:
    """Returns images/s of the exported graphs in a bare session."""
    one = read_result("export-cpu-1-thread.json")
    two = read_result("export-cpu-2-threads.json")
    plain = "plain, fp32"
    rows = []
    for form, quality in two["candidates"].items():
        rates = [_graph_rate(result, form) for result in (one, two)]
        ratios = [
            rate / _graph_rate(result, plain)
            for rate, result in zip(rates, (one, two), strict=True)
        ]
        rows.append(
            [
                cell(form),
                *(f"{rate:,.0f} ({ratio:.2f})" for rate, ratio in zip(rates, ratios, strict=True)),
                f"{quality['psnr_db_dcgan64-tiny']:.1f} dB",
                f"{quality['bytes'] / 2**20:.1f} MiB",
            ]
        )
    head = ["graph", "1 thread", "2 threads", "PSNR on `dcgan64-tiny`", "file"]
    note = f"\nImages/s at batch 16 (ratio to the plain graph). {two['hardware']}, {two['date']}.\n"
    return table(head, rows) + note


def training() -> str:
    """Returns images/s of the training step, switch by switch, on each machine measured."""
    results = [read_result(name) for name in ("training.json", "training-amx.json")]
    names = [name for name in results[0]["images_per_second"] if not name.startswith("peak")]
    rows = []
    for name in names:
        cells = []
        for result in results:
            rates = result["images_per_second"]
            rate = rates.get(name)
            cells.append(f"{rate:.0f} ({rate / rates['plain loop']:.2f})" if rate else "")
        rows.append([cell(name), *cells])
    head = ["step of `dcgan64-seed`, batch 64", *(cell(result["hardware"]) for result in results)]
    return table(head, rows)


def quality(name: str) -> str:
    """Returns distances from the data in the features of a small classifier."""
    result = read_result(name)
    rows = [[cell(model), f"{value:.2f}"] for model, value in result["distance"].items()]
    note = f"\n{result['images']:,} images of each; {result['data']}; {result['date']}.\n"
    return table(["images", "distance"], rows) + note


def training_quality() -> str:
    """Returns KD-Lite0 after short trainings with changed recipes."""
    result = read_result("training-quality.json")
    settings = result["settings"]
    rows = []
    for change, distances in result["kernel_distance"].items():
        values = sorted(1000 * distance for distance in distances.values())
        mean = sum(values) / len(values)
        rows.append([cell(change), f"{mean:.1f}", ", ".join(f"{value:.1f}" for value in values)])
    note = (
        f"\n{settings['recipe']} at width {settings['width']}, {settings['images']:,} images each, "
        f"n={settings['judged']:,}, {settings['data']}; standard error of one evaluation at most "
        f"{1000 * result['standard_error']:.1f}; {result['hardware']}, {result['date']}.\n"
    )
    return table(["recipe", "KD-Lite0 x1000, mean", "each seed"], rows) + note


def jpeg_cost() -> str:
    """Returns distances from real images that were never compressed."""
    result = read_result("jpeg-cost.json")
    rows = []
    for name, row in result["against images without loss"].items():
        distance = f"{row['kd_lite0_x1000']:.2f} ± {row['standard_error']:.2f}"
        shares = [f"{row[measure]:.3f}" for measure in ("precision", "recall", "coverage")]
        rows.append([cell(name), distance, f"{row['fd']:.2f}", *shares])
    head = [f"{result['images']:,} images each", "KD-Lite0 x1000", "FD-Lite0"]
    return table([*head, "precision", "recall", "coverage"], rows)


def headline() -> str:
    """Returns the table of the README: one line for each claim."""
    servers = read_result("alternatives.json")["servers"]
    steps = read_result("training.json")["images_per_second"]
    same = read_result("serving-same-bytes.json")
    kills = read_result("kills.json")
    gpu_load = read_result("serving-gpu.json")["served"]["fp16, 8 workers, n=64, 128 callers"]
    gpu_steps = read_result("training-gpu.json")
    gpu_step = gpu_steps["recipes"]["dcgan64-seed, batch 64"]["images_per_second"]
    gpu_same = [read_result(f"serving-same-bytes-gpu-{precision}.json") for precision in PRECISIONS]

    def rate(server: str) -> str:
        return f"{servers[server]['n=64 callers=4']['images_per_s']:,.0f} images/s"

    rows = [
        ["`dcgan-serve`, fp32, 2 cores", rate("dcgan-serve")],
        ["`dcgan-serve --precision int8`", rate("dcgan-serve --precision int8")],
        [
            "Triton (Python backend), plain graph, same cores",
            rate("Triton, ONNX Runtime, plain graph"),
        ],
        [
            "hand-written gRPC handler with PyTorch, same cores",
            rate("gRPC handler, PyTorch"),
        ],
        [
            "training step in bf16 / plain PyTorch loop",
            f"{steps['all of them in bf16']:.0f} / {steps['plain loop']:.0f} images/s",
        ],
        [
            "random requests to two servers, one of them restarted",
            f"{same['replies']:,} replies, {same['differing_bytes']} bytes differ",
        ],
        [
            f"`kill -9` of training, {len(kills['killed_at_steps'])} times, then resumed",
            f"{kills['files_compared']} files, {len(kills['files_that_differ'])} differ",
        ],
        [
            "one H100: `dcgan-serve`, fp16, 8 workers, 128 callers of 64",
            f"{gpu_load['images_per_s']:,.0f} images/s",
        ],
        [
            "one H100: random requests to two servers, fp16 and fp32",
            f"{sum(each['replies'] for each in gpu_same):,} replies, "
            f"{sum(each['differing_bytes'] for each in gpu_same)} bytes differ",
        ],
        [
            "one H100: compiled training step in bf16 / plain PyTorch loop",
            f"{gpu_step['all of them, compiled']:,.0f} / "
            f"{gpu_steps['images_per_second']['plain loop']:,.0f} images/s",
        ],
    ]
    return table(["measured", "result"], rows)


FIGURES: Mapping[str, Callable[[], str]] = {
    "alternatives": alternatives,
    "endurance": endurance,
    "graphs": graphs,
    "headline": headline,
    "http": http,
    "jpeg-cost": jpeg_cost,
    "quality-32": lambda: quality("quality-32x32.json"),
    "quality-64": lambda: quality("quality.json"),
    "serving": serving,
    "serving-one-image": serving_one_image,
    "serving-latency": serving_latency,
    "serving-options": serving_options,
    "training": training,
    "training-quality": training_quality,
    **GPU_FIGURES,
}


def _graph_rate(result: Mapping[str, Any], form: str) -> float:
    rates: Mapping[str, float] = result["speed"]["CPUExecutionProvider"][form]
    return rates["images_per_s_batch_16"]
