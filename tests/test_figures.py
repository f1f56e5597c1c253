"""The figures that the README and the docs quote are those of the result files: who measures anew has to say so."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = "docs/training/recipes.md"
LONG = "docs/training/long-runs.md"
README = "README.md"
LOADS = ("n=1 callers=32", "n=16 callers=8", "n=64 callers=4")
SERVERS = {  # as the README calls them, by their names in the file
    "gRPC handler, PyTorch": "gRPC handler, PyTorch",
    "gRPC handler, ONNX Runtime, plain graph": "gRPC handler, ONNX Runtime, plain graph",
    "Triton, ONNX Runtime, plain graph": "Triton, ONNX Runtime, plain graph",
    "Triton, ONNX Runtime, graph of dcgan-export": "Triton, ONNX Runtime, the graph of `dcgan-export`",
    "dcgan-serve": "`dcgan-serve`",
    "dcgan-serve --precision int8": "`dcgan-serve --precision int8`",
}


def read(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / name).read_text())


def training() -> list[tuple[str, str]]:
    rates = read("training.json")["images_per_second"]
    plain, fp32, bf16 = (
        rates[name] for name in ("plain loop", "all of them in fp32", "all of them in bf16")
    )
    peak, compiled = (
        rates["peak of matrix products in bf16, ours"],
        rates["all of them in bf16, compiled"],
    )
    return [
        (
            README,
            f"{plain:.0f} images/s by the plain PyTorch loop, {fp32:.0f} in fp32 ({fp32 / plain:.1f} times)",
        ),
        (README, f"{bf16:.0f} in bf16 ({bf16 / plain:.1f} times"),
        (
            RECIPES,
            f"in bf16 makes {bf16:.0f} images/s, {bf16 / plain:.1f} times the {plain:.0f} of the plain loop",
        ),
        (RECIPES, f"{fp32:.0f} in fp32, {fp32 / plain:.1f} times"),
        (RECIPES, f"product with as many multiplications as our step makes {peak:.0f} images/s"),
        (RECIPES, f"`torch.compile` does not help: {compiled:.0f} images/s"),
    ]


def training_amx() -> list[tuple[str, str]]:
    rates = read("training-amx.json")["images_per_second"]
    plain, bf16 = rates["plain loop"], rates["all of them in bf16"]
    return [
        (
            README,
            f"{plain:.0f} images/s by the plain loop, {bf16:.0f} in bf16 ({bf16 / plain:.1f} times)",
        ),
        (
            RECIPES,
            f"in bf16 makes {bf16:.0f} images/s, {bf16 / plain:.1f} times the {plain:.0f} of the plain loop",
        ),
    ]


def serving() -> list[tuple[str, str]]:
    found = read("serving.json")
    rates, claims, fair, over = (
        found[name] for name in ("images_per_s", "claims", "fairness", "overload")
    )
    one, two = "one session", "as served"
    bare = ", ".join(f"{rates[f'raw batch=64, {pool}']:,.0f}" for pool in (one, two))
    rows = [f"| bare, batch 64, no server | {bare} | 1 | 1 |"]
    for n, callers, beside in ((64, 4, "64"), (16, 8, "16"), (1, 32, None)):
        rate = rates[f"served n={n} callers={callers}"]
        what = f"batch={beside}" if beside else "best batch"
        ratios = " | ".join(
            f"{claims[f'served n={n} / raw {what}, {pool}']:.2f}" for pool in (one, two)
        )
        rows.append(f"| {callers} callers of n = {n} | {rate:,.0f} | {ratios} |")
    idle = min(value for name, value in claims.items() if name.startswith("idle"))
    rows += [
        f"answers n = 1 in {found['latency_ms']['served n=1 callers=1']['50']:.1f} ms",
        f"{idle:.1f} ms more than the bare RPC and the bare session together",
        f"From start to ready: {found['ready_s']:.1f} s",
        f"{fair['ratio']:.1f} times the p99",
        f"{100 * over['goodput_at_2x']:.0f} % of its best, at five times {100 * over['goodput_at_5x']:.0f} %",
    ]
    return [(README, row) for row in rows]


def alternatives() -> list[tuple[str, str]]:
    servers = read("alternatives.json")["servers"]
    rows = []
    for name, told in SERVERS.items():
        rates = " | ".join(f"{servers[name][load]['images_per_s']:,.0f}" for load in LOADS)
        rows.append((README, f"| {told} | {rates} |"))
    return rows


def quality() -> list[tuple[str, str]]:
    distance = read("quality.json")["distance"]
    ours, half, seed, before = (
        distance[f"{name} version 1"]
        for name in ("dcgan64", "dcgan64-augmented", "dcgan64-seed", "dcgan64-slow-d")
    )
    return [
        (LONG, f"| real, enlarged | {distance['other real images, 64x64']:.2f} |"),
        (LONG, f"| **`dcgan64`** | **{ours:.2f}** |"),
        (LONG, f"(`--set augment_below=0`) | {half:.2f} |"),
        (LONG, f"| `dcgan64-seed` | {seed:.2f} |"),
        (LONG, f"D's rate 1e-4, all images augmented | {before:.2f} |"),
        (README, f"nearer to the data than the classic one ({ours:.2f} against {seed:.2f})"),
    ]


def quality_32() -> list[tuple[str, str]]:
    found = read("quality-32x32.json")["distance"]
    rows = {
        "G 2e-4, D 4e-4, all augmented": "| 2e-4 | 4e-4 | all images |",
        "G 2e-4, D 4e-4, none augmented": "| 2e-4 | 4e-4 | none |",
        "both 2e-4, none augmented": "| 2e-4 | 2e-4 | none |",
        "both 4e-4, none augmented": "| 4e-4 | 4e-4 | none |",
        "both 8e-4, none augmented": "| 8e-4 | 8e-4 | none |",
    }
    long = found["both 4e-4, half augmented, fifty epochs"]
    short = found["both 4e-4, half augmented"]
    told = (
        LONG,
        f"distance from the data is {long:.2f}, where it was {short:.2f} in a run of 2,000 batches",
    )
    best = (
        f"| **4e-4** | **4e-4** | **half of them** | **{found['both 4e-4, half augmented']:.2f}** |"
    )
    return [
        told,
        (RECIPES, best),
        *((RECIPES, f"{row} {found[name]:.2f} |") for name, row in rows.items()),
    ]


def others() -> list[tuple[str, str]]:
    same, soak = read("serving-same-bytes.json"), read("serving-soak.json")
    return [
        (README, f"{same['replies']:,} random requests"),
        (README, f"{same['called_off']:,} more called off"),
        (README, f"memory grew by {soak['rss_slope_mb_per_min']:.2f} MB a minute"),
    ]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        *training(),
        *training_amx(),
        *serving(),
        *alternatives(),
        *quality(),
        *quality_32(),
        *others(),
    ],
)
def test_a_figure_that_is_quoted_is_the_one_that_was_measured(document, words):
    assert words in " ".join((ROOT / document).read_text().split())
