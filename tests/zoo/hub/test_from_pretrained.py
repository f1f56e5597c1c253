"""A model is pushed, and loaded in PyTorch on another machine by the name of its repository."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from dcgan.core.schema import dump_json
from dcgan.export.pretrained import Generator
from dcgan.zoo.golden import read_golden
from dcgan.zoo.hub.push import push
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.release import read_release
from dcgan.zoo.repository import SHIPPED, find_release

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.mark.slow
def test_a_repository_is_loaded_by_its_name(hub, elsewhere, tmp_path):
    shipped = find_release(SHIPPED, "dcgan64-tiny")
    folder = tmp_path / "models" / "mine" / "1"
    shutil.copytree(shipped.folder, folder)
    (folder / FILE_NAME).write_text(dump_json(replace(shipped.manifest, name="mine")))
    push(read_release(folder), "someone/mine")

    generator = Generator.from_pretrained("someone/mine")
    assert generator.manifest.name == "mine"
    assert (elsewhere / "models" / "mine" / "1" / "generator.safetensors").is_file()
    images = [
        generator.generate(image.seed, offset=image.index)
        for image in generator.manifest.golden.images
    ]
    levels = np.abs(np.concatenate(images).astype(int) - read_golden(shipped).astype(int))
    assert levels.max() <= 1
