"""The model card: what the hub reads, and a program that does what it says."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from dcgan.core import noise
from dcgan.core.images import decode_png, tile
from dcgan.export.pipeline import Options, export
from dcgan.export.release.model_card import example


@pytest.mark.parametrize("shape", [{}, {"channels": 1}, {"latent_size": 12}])
def test_the_example_makes_images_0_to_63_of_seed_7_without_our_package(
    run, make_generator, tmp_path, monkeypatch, shape
):
    import dataclasses

    generator = make_generator(**shape)
    release = export(
        dataclasses.replace(run, generator=generator),
        tmp_path,
        Options(name="a", version=1),
        lambda _: None,
    )
    card = (release.folder / "README.md").read_text()
    program = card.partition("```python\n")[2].partition("```")[0]
    assert program == example(release.manifest)
    assert "dcgan" not in program
    (tmp_path / "example.py").write_text(program)
    shutil.copy(release.folder / "generator.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    session = ort.InferenceSession("generator.onnx", providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"z": noise.latents(7, 0, 64, generator.config.latent_size)})
    assert np.array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(images))


def test_the_bridge_to_torch_fidelity_in_the_documentation_gives_channels_first():
    import torch

    from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED

    text = (Path(__file__).resolve().parents[2] / "docs" / "export" / "formats.md").read_text()
    names: dict[str, type[torch.nn.Module]] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    path = SHIPPED / DEFAULT_MODEL / "1" / "generator.onnx"
    z = noise.latents(7, 0, 3, 100)
    images = names["ChannelsFirst"](path)(torch.from_numpy(z))
    assert images.shape == (3, 3, 64, 64)
    assert images.dtype == torch.uint8
    (expected,) = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"z": z})
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), expected)


def test_the_card_has_metadata_that_the_hub_takes(release):
    card = (release.folder / "README.md").read_text()
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    metadata = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    assert metadata["license"] == '"unknown"'
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert "  - onnx" in head.splitlines()
    assert body.startswith("\n# small, version 1\n")


def test_a_card_without_onnx_does_not_say_how_to_use_it(run, tmp_path):
    weights = export(
        run, tmp_path, Options(name="small", version=1, formats=("safetensors",)), lambda _: None
    )
    card = (weights.folder / "README.md").read_text()
    assert "## Proof" in card
    assert "## Use" not in card
    assert "onnxruntime.InferenceSession" not in card


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
