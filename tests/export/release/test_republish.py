"""A released model that is published again: the same ONNX bytes, a new card."""

import dataclasses
import json
import shutil

import pytest

from dcgan.core.schema import dump_json
from dcgan.export.errors import ExportError
from dcgan.export.formats.safetensors_file import read_safetensors
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.export.release.model_card import model_card
from dcgan.export.release.republish import _read_parity_report, merge_metrics, republish
from dcgan.zoo.manifest import FILE_NAME, Metric
from dcgan.zoo.release import CorruptModelError, RepositoryError, read_release
from dcgan.zoo.repository import SHIPPED, list_releases

KD = Metric(name="KD-Lite0 x1000", value=18.2, protocol="generator.onnx, lite0-v1, n=1,300, a")


@pytest.fixture(scope="module")
def bare(run, tmp_path_factory):
    """A model of one ONNX file, with rounded weights."""
    options = ExportOptions(name="bare", version=1, formats=("onnx",), weights="fp16")
    return export(run, tmp_path_factory.mktemp("models"), options, lambda _: None)


@pytest.mark.slow
def test_everything_but_card_and_manifest_stays_as_it_is(labelled, tmp_path):
    again = republish(labelled, tmp_path, metrics=[KD])
    again.verify()
    changed = {file.path for file in again.manifest.files} - {
        file.path for file in labelled.manifest.files if file in again.manifest.files
    }
    assert changed == {"README.md"}
    assert again.manifest.metrics == (KD,)
    assert "| KD-Lite0 x1000 | 18.2 |" in (again.folder / "README.md").read_text()
    before, after = dataclasses.asdict(labelled.manifest), dataclasses.asdict(again.manifest)
    assert {key for key in before if before[key] != after[key]} == {"files", "metrics"}


def test_figures_are_in_manifest_and_card_and_files_stay_as_they_are(release, tmp_path):
    first = Metric(name="KD-Lite0 x1000", value=18.2, protocol="generator.onnx, lite0-v1, n=1,300")
    second = Metric(name="FD-Lite0", value=61.5, protocol="generator.onnx, lite0-v1, n=1,300")
    published = republish(release, tmp_path / "models", metrics=[first])
    again = republish(published, tmp_path / "more", metrics=[first, second])
    again.verify()
    card = again.path(again.manifest.file("card")).read_text()

    assert again.manifest.metrics == (first, second)
    assert again.manifest.file("onnx") == release.manifest.file("onnx")
    assert again.manifest.parity == release.manifest.parity
    assert "| KD-Lite0 x1000 | 18.2 |" in card
    assert "Nothing was measured" not in card
    assert release.manifest.metrics == ()


def test_a_version_that_exists_is_not_changed(release, tmp_path):
    republish(release, tmp_path / "models", metrics=[KD])
    with pytest.raises(RepositoryError, match="exists"):
        republish(release, tmp_path / "models", metrics=[KD])


def test_a_copy_without_news_is_equal_in_every_byte(labelled, tmp_path):
    again = republish(labelled, tmp_path)
    for path in labelled.folder.iterdir():
        assert (again.folder / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_added_safetensors_hold_the_weights_of_the_onnx_file_and_pass_the_gate(bare, tmp_path):
    again = republish(bare, tmp_path, safetensors=True)
    again.verify()
    weights = again.manifest.file("safetensors")

    assert weights.precision == "fp16"
    assert {verdict.path for verdict in again.manifest.parity} == {
        "generator.onnx",
        "generator.safetensors",
    }
    assert again.manifest.golden == bare.manifest.golden
    assert again.manifest.file("onnx") == bare.manifest.file("onnx")
    assert read_safetensors(again.path(weights)).latent_size == bare.manifest.latent_size


def test_a_parity_report_of_another_release_is_made_anew(bare, tmp_path):
    folder = tmp_path / "old" / "bare" / "1"
    folder.mkdir(parents=True)
    for path in bare.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    report = json.loads((folder / "parity.json").read_text())
    del report["distances"][0]["batch_error"]
    (folder / "parity.json").write_text(json.dumps(report))
    from dcgan.zoo.release import describe_file

    files = tuple(
        describe_file(folder / file.path, file.role, file.precision) for file in bare.manifest.files
    )
    (folder / FILE_NAME).write_text(dump_json(dataclasses.replace(bare.manifest, files=files)))

    again = republish(read_release(folder), tmp_path / "new")
    assert _read_parity_report(again).reference.startswith("the released weights")
    assert again.manifest.file("onnx") == bare.manifest.file("onnx")


def test_a_model_without_float_weights_is_refused(bare, tmp_path):
    files = tuple(file for file in bare.manifest.files if file.role not in ("onnx", "parity"))
    golden = dataclasses.replace(bare.manifest.golden, digests=())
    manifest = dataclasses.replace(bare.manifest, files=files, golden=golden, parity=())
    release = dataclasses.replace(bare, folder=tmp_path / "bare", manifest=manifest)
    release.folder.mkdir()
    for file in files:
        shutil.copyfile(bare.path(file), release.path(file))
    with pytest.raises(ExportError, match="publishes no float weights"):
        republish(release, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


def test_a_damaged_model_is_not_published_again(bare, tmp_path):
    shutil.copytree(bare.folder, tmp_path / "bare")
    release = dataclasses.replace(bare, folder=tmp_path / "bare")
    graph = release.path(bare.manifest.file("onnx"))
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptModelError, match=r"generator\.onnx"):
        republish(release, tmp_path / "models")


def test_figures_on_more_images_replace_those_on_fewer():
    more = dataclasses.replace(KD, value=17.9, protocol="generator.onnx, lite0-v1, n=10,000, a")
    other = dataclasses.replace(KD, protocol="generator.int8.onnx, lite0-v1, n=1,300, a")
    assert merge_metrics([KD, other], [more]) == (other, more)
    assert merge_metrics([KD], [KD, other]) == (KD, other)


@pytest.mark.parametrize("release", list_releases(SHIPPED), ids=lambda r: r.manifest.name)
def test_the_card_of_a_shipped_model_is_the_one_that_an_export_writes_today(release):
    report = _read_parity_report(release)
    assert report is not None
    card = release.path(release.manifest.file("card")).read_text()
    assert card == model_card(release.manifest, report), "run scripts/republish_models.py"
