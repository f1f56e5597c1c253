"""`README.md` of a released model: a model card with metadata for the Hugging Face hub.

It is made from the manifest and the parity report. Source of the metadata's keys and values: the
hub's documentation of model cards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from dcgan.core.origin import ParentRun
from dcgan.export.release.markdown import code, plain, table
from dcgan.export.release.samples import SEED, sample_count
from dcgan.export.release.usage_example import pytorch_example, usage_example
from dcgan.export.verify.report import ParityReport
from dcgan.export.verify.tolerances import QUALITY_IMAGES
from dcgan.zoo.license import NO_LICENSE, license_name
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.quality import Figures, figures_of_baselines, is_baseline
from dcgan.zoo.release import describe_file

FILE_NAME = "README.md"

_LICENSE_ID = re.compile(r"[a-z0-9.+() -]{1,100}")
_MAX_LISTED_CLASSES = 100


def write_model_card(manifest: Manifest, report: ParityReport, folder: Path) -> ModelFile:
    """Writes the card."""
    path = folder / FILE_NAME
    path.write_text(model_card(manifest, report), encoding="utf-8")
    return describe_file(path, "card")


def model_card(manifest: Manifest, report: ParityReport) -> str:
    """Returns the text of the card."""
    sections = [
        _hub_metadata(manifest),
        f"# {manifest.name}, version {manifest.version}",
        f"{plain(manifest.description)}.".replace("..", "."),
        _samples(manifest),
        _facts(manifest),
        _labels(manifest),
        _usage(manifest),
        _training(manifest),
        _quality(manifest),
        _parity(report),
        _limitations(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _quality(manifest: Manifest) -> str:
    """Returns the measured figures, and those of real images in the same measures."""
    if not manifest.metrics:
        return (
            "## Quality\n\nNothing was measured. Judge by the samples above, which were not chosen."
        )
    rows = [
        (plain(metric.name), f"{metric.value:.4g}", plain(metric.protocol))
        for metric in manifest.metrics
        if not is_baseline(metric)
    ]
    figures = "## Quality\n\n" + table(("metric", "value", "protocol"), rows)

    baselines = figures_of_baselines(manifest.metrics)
    if not baselines:
        return figures
    return f"{figures}\n\nReal images, by the same measures:\n\n{_baselines(baselines)}"


def _baselines(baselines: Sequence[Figures]) -> str:
    """Returns a table with a row for each set of real images."""
    measures = list(dict.fromkeys(name for figures in baselines for name in figures.values))
    rows = []
    for figures in baselines:
        values = [figures.values.get(name) for name in measures]
        cells = ["-" if value is None else f"{value:.4g}" for value in values]
        rows.append((plain(figures.images), *cells, plain(figures.protocol)))
    return table(("images", *map(plain, measures), "protocol"), rows)


def _hub_metadata(manifest: Manifest) -> str:
    license_id = manifest.license.lower()
    if manifest.license == NO_LICENSE:
        license_id = "unknown"
    elif not _LICENSE_ID.fullmatch(license_id):
        license_id = "other"  # what the hub calls a licence that it does not know

    tags = ["dcgan", "gan", "image-generation"]
    pipeline_tag = []
    if manifest.classes:  # the hub has no pipeline tag for class-conditional generation
        tags.append("class-conditional-image-generation")
    else:
        pipeline_tag.append("pipeline_tag: unconditional-image-generation")
    tags += sorted({file.role for file in manifest.files} & {"onnx", "torchscript"})

    lines = [
        "---",
        f"license: {json.dumps(license_id)}",
        "library_name: dcgan-zoo",
        *pipeline_tag,
        "tags:",
        *(f"  - {tag}" for tag in tags),
        "---",
    ]
    return "\n".join(lines)


def _samples(manifest: Manifest) -> str:
    count = sample_count(manifest.classes)
    turns = "; image i has class i mod classes" if manifest.classes else ""
    caption = f"Images 0 to {count - 1} of seed {SEED}, one after the other, none chosen{turns}"
    return f"![{caption}](samples.png)"


def _facts(manifest: Manifest) -> str:
    colours = "RGB" if manifest.channels == 3 else "grey"
    size = f"{manifest.image_size} x {manifest.image_size}"
    image_shape = ", ".join(map(str, manifest.outputs[0].shape))

    rows = [
        ("Image", f"{size}, {colours}, 8 bits a channel"),
        ("Input", f"`z`, float32 [batch, {manifest.latent_size}], standard normals"),
    ]
    if manifest.classes:
        rows.append(("Input", "`label`, int64 [batch]"))
    rows += [
        ("Output", f"`images`, uint8 [{image_shape}]"),
        ("Noise", f"`{manifest.noise_scheme}`: (seed, index) names one image"),
        ("Licence", plain(license_name(manifest.license))),
    ]
    for file in manifest.files:
        if file.precision is not None:  # files that compute images
            rows.append((f"`{file.path}`", f"{file.role}, {file.precision}, {file.bytes:,} bytes"))
    return table(("", ""), rows)


def _labels(manifest: Manifest) -> str:
    """Returns what the labels mean; nothing for a model without classes."""
    if not manifest.classes:
        return ""

    names = [
        f"{label} {plain(name)}"
        for label, name in enumerate(manifest.class_names[:_MAX_LISTED_CLASSES])
    ]
    are_numbers = manifest.class_names == tuple(map(str, range(manifest.classes)))
    meaning = ""
    if names and not are_numbers:
        unlisted = manifest.classes - len(names)
        if unlisted:
            names.append(f"and {unlisted} more, in `manifest.json`")
        meaning = ": " + ", ".join(names)

    return (
        f"`label` is the class of each image, 0 to {manifest.classes - 1}{meaning}. "
        f"Where a request names none, image i of a seed has class i mod {manifest.classes}."
    )


def _usage(manifest: Manifest) -> str:
    """Returns how to generate images; nothing for a model without the ONNX file that this takes."""
    if manifest.file("onnx", "fp32") is None:
        return ""

    label = ", and --label for one class" if manifest.classes else ""
    return (
        "## Use\n\n"
        "With dcgan-zoo: `dcgan-serve --model-repository FOLDER`, then "
        f"`dcgan-generate --model {manifest.name} --seed 7 -n 64 --out grid.png`{label}.\n\n"
        "With ONNX Runtime alone, in this folder, the same 64 images; the noise takes two "
        "lines:\n\n"
        f"```python\n{usage_example(manifest)}```\n\n"
        "In PyTorch (the extra `export` of dcgan-zoo), within one grey level of them; the name may "
        "also be the folder of the model:\n\n"
        f"```python\n{pytorch_example(manifest)}```"
    )


def _training(manifest: Manifest) -> str:
    training = manifest.training
    lines = [
        "## Training\n",
        f"Recipe {code(training.recipe)} on {plain(training.data)}, seed {training.seed}, "
        f"{training.images_seen:,} real images shown to the discriminator, "
        f"on {plain(training.hardware)}.",
    ]
    if training.steps is not None and training.planned_steps is not None:
        early = ": the run was stopped early" if training.stopped_early else ""
        lines.append(f"Trained for {training.steps:,} of {training.planned_steps:,} steps{early}.")
    if training.changes:
        changes = [
            f"{code(f'{c.key} = {c.value}')} (recipe: {code(c.recipe)})" for c in training.changes
        ]
        lines.append(f"Values that differ from the recipe: {', '.join(changes)}.")

    if training.init_from is not None:
        lines.append(_describe_parent(training.init_from))

    lines.append(f"SHA-256 of the decoded training data: {code(training.data_sha256)}.")
    if training.commit:
        lines.append(f"Commit of dcgan-zoo: {code(training.commit)}.")
    return "\n".join(lines)


def _describe_parent(parent: ParentRun) -> str:
    return (
        f"It began with the networks of another run: recipe {code(parent.recipe)} on "
        f"{plain(parent.data)}, {parent.steps:,} steps, {parent.images_seen:,} real images; "
        f"SHA-256 of that run's checkpoint: {code(parent.checkpoint_sha256)}, of its data: "
        f"{code(parent.data_sha256)}."
    )


def _parity(report: ParityReport) -> str:
    batches = _numbers(report.batches)
    seeds = _numbers(report.seeds)
    widest = _numbers(report.widest)
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        "## Proof\n\n"
        f"Each file was loaded again from disk and compared with {report.reference}, "
        f"in batches of {batches}, on the noise of seeds {seeds}, on zeros, "
        f"and on noise stretched to {widest}. "
        "Errors are of float images in [-1, 1]; levels are grey levels of 255. "
        f"PSNR, and the levels of int8, are over {QUALITY_IMAGES:,} images.\n\n"
        f"{report.table()}\n\n"
        f"Processor family {report.processor}; {versions}. More in `parity.json`."
    )


def _limitations(manifest: Manifest) -> str:
    return (
        "## Limits\n\n"
        f"Images are {manifest.image_size} x {manifest.image_size} "
        "and as good as the samples show, no better. "
        "The model repeats what its training images hold, their biases included, "
        "and can come close to single ones. "
        "Pixels are the same, byte for byte, on the same ONNX Runtime build, provider and "
        "processor family; elsewhere they may differ by one grey level."
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
