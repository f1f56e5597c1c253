"""dcgan-zoo push and pull against a hub on this machine."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from dcgan.core.schema import dump_json
from dcgan.zoo.cli import main
from dcgan.zoo.download import RetryPolicy
from dcgan.zoo.hub import pull as pull_module
from dcgan.zoo.hub.layout import hub_config, without_code
from dcgan.zoo.hub.pull import pull
from dcgan.zoo.hub.push import push
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.repository import find_release

# huggingface_hub itself uses an old argument of its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPOSITORY = "someone/toy"


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def sentence(result):
    """The one sentence of a command that ended with exit code 2."""
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
    return result.output


@pytest.mark.hostile("A hub repository with TorchScript and `.pt2` files", "they are left out")
def test_what_is_pushed_is_pulled_again_without_files_that_can_hold_code(hub, model, elsewhere):
    pushed = run("--model-repository", model.folder.parents[1], "push", "toy", REPOSITORY)
    assert pushed.exit_code == 0, pushed.output
    assert pushed.output == f"{hub.url}/{REPOSITORY}\n"
    assert hub.names(REPOSITORY) == {
        "README.md",
        "config.json",
        "generator.onnx",
        "golden.png",
        "manifest.json",
        "model.safetensors",
    }

    pulled = run("pull", REPOSITORY)
    assert pulled.exit_code == 0, pulled.output
    release = find_release(elsewhere / "models", "toy")
    assert pulled.output == f"{release.folder}\n"
    release.verify()
    assert release.manifest == without_code(model.manifest)
    for file in release.manifest.files:
        assert release.path(file).read_bytes() == model.path(file).read_bytes()
        assert not release.path(file).is_symlink()
    assert not (release.folder / "generator.ts").exists()


def test_the_configuration_tells_the_shape_and_the_classes(model):
    config = json.loads(hub_config(model.manifest))
    assert config["model_type"] == "dcgan"
    assert (config["image_size"], config["latent_size"], config["num_channels"]) == (32, 16, 1)
    assert "auto_map" not in config
    assert "id2label" not in config


def test_a_second_pull_returns_the_model_that_is_here(hub, model, elsewhere):
    push(model, REPOSITORY)
    first = pull(REPOSITORY)
    assert pull(REPOSITORY) == first


def test_offline_a_model_of_the_cache_is_pulled_and_no_other(hub, model, elsewhere, monkeypatch):
    push(model, REPOSITORY)
    folder = pull(REPOSITORY).folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    requests = len(hub.sent)

    assert pull(REPOSITORY).folder == folder
    error = sentence(run("pull", "someone/other"))
    assert "someone/other is not in the cache of huggingface_hub" in error
    assert "HF_HUB_OFFLINE" in error
    error = sentence(run("--model-repository", model.folder.parents[1], "push", "toy", REPOSITORY))
    assert "HF_HUB_OFFLINE" in error
    assert len(hub.sent) == requests


@pytest.mark.hostile("A token for a hub", "never shown")
def test_a_private_repository_needs_the_token_which_is_never_shown(
    hub, model, elsewhere, monkeypatch
):
    push(model, REPOSITORY, private=True)
    assert hub.private == {REPOSITORY}
    monkeypatch.setenv("HF_TOKEN", "hf_another_secret")
    error = sentence(run("pull", REPOSITORY))

    assert "has no model someone/toy that you may use" in error
    pushed = run("--model-repository", model.folder.parents[1], "push", "toy", REPOSITORY)
    for text in (error, sentence(pushed)):
        assert "hf_" not in text
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert pull(REPOSITORY).manifest.name == "toy"


def test_a_model_without_safetensors_is_not_pushed(hub, model, toy):
    files = tuple(file for file in model.manifest.files if file.role != "safetensors")
    (toy / FILE_NAME).write_text(dump_json(replace(model.manifest, files=files)))
    (toy / "generator.safetensors").unlink()
    error = sentence(run("--model-repository", toy.parents[1], "push", "toy", REPOSITORY))
    assert "has no safetensors file, which the layout needs" in error
    assert hub.files == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("pull", "someone/nothing"), "has no model someone/nothing that you may use"),
        (("pull", "../../etc"), "is not a repository: give OWNER/NAME"),
        (("pull", "someone/toy", "--revision", "old"), "has no such revision"),
        (("push", "toy", "someone/other"), "push toy to OWNER/toy"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(hub, model, elsewhere, arguments, expected):
    push(model, REPOSITORY)
    assert expected in sentence(run("--model-repository", model.folder.parents[1], *arguments))


def test_a_full_disk_is_one_sentence(hub, model, elsewhere, monkeypatch):
    push(model, REPOSITORY)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("dcgan.zoo.hub.pull.shutil.copyfile", Mock(side_effect=full))
    assert "No space left on device; nothing was published" in sentence(run("pull", REPOSITORY))
    assert list((elsewhere / "models").iterdir()) == []


def test_something_in_the_place_of_the_model_is_one_sentence(hub, model, elsewhere):
    push(model, REPOSITORY)
    place = elsewhere / "models" / "toy" / "1"
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("mine")
    assert f"{place} is not a model and in the way of one" in sentence(run("pull", REPOSITORY))
    assert (place / "notes.txt").read_text() == "mine"


def test_a_hub_that_refuses_is_one_sentence(hub, elsewhere):
    hub.status = 403
    assert "answered 403 for someone/toy" in sentence(run("pull", REPOSITORY))


def test_a_hub_that_cannot_be_reached_is_one_sentence(hub, elsewhere, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts of the library
    unused = "http://127.0.0.1:1"
    template = unused + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", unused)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert f"cannot reach {unused}" in sentence(run("pull", REPOSITORY))


def pushed_with(hub, model, name, content):
    """Pushes the model, then replaces a file in the repository."""
    push(model, REPOSITORY)
    hub.files[REPOSITORY, name] = content


@pytest.mark.hostile(
    "A hub repository that is not what its manifest says",
    "refused; nothing enters the cache",
)
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (("manifest.json", b"{}"), "has a manifest that is not valid"),
        (("manifest.json", b" " * (2**20 + 1)), "is over the 1,048,576 bytes that it may be"),
        (("manifest.json", b"\xff"), "has a manifest that is not valid"),
        (("golden.png", b""), "the model in someone/toy is refused"),
        (("golden.png", b"x" * 100_000), "golden.png of the repository is over the"),
    ],
)
def test_a_repository_that_is_not_what_its_manifest_says_is_refused(
    hub, model, elsewhere, file, expected
):
    pushed_with(hub, model, *file)
    assert expected in sentence(run("pull", REPOSITORY))
    assert not list((elsewhere / "models").rglob("*.onnx"))


@pytest.mark.hostile("A hub that sends more than it announced", "cut off; nothing enters the cache")
def test_a_file_that_is_larger_than_announced_is_not_downloaded_whole(hub, model, elsewhere):
    pushed_with(hub, model, "golden.png", b"x" * 100_000)
    size = next(file.bytes for file in model.manifest.files if file.path == "golden.png")
    hub.announce["golden.png"] = size
    result = sentence(run("pull", REPOSITORY))
    assert "golden.png" in result or "cannot exchange files" in result
    assert not list((elsewhere / "models").rglob("*.onnx"))


@pytest.mark.hostile("A hub repository whose graph has control flow", "refused")
def test_a_graph_with_control_flow_is_refused(hub, model, elsewhere):
    from tests.zoo.conftest import build_toy_graph

    graph = build_toy_graph(activation="Loop")
    import hashlib

    files = tuple(
        replace(file, bytes=len(graph), sha256=hashlib.sha256(graph).hexdigest())
        if file.role == "onnx"
        else file
        for file in without_code(model.manifest).files
    )
    manifest = dump_json(replace(without_code(model.manifest), files=files))
    pushed_with(hub, model, "generator.onnx", graph)
    hub.files[REPOSITORY, "manifest.json"] = manifest.encode()
    assert "the model in someone/toy is refused" in sentence(run("pull", REPOSITORY))


@pytest.mark.hostile("A hub repository that calls its model `dcgan64`", "refused")
def test_a_repository_cannot_take_the_name_of_another_model(hub, model, elsewhere):
    push(model, REPOSITORY)
    for (_, name), content in list(hub.files.items()):
        hub.files["someone/digits", name] = content
    assert "holds the model toy" in sentence(run("pull", "someone/digits"))

    manifest = replace(without_code(model.manifest), name="digits")
    hub.files["someone/digits", "manifest.json"] = dump_json(manifest).encode()
    error = sentence(run("pull", "someone/digits"))
    assert "is another digits 1 than that of someone/digits" in error


@pytest.mark.hostile(
    "A hub that sends a byte now and then, in a file or in its headers",
    "ends after 20 s below 1 KiB/s, or after 4 hours",
)
@pytest.mark.parametrize(
    "case", list(itertools.product(("generator.onnx", "HEAD", "GET"), ("speed", "time")))
)
def test_a_hub_that_trickles_does_not_keep_a_pull_waiting(hub, model, elsewhere, monkeypatch, case):
    slow, limit = case
    push(model, REPOSITORY)
    hub.trickle.add(slow)
    retry = RetryPolicy(timeout_s=0.2) if limit == "speed" else RetryPolicy(total_s=0.2)
    monkeypatch.setattr(pull_module, "_RETRY", retry)
    error = sentence(run("pull", REPOSITORY))
    name = slow if "." in slow else "manifest.json"
    expected = "the server sent only " if limit == "speed" else "it took longer than 0.2 s"
    assert f"cannot download {name} of {REPOSITORY}: {expected}" in error
    assert not list((elsewhere / "models").rglob("*.onnx"))

    hub.trickle.clear()
    monkeypatch.setattr(pull_module, "_RETRY", RetryPolicy())
    assert pull(REPOSITORY).manifest.name == "toy"


@pytest.mark.slow
def test_the_variables_of_the_hub_are_obeyed(hub, model, tmp_path):
    push(model, REPOSITORY)
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf-home"),
        "DCGAN_HOME": str(tmp_path / "other-home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", "from dcgan.zoo.cli import main; main()", "pull", REPOSITORY]

    def pull_with(**variables):
        return subprocess.run(
            command, env=environment | variables, capture_output=True, text=True, check=False
        )

    offline = pull_with(HF_HUB_OFFLINE="1")
    assert offline.returncode == 2
    assert "is not in the cache of huggingface_hub" in offline.stderr
    online = pull_with()
    assert online.returncode == 0, online.stderr
    again = pull_with(HF_HUB_OFFLINE="1")
    assert again.stdout == online.stdout
    assert hub.token not in online.stderr + offline.stderr
