"""A hub on this machine, and a model to push."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from dcgan.core.schema import dump_json
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.release import Release, describe_file, read_release
from tests.zoo.hub.endpoint import Endpoint


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A hub that this process uses as if HF_ENDPOINT named it, with a token and an empty cache."""
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    template = endpoint.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", endpoint.token)
    yield endpoint
    endpoint.stopped.set()
    huggingface_hub.close_session()
    endpoint.shutdown()
    thread.join()
    endpoint.server_close()


@pytest.fixture
def model(toy: Path) -> Release:
    """The toy with files of every kind; those beside the ONNX file are not what they are called."""
    release = read_release(toy)
    extra = {"safetensors": "generator.safetensors", "torchscript": "generator.ts"}
    extra |= {"card": "README.md"}
    files = list(release.manifest.files)
    for role, name in extra.items():
        (toy / name).write_text(f"---\nlicense: apache-2.0\n---\n{role}\n")
        precision = None if role == "card" else "fp32"
        files.append(describe_file(toy / name, role, precision))
    from dataclasses import replace

    manifest = replace(release.manifest, files=tuple(files))
    (toy / FILE_NAME).write_text(dump_json(manifest))
    return read_release(toy)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The machine of another user: an empty cache of models and of huggingface_hub."""
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "elsewhere" / "hf"))
    return tmp_path / "elsewhere"
