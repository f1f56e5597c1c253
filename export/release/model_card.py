"""`README.md` of a released model: a model card as the Hugging Face hub reads it, made from the manifest alone.

Source of the metadata's keys and values: the hub's documentation of model cards.
"""

from __future__ import annotations

import json

from dcgan.export.verify.report import Report
from dcgan.zoo.manifest import Manifest

FILE_NAME = "README.md"

SAMPLE_ROWS, SAMPLE_SEED = 4, 0
_SAMPLE_COLUMNS = 8
_MOST_COLUMNS = 16

_UNSTATED = "NOASSERTION"  # of SPDX
_MOST_NAMES = 100  # of classes that are listed


def sample_columns(classes: int) -> int:
    """Columns of samples.png: one for each class, where they are few."""
    return classes if 0 < classes <= _MOST_COLUMNS else _SAMPLE_COLUMNS


def model_card(manifest: Manifest, report: Report) -> str:
    """Writes the card."""
    sections = [
        _metadata(manifest),
        f"# {manifest.name}, version {manifest.version}",
        f"{manifest.description}.".replace("..", "."),
        f"![{_samples(manifest)}](samples.png)",
        _facts(manifest),
        *_classes(manifest),
        *_use(manifest),
        _training(manifest),
        _metrics(manifest),
        _parity(report),
        _limits(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _use(manifest: Manifest) -> list[str]:
    """How to make images, for a model with the ONNX file that this takes."""
    if manifest.file("onnx", "fp32") is None:
        return []
    return [
        "## Use\n\n"
        f"With dcgan-zoo: `dcgan-serve --model-repository FOLDER`, then `dcgan-generate --model {manifest.name} "
        f"--seed 7 -n 64 --out grid.png`{', and --label for one class' if manifest.classes else ''}.\n\n"
        "With ONNX Runtime alone, the same 64 images:\n\n"
        f"```python\n{example(manifest)}```"
    ]


def _samples(manifest: Manifest) -> str:
    columns = sample_columns(manifest.classes)
    turns = "; image i has class i mod classes" if manifest.classes else ""
    return f"Images 0 to {columns * SAMPLE_ROWS - 1} of seed 0, one after the other, none chosen{turns}"


def _classes(manifest: Manifest) -> list[str]:
    """What the labels mean, for a model that takes them."""
    if not manifest.classes:
        return []
    named = manifest.class_names != tuple(
        map(str, range(manifest.classes))
    )  # else a name tells nothing
    names = [
        f"{label} {name}" for label, name in enumerate(manifest.class_names[:_MOST_NAMES]) if named
    ]
    more = (
        [f"and {manifest.classes - len(names)} more, in `manifest.json`"]
        if manifest.classes > len(names) > 0
        else []
    )
    meaning = ": " + ", ".join([*names, *more]) if names else ""
    return [
        f"`label` is the class of each image, 0 to {manifest.classes - 1}{meaning}. "
        f"Where a request names none, image i of a seed has class i mod {manifest.classes}."
    ]


def example(manifest: Manifest) -> str:
    """A Python program that makes `grid.png`, images 0 to 63 of seed 7, out of `generator.onnx` without our package."""
    size, channels, d = manifest.image_size, manifest.channels, manifest.latent_size
    words = -(-d // 4) * 4  # Philox gives four at a time
    cut = f"[:, :{d}]" if words != d else ""
    label = f', "label": np.arange(64) % {manifest.classes}' if manifest.classes else ""
    shape = (
        f"({8 * size}, {8 * size}, {channels})" if channels == 3 else f"({8 * size}, {8 * size})"
    )
    return f"""\
import numpy as np
import onnxruntime
from PIL import Image

uniform = (np.random.Philox(key=[7, 0]).random_raw(64 * {words}) >> 11) * 2.0**-53  # seed 7
u, v = uniform.reshape(-1, 2).T.copy()
radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v
z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(64, {words}){cut}.astype(np.float32)
session = onnxruntime.InferenceSession("generator.onnx", providers=["CPUExecutionProvider"])
images = session.run(["images"], {{"z": z{label}}})[0]  # uint8 [64, {size}, {size}, {channels}]
grid = images.reshape(8, 8, {size}, {size}, {channels}).swapaxes(1, 2).reshape{shape}
Image.fromarray(grid).save("grid.png")
"""


def _metadata(manifest: Manifest) -> str:
    license_id = "unknown" if manifest.license == _UNSTATED else manifest.license.lower()
    tags = [
        "dcgan",
        "gan",
        "image-generation",
        *(["class-conditional-image-generation"] if manifest.classes else []),
        *sorted({file.role for file in manifest.files} & {"onnx", "torchscript"}),
    ]
    lines = [
        f"license: {json.dumps(license_id)}",
        "library_name: dcgan-zoo",
        *(
            [] if manifest.classes else ["pipeline_tag: unconditional-image-generation"]
        ),  # the hub has none for classes
        "tags:",
        *(f"  - {tag}" for tag in tags),
    ]
    return "\n".join(["---", *lines, "---"])


def _facts(manifest: Manifest) -> str:
    kind = "RGB" if manifest.channels == 3 else "grey"
    rows = [
        ("Image", f"{manifest.image_size} x {manifest.image_size}, {kind}, 8 bits a channel"),
        ("Input", f"`z`, float32 [batch, {manifest.latent_size}], standard normals"),
        *([("Input", "`label`, int64 [batch]")] if manifest.classes else []),
        (
            "Output",
            f"`images`, uint8 [batch, {manifest.image_size}, {manifest.image_size}, {manifest.channels}]",
        ),
        ("Noise", f"`{manifest.noise_scheme}`: (seed, index) names one image"),
        ("Licence", manifest.license),
    ]
    rows += [
        (f"`{file.path}`", f"{file.role}, {file.precision}, {file.bytes:,} bytes")
        for file in manifest.files
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows)])


def _training(manifest: Manifest) -> str:
    training = manifest.training
    rows = [
        f"Recipe `{training.recipe}` on {training.data}, seed {training.seed}, {training.images_seen:,} real images "
        f"shown to the discriminator, on {training.hardware}.",
        f"SHA-256 of the decoded training data: `{training.data_sha256}`.",
    ]
    if training.commit:
        rows.append(f"Commit of dcgan-zoo: `{training.commit}`.")
    return "## Training\n\n" + "\n".join(rows)


def _metrics(manifest: Manifest) -> str:
    if not manifest.metrics:
        return (
            "## Quality\n\nNothing was measured. Judge by the samples above, which were not chosen."
        )
    rows = [
        f"| {metric.name} | {metric.value:.4g} | {metric.protocol} |" for metric in manifest.metrics
    ]
    return "\n".join(
        ["## Quality\n", "| metric | value | protocol |", "| --- | --- | --- |", *rows]
    )


def _parity(report: Report) -> str:
    lists = (report.batches, report.seeds, report.widest)
    batches, seeds, widest = (", ".join(f"{value:g}" for value in values) for values in lists)
    return (
        "## Proof\n\n"
        f"Each file was loaded again from disk and compared with {report.reference}, in batches of {batches}, on the "
        f"noise of seeds {seeds}, on zeros, and on noise stretched to {widest}. Errors are of float images in "
        "[-1, 1]; levels are grey levels of 255.\n\n"
        f"{report.table()}\n\n"
        f"Processor family {report.processor}; "
        f"{', '.join(f'{name} {number}' for name, number in report.versions.items())}. More in `parity.json`."
    )


def _limits(manifest: Manifest) -> str:
    return (
        "## Limits\n\n"
        f"Images are {manifest.image_size} x {manifest.image_size} and as good as the samples show, no better. The "
        "model repeats what its training images hold, their biases included, and can come close to single ones. "
        "Pixels are the same, byte for byte, on the same ONNX Runtime build, provider and processor family; elsewhere "
        "they may differ by one grey level."
    )
