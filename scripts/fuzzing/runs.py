"""Run folders: the configuration, weights and metrics of a run."""

from __future__ import annotations

import json

from dcgan.core.errors import DcganError
from fuzzing.target import Target, folder, refusing


def config_seeds() -> list[bytes]:
    """Returns the config.json of a run."""
    from dataclasses import replace  # noqa: PLC0415

    from dcgan.core.schema import dump_json  # noqa: PLC0415
    from dcgan.training.recipe_files import load_recipe  # noqa: PLC0415
    from dcgan.training.run_config import SCHEMA_VERSION, DataFacts, RunConfig  # noqa: PLC0415

    facts = DataFacts(name="x", images=9, image_size=8, sha256="0" * 64, class_names=())
    config = RunConfig(
        schema_version=SCHEMA_VERSION, recipe=load_recipe("digits"), data=facts, seed=0, steps=9,
        device="cpu", precision="fp32", hardware="x", versions={"torch": "2"},
    )  # fmt: skip
    return [dump_json(config).encode(), dump_json(replace(config, commit="abc")).encode()]


def run_config(data: bytes) -> None:
    """Reads config.json and the parts of a manifest that come from it."""
    from dcgan.training.recipe_changes import recipe_changes  # noqa: PLC0415
    from dcgan.training.run_config import read_config  # noqa: PLC0415

    with folder() as place, refusing(DcganError):
        (place / "config.json").write_bytes(data)
        config = read_config(place)
        recipe_changes(
            config.recipe,
            images=config.data.images,
            planned_steps=config.steps,
            precision=config.precision,
        )


def tensors_seeds() -> list[bytes]:
    """Returns the weights of a small network."""
    import torch  # noqa: PLC0415

    from dcgan.training.tensor_file import encode_tensors  # noqa: PLC0415

    tensors = {"a.weight": torch.ones(2, 3), "b": torch.zeros(1, dtype=torch.int64)}
    return [encode_tensors(tensors, {"step": 3, "images_seen": 9})]


def run_tensors(data: bytes) -> None:
    """Reads a file of tensors."""
    from dcgan.training.tensor_file import read_tensors  # noqa: PLC0415

    with folder() as place, refusing(DcganError):
        (place / "x.safetensors").write_bytes(data)
        read_tensors(place / "x.safetensors")


def metrics_seeds() -> list[bytes]:
    """Returns three rows of metrics."""
    from dcgan.training.monitor.step_metrics import STEP_METRICS  # noqa: PLC0415

    facts = [{"step": i, "epoch": 1, "images": 64 * i} for i in (1, 2, 3)]
    rows = [json.dumps(each | dict.fromkeys(STEP_METRICS, 0.5)) for each in facts]
    return ["\n".join([*rows, ""]).encode()]


def run_metrics(data: bytes) -> None:
    """Continues the metrics of a run."""
    import torch  # noqa: PLC0415

    from dcgan.training.monitor.collapse import CollapseDetector  # noqa: PLC0415
    from dcgan.training.monitor.metrics_log import MetricsLog  # noqa: PLC0415

    with folder() as place, refusing(DcganError):
        (place / "metrics.jsonl").write_bytes(data)
        log = MetricsLog(place / "metrics.jsonl", torch.device("cpu"), 3)
        detector = CollapseDetector()
        detector.reset(log.recent)
        detector.update(log.recent)


TARGETS = {
    "config": Target(config_seeds, run_config),
    "metrics": Target(metrics_seeds, run_metrics),
    "tensors": Target(tensors_seeds, run_tensors),
}
