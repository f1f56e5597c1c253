"""Which releases a server finds."""

import json
import shutil

import pytest

from dcgan.serving.errors import ServingError
from dcgan.serving.models.releases import find_releases, served_file
from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED, find_release
from tests.serving.support import refuse_to_start


def find(repository, name=None, precision="fp32") -> list[str]:
    releases = find_releases(repository, name, precision=precision)
    return [release.manifest.name for release in releases]


@pytest.fixture
def two(repository, tmp_path):
    """A repository with `classy`, and with a `tiny` that has an int8 file, too."""
    for name in ("classy", "tiny"):
        shutil.copytree(repository / name / "2", tmp_path / name / "2")
    path = tmp_path / "tiny" / "2" / "manifest.json"
    manifest = json.loads(path.read_text())
    (file,) = (file for file in manifest["files"] if file["role"] == "onnx")
    manifest["files"].append(file | {"path": "generator.int8.onnx", "precision": "int8"})
    path.write_text(json.dumps(manifest))
    shutil.copy(path.with_name("generator.onnx"), path.with_name("generator.int8.onnx"))
    return tmp_path


def test_a_missing_repository_or_model_is_said_in_one_sentence(repository, tmp_path):
    assert "is not a folder" in refuse_to_start(tmp_path / "nowhere")
    assert "holds no model" in refuse_to_start(tmp_path)
    assert "tiny" in refuse_to_start(repository, "--model", "nobody")


@pytest.mark.parametrize(("precision", "flag"), [("int8", "--int8"), ("fp16", "--fp16")])
def test_a_missing_precision_names_the_option_that_exports_it(precision, flag):
    release = find_release(SHIPPED, "dcgan64-tiny")
    with pytest.raises(ServingError, match=f"export the model again with {flag}$"):
        served_file(release, precision)


def test_without_a_repository_all_models_of_the_package_are_served():
    names = [release.manifest.name for release in find_releases(None, None)]
    assert names[0] == DEFAULT_MODEL
    assert sorted(names) == sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())


def test_of_several_models_the_default_must_be_named(repository, only):
    said = refuse_to_start(repository)
    assert "holds 4 models: classy, poisoned, slow, tiny; choose the" in said
    assert "--model" in said
    assert find(repository, "tiny")[0] == "tiny"
    assert find(only("tiny")) == ["tiny"]


def test_a_model_that_lacks_the_precision_is_left_out_and_named(two, caplog):
    assert find(two, "tiny", "int8") == ["tiny"]
    assert "classy/2 is not served: it has no file in int8" in caplog.text
    assert find(two, "tiny") == ["tiny", "classy"]


def test_the_default_model_must_have_the_precision(two):
    with pytest.raises(ServingError, match=r"has no ONNX file in int8; .* again with --int8"):
        find(two, "classy", "int8")
    with pytest.raises(ServingError, match="has no ONNX file in fp16; .* again with --fp16"):
        find(two, "tiny", "fp16")
