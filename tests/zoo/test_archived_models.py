"""The models in zoo/archives: whole, reproducible, and fetched by the index beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dcgan.core.onnx_session import CPU, open_session
from dcgan.zoo.cli import main
from dcgan.zoo.golden import Agreement, compare, golden_latents, read_golden
from dcgan.zoo.index import read_index, write_index
from dcgan.zoo.release import Release, read_release, sha256
from dcgan.zoo.repository import SHIPPED, list_releases

ARCHIVES = SHIPPED.parent / "archives"
MODELS = [entry.manifest for entry in read_index(str(ARCHIVES)).models]


@pytest.fixture(params=MODELS, ids=lambda manifest: manifest.name)
def fetched(request: pytest.FixtureRequest) -> Release:
    """One of the models, fetched as a user does."""
    arguments = ["--index", str(ARCHIVES), "fetch", request.param.name]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return read_release(Path(result.stdout.strip()))


def test_dcgan64_seed_can_be_fetched_at_its_best_and_last_checkpoint():
    steps = {manifest.name: manifest.training.steps for manifest in MODELS}
    assert steps == {"dcgan64-seed-best": 36_000, "dcgan64-seed-last": 56_000}


def test_no_archived_model_hides_a_shipped_one():
    shipped = {release.manifest.name for release in list_releases(SHIPPED)}
    assert not shipped & {manifest.name for manifest in MODELS}


def test_the_folder_holds_an_archive_and_the_samples_of_each_model_and_the_index():
    names = {f"{m.name}-{m.version}.{ending}" for m in MODELS for ending in ("tar", "png")}
    assert {path.name for path in ARCHIVES.iterdir()} == {*names, "index.json"}
    for manifest in MODELS:
        samples = manifest.file("samples")
        assert samples is not None
        picture = ARCHIVES / f"{manifest.name}-{manifest.version}.png"
        assert sha256(picture) == samples.sha256


def test_a_fetched_model_packs_to_the_same_archive(fetched: Release, tmp_path: Path):
    fetched.verify()
    write_index([fetched], tmp_path / "again", lambda _: None)
    name = f"{fetched.manifest.name}-{fetched.manifest.version}.tar"
    assert (tmp_path / "again" / name).read_bytes() == (ARCHIVES / name).read_bytes()


def test_a_fetched_model_passed_its_gate_and_makes_its_golden_images(fetched: Release):
    manifest = fetched.manifest
    file = manifest.file("onnx", "fp32")
    assert file is not None
    assert [(verdict.path, verdict.passed) for verdict in manifest.parity] == [(file.path, True)]

    session = open_session(fetched.read_file(file), CPU, name=file.path)
    latents = golden_latents(manifest.golden, manifest.latent_size)
    (images,) = session.run(["images"], {"z": latents})
    assert compare(images, read_golden(fetched), None) is not Agreement.DIFFERENT


def test_the_card_of_the_last_checkpoint_says_that_it_collapsed(fetched: Release):
    card = fetched.manifest.file("card")
    assert card is not None
    text = fetched.read_card(card)
    distance = next(m.value for m in fetched.manifest.metrics if m.name == "KD-Lite0 x1000")
    if fetched.manifest.name.endswith("-last"):
        assert "in mode collapse" in text
        assert f"KD-Lite0 x1000 is {distance:.2f}" in text
    else:
        assert "at the best step by KD-Lite0 of one run, which collapsed four times" in text
    assert f"| KD-Lite0 x1000 | {distance:.4g} |" in text
