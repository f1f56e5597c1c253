"""Entity tags: equal only where the bytes are equal."""

from dataclasses import replace

import pytest

from dcgan.core.onnx_session import CPU, CUDA
from dcgan.serving.models.entity_tag import entity_tag, image_tag
from dcgan.serving.models.served_model import ServedModel
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release


@pytest.fixture
def model(repository) -> ServedModel:
    manifest = find_release(repository, "tiny").manifest
    return ServedModel(
        manifest=manifest,
        file=manifest.file("onnx", "fp32"),
        provider=CPU,
        agreement=Agreement.EXACT,
        dispatcher=None,
        png_queue=None,
        replies=None,
    )


def test_equal_parts_have_equal_tags(model):
    assert entity_tag(model, 7, 0, "png") == entity_tag(replace(model), 7, 0, "png")


def test_what_changes_the_bytes_changes_the_tag(model):
    other_file = replace(model.file, sha256="0" * 64)
    tags = {
        entity_tag(model, 7, 0, "png"),
        entity_tag(model, 7, 1, "png"),
        entity_tag(model, 7, 0, "webp"),
        entity_tag(replace(model, file=other_file), 7, 0, "png"),
        entity_tag(replace(model, provider=CUDA), 7, 0, "png"),
        entity_tag(replace(model, provider=CUDA, batch_size=64), 7, 0, "png"),
        entity_tag(replace(model, provider=CUDA, batch_size=256), 7, 0, "png"),
    }

    assert len(tags) == 7


def test_json_that_names_another_origin_has_another_tag(model):
    models = [
        model,
        replace(model, manifest=replace(model.manifest, version=model.version + 1)),
        replace(model, manifest=replace(model.manifest, name="copy")),
        replace(model, agreement=Agreement.CLOSE),
    ]

    for extension, tags in (("json", 4), ("png", 1)):
        found = {
            image_tag(each, 7, 0, label=None, truncation=1.0, extension=extension)
            for each in models
        }
        assert len(found) == tags
