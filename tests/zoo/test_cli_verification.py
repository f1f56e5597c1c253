"""dcgan-zoo on models that are damaged or unsafe."""

import json
import re
import shutil
import tarfile

import pytest

from dcgan.zoo.catalog import model_cache
from dcgan.zoo.release import sha256
from dcgan.zoo.repository import SHIPPED

from .conftest import build_toy_graph, dcgan_zoo


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_verify_all_finds_one_flipped_byte(repository, copy_as):
    damaged = copy_as("toy-b", 1) / "generator.onnx"
    assert dcgan_zoo("--model-repository", repository, "verify", "--all").exit_code == 0
    flip(damaged)
    result = dcgan_zoo("--model-repository", repository, "verify", "--all")
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if str(repository) in line]
    assert [line.split()[0] for line in lines] == ["ok", "DAMAGED"]
    assert str(damaged) in lines[1]


def test_verify_passes_the_shipped_models_and_finds_one_flipped_byte_in_a_copy(tmp_path):
    shipped = dcgan_zoo("verify", "--all")
    assert shipped.exit_code == 0
    assert shipped.stdout.count("ok ") == len(list(SHIPPED.glob("*/*/manifest.json"))) > 0
    for file in ("generator.onnx", "golden.png", "README.md", "parity.json", "samples.png"):
        copy = tmp_path / file / "models"
        shutil.copytree(SHIPPED, copy)
        flip(copy / "dcgan64-tiny" / "1" / file)
        result = dcgan_zoo("--model-repository", copy, "verify", "--all")
        assert result.exit_code == 1
        assert f"{file} is damaged" in result.stdout


@pytest.mark.parametrize("damage", ["missing file", "edited manifest", "another name"])
def test_verify_finds_other_damage(repository, toy, damage):
    manifest = json.loads((toy / "manifest.json").read_text())
    if damage == "missing file":
        (toy / "golden.png").unlink()
    elif damage == "edited manifest":
        (toy / "manifest.json").write_text(json.dumps(manifest | {"latent_size": 17}))
    else:
        (toy / "manifest.json").write_text(json.dumps(manifest | {"name": "other"}))
    result = dcgan_zoo("--model-repository", repository, "verify", "--all")

    assert result.exit_code == 1
    assert "DAMAGED" in result.stdout
    assert dcgan_zoo("--model-repository", repository, "verify", "toy").exit_code == 1


def test_verify_refuses_an_unsafe_graph_and_an_unlisted_file(repository, toy, copy_as):
    (copy_as("toy-b", 1) / "w.bin").write_bytes(b"weights")
    change_graph(toy)
    result = dcgan_zoo("--model-repository", repository, "verify", "--all")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: 2 of \d+ models were refused\n", result.stderr)
    lines = [line for line in result.stdout.splitlines() if str(repository) in line]
    assert [line.split()[0] for line in lines] == ["UNSAFE", "DAMAGED"]
    assert "generator.onnx is not loaded: it uses the operator 'Sin'" in lines[0]
    assert "holds 'w.bin', which its manifest does not list; remove it" in lines[1]


@pytest.mark.hostile("A fetched model whose graph is unsafe", "refused; nothing enters the cache")
def test_fetch_refuses_an_unsafe_graph_and_leaves_nothing(toy, tmp_path):
    change_graph(toy)
    archive = tmp_path / "toy-1.tar"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in toy.iterdir():
            member = tarfile.TarInfo(path.name)
            member.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(member, file)
    result = dcgan_zoo("fetch", archive)

    assert result.exit_code == 2
    assert "toy-1.tar is refused: generator.onnx is not loaded: it uses the operator 'Sin'" in (
        result.stderr
    )
    assert result.stderr.count("\n") == 1
    assert not (model_cache() / "toy").exists()


def test_fetch_checks_a_model_that_is_on_this_machine(repository, toy):
    assert dcgan_zoo("--model-repository", repository, "fetch", "toy").exit_code == 0
    (toy / "w.bin").write_bytes(b"")
    result = dcgan_zoo("--model-repository", repository, "fetch", "toy")
    assert (result.exit_code, "holds 'w.bin'" in result.stderr) == (2, True)


def test_an_unsafe_model_is_not_packed(repository, toy, tmp_path):
    change_graph(toy)
    result = dcgan_zoo("--model-repository", repository, "pack", "--out", tmp_path / "zoo")
    assert (result.exit_code, "the operator 'Sin'" in result.stderr) == (2, True)


def change_graph(folder):
    """Gives a model folder a graph with an operator that no release has, and its right digest."""
    path = folder / "generator.onnx"
    path.write_bytes(build_toy_graph(activation="Sin"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0] |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
