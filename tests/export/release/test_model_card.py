"""The model card: metadata for the hub, and a program that does what it says."""

import dataclasses
import json
import re
import runpy
import shutil

import numpy as np
import onnxruntime as ort
import pytest

from dcgan.core import noise
from dcgan.core.images import decode_png, tile
from dcgan.core.onnx_session import CPU
from dcgan.core.origin import ParentRun, RecipeChange
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.export.release.model_card import model_card
from dcgan.export.release.usage_example import usage_example
from dcgan.export.verify.report import ParityReport
from dcgan.zoo.manifest import Metric
from dcgan.zoo.quality import OTHER_REAL, baseline_metric

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shape", [{}, {"channels": 1}, {"latent_size": 12}])
def test_the_example_makes_images_0_to_63_of_seed_7_without_our_package(
    run, make_generator, tmp_path, monkeypatch, shape
):
    import dataclasses

    generator = make_generator(**shape)
    release = export(
        dataclasses.replace(run, generator=generator),
        tmp_path,
        ExportOptions(name="a", version=1),
        lambda _: None,
    )
    card = (release.folder / "README.md").read_text()
    program = card.partition("```python\n")[2].partition("```")[0]
    assert program == usage_example(release.manifest)
    assert "dcgan" not in program
    (tmp_path / "example.py").write_text(program)
    shutil.copy(release.folder / "generator.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    session = ort.InferenceSession("generator.onnx", providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"z": noise.latents(7, 0, 64, generator.config.latent_size)})
    assert np.array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(images))


def test_the_card_has_metadata_that_the_hub_takes(release):
    card = (release.folder / "README.md").read_text()
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    metadata = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    assert metadata["license"] == '"unknown"'
    assert "| Licence | not stated |" in body
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert "  - onnx" in head.splitlines()
    assert body.startswith("\n# small, version 1\n")


def test_the_card_tells_recipe_data_proof_and_that_nothing_was_measured(release):
    card = (release.folder / "README.md").read_text()
    for piece in (
        "`digits`",
        "640 real images",
        "| generator.onnx ",
        "Nothing was measured",
        "(samples.png)",
    ):
        assert piece in card


def test_a_card_without_onnx_does_not_say_how_to_use_it(run, tmp_path):
    weights = export(
        run,
        tmp_path,
        ExportOptions(name="small", version=1, formats=("safetensors",)),
        lambda _: None,
    )
    card = (weights.folder / "README.md").read_text()
    assert "## Proof" in card
    assert "## Use" not in card
    assert "onnxruntime.InferenceSession" not in card


CLASSES = 3


def test_the_card_names_the_classes_and_its_example_runs(labelled, tmp_path, monkeypatch):
    card = (labelled.folder / "README.md").read_text()
    assert "0 cat, 1 dog, 2 ship" in card
    assert "pipeline_tag" not in card
    (tmp_path / "example.py").write_text(card.partition("```python\n")[2].partition("```")[0])
    shutil.copy(labelled.folder / "generator.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    feeds = {"z": noise.latents(7, 0, 64, 10), "label": noise.labels(0, 64, CLASSES)}
    (images,) = ort.InferenceSession("generator.onnx", providers=[CPU]).run(None, feeds)
    assert np.array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(images))


def test_names_that_are_the_numbers_of_their_classes_are_not_repeated(labelled):
    from dcgan.export.release.model_card import _labels

    text = _labels(dataclasses.replace(labelled.manifest, class_names=("0", "1", "2")))
    assert text.startswith("`label` is the class of each image, 0 to 2. ")


def test_a_model_of_more_classes_than_a_card_lists_counts_the_rest(labelled):
    from dcgan.export.release.model_card import _labels
    from dcgan.export.release.samples import sample_columns

    names = tuple(f"c{i}" for i in range(150))
    manifest = labelled.manifest
    many = dataclasses.replace(manifest, classes=150, class_names=names)
    text = _labels(many)
    assert "99 c99, and 50 more" in text
    assert sample_columns(150) == 8


@pytest.mark.parametrize("seed", [7, 2**63 + 1, 2**64 - 1])
def test_the_example_makes_the_images_of_any_seed(release, tmp_path, monkeypatch, seed):
    program = usage_example(release.manifest).replace("seed = 7", f"seed = {seed}")
    shutil.copy(release.folder / "generator.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(program)
    values = runpy.run_path("example.py")
    assert np.array_equal(values["z"], noise.latents(seed, 0, 64, release.manifest.latent_size))


HOSTILE = (
    "x`</code><script>alert(1)</script>\n# Free money\n|a|[b](http://evil)\x1b[31m\u202e![i](j)"
)


@pytest.mark.hostile(
    "Headings, HTML and links in a run's data name, on the published card",
    "shown as text",
)
def test_text_from_a_run_is_shown_without_markup(release, labelled):
    report = json.loads((release.folder / "parity.json").read_text())["reference"]
    training = dataclasses.replace(
        labelled.manifest.training,
        recipe=HOSTILE,
        data=HOSTILE,
        hardware=HOSTILE,
        commit=HOSTILE,
        data_sha256=HOSTILE,
        changes=(RecipeChange(key=HOSTILE, value=HOSTILE, recipe=HOSTILE),),
        init_from=ParentRun(
            checkpoint_sha256=HOSTILE,
            recipe=HOSTILE,
            data=HOSTILE,
            data_sha256=HOSTILE,
            steps=1,
            images_seen=1,
        ),
    )
    manifest = dataclasses.replace(
        labelled.manifest,
        description=HOSTILE,
        license=HOSTILE,
        class_names=(HOSTILE,) * 3,
        training=training,
        metrics=tuple(
            Metric(name=name, value=1.0, protocol=HOSTILE)
            for name in (HOSTILE, baseline_metric(HOSTILE, HOSTILE))
        ),
    )
    card = model_card(manifest, no_distances(report))
    outside_code = re.sub(r"```.*?```|(?<!\\)`[^`\n]*`", "", card, flags=re.DOTALL)

    assert "<script" not in outside_code
    assert "\x1b" not in card
    assert "\u202e" not in card
    assert "\n# Free" not in card
    assert "](http" not in outside_code.replace("\\]", "")
    assert "![i]" not in outside_code
    rows = [line for line in card.splitlines() if line.startswith("| Licence")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 3
    head = card.split("---\n")[1]
    assert 'license: "other"' in head
    assert all(re.match(r"(\w+: |tags:$|  - )", line) for line in head.splitlines())


def test_the_card_tells_steps_and_every_value_that_differs_from_the_recipe(release):
    training = dataclasses.replace(
        release.manifest.training,
        steps=12,
        planned_steps=5600,
        changes=(RecipeChange(key="generator.width", value="16", recipe="64"),),
    )
    manifest = dataclasses.replace(release.manifest, training=training)
    card = model_card(manifest, no_distances("a network"))
    assert "Trained for 12 of 5,600 steps: the run was stopped early." in card
    assert "differ from the recipe: `generator.width = 16` (recipe: `64`)." in card


def test_the_card_tells_from_which_run_a_run_began(release):
    parent = ParentRun(
        checkpoint_sha256="a" * 64,
        recipe="digits",
        data="photos | of cats, 20 images",
        data_sha256="b" * 64,
        steps=1200,
        images_seen=64_000,
    )
    training = dataclasses.replace(release.manifest.training, init_from=parent)
    manifest = dataclasses.replace(release.manifest, training=training)
    card = model_card(manifest, no_distances("a network"))

    assert (
        "It began with the networks of another run: recipe `digits` on photos \\| of cats, "
        "20 images, 1,200 steps, 64,000 real images; SHA-256 of that run's checkpoint: "
        f"`{'a' * 64}`, of its data: `{'b' * 64}`."
    ) in card
    assert "It began with" not in model_card(release.manifest, no_distances("a network"))


def test_a_finished_run_is_not_called_stopped(release):
    training = dataclasses.replace(release.manifest.training, steps=12, planned_steps=12)
    card = model_card(
        dataclasses.replace(release.manifest, training=training), no_distances("a network")
    )
    assert "Trained for 12 of 12 steps." in card
    assert "stopped" not in card


def no_distances(reference):
    return ParityReport(
        reference=reference,
        batches=(1,),
        seeds=(0,),
        widest=(4.0,),
        processor="x86-64-v4",
        versions={"torch": "2"},
        distances=(),
    )


def test_the_card_shows_real_images_by_the_measures_of_the_model(release):
    values = {"KD-Lite0 x1000": 0.06, "recall": 0.71}
    figures = [
        Metric(name="recall", value=0.3, protocol="generator.onnx, lite0-v1, n=10,000"),
        *(
            Metric(name=baseline_metric(name, OTHER_REAL), value=value, protocol="lite0-v1, n=10")
            for name, value in values.items()
        ),
    ]
    manifest = dataclasses.replace(release.manifest, metrics=tuple(figures))
    card = model_card(manifest, no_distances("a network"))

    assert "| recall | 0.3 | generator.onnx, lite0-v1, n=10,000 |" in card
    assert "| images | KD-Lite0 x1000 | recall | protocol |" in card
    assert "| other real images | 0.06 | 0.71 | lite0-v1, n=10 |" in card
    assert "recall of other" not in card
