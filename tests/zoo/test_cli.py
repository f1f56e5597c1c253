"""dcgan-zoo: what it prints, and how it fails."""

import errno
import json
import re
import shutil
import tarfile
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from dcgan.zoo.catalog import model_cache
from dcgan.zoo.cli import main
from dcgan.zoo.release import sha256
from dcgan.zoo.repository import SHIPPED

from .conftest import build_toy_graph


def dcgan_zoo(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def repository(toy):
    return toy.parent.parent


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_list_tells_what_and_where(repository, zoo):
    lines = dcgan_zoo("--model-repository", repository, "list", "toy*").stdout.splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "FORMATS", "MIB", "QUALITY", "LICENCE", "WHERE"]
    assert lines[1].split() == [
        "toy",
        "1",
        "onnx",
        "fp32",
        "0.0",
        "not",
        "measured",
        "Apache-2.0",
        "folder",
    ]
    assert dcgan_zoo("--index", zoo, "list", "toy*").stdout.splitlines()[1].endswith("index")


def test_list_shows_the_newest_distance_of_the_fp32_file():
    # The manifest of dcgan64 has figures of three files.
    line = dcgan_zoo("list", "dcgan64").stdout.splitlines()[1]
    assert "KD-Lite0 x1000 15.69" in line


def test_the_index_can_stand_in_the_environment(zoo):
    result = CliRunner(env={"DCGAN_ZOO_INDEX": zoo}).invoke(main, ["list", "toy"])
    assert result.stdout.splitlines()[1].endswith("index")


def test_fetch_path_info_verify_remove(zoo):
    folder = model_cache() / "toy" / "1"
    assert dcgan_zoo("--index", zoo, "fetch", "toy").stdout == f"{folder}\n"
    assert dcgan_zoo("path", "toy").stdout == f"{folder}\n"
    assert json.loads(dcgan_zoo("info", "toy", "--json").stdout)["name"] == "toy"
    assert dcgan_zoo("verify", "toy").stdout.startswith("ok ")
    assert dcgan_zoo("remove", "toy").stdout == f"removed {folder}\n"
    assert dcgan_zoo("path", "toy").exit_code == 2


def test_info_prints_the_card(repository, toy):
    manifest = json.loads((toy / "manifest.json").read_text())
    (toy / "README.md").write_text("# A card\n")
    manifest["files"].append({"role": "card", "path": "README.md", "bytes": 9, "sha256": "0" * 64})
    (toy / "manifest.json").write_text(json.dumps(manifest))
    assert dcgan_zoo("--model-repository", repository, "info", "toy").stdout == "# A card\n"


def test_pack_makes_what_fetch_takes(repository, copy_as, tmp_path):
    copy_as("toy", 2)
    result = dcgan_zoo("--model-repository", repository, "pack", "toy", "--out", tmp_path / "zoo")

    assert result.exit_code == 0, result.output
    everything = dcgan_zoo("--model-repository", repository, "pack", "--out", tmp_path / "all")
    assert everything.exit_code == 0, everything.output
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
        "toy-1.tar",
        "toy-2.tar",
        "index.json",
    }
    for version in (1, 2):
        assert (
            dcgan_zoo("--index", tmp_path / "zoo", "fetch", "toy", "--version", version).exit_code
            == 0
        )
    assert (
        dcgan_zoo("fetch", tmp_path / "zoo" / "toy-2.tar").exit_code == 2
    )  # a released model is never changed


def test_a_pattern_that_matches_nothing_leaves_an_index_as_it_was(repository, tmp_path):
    out = tmp_path / "zoo"
    assert dcgan_zoo("--model-repository", repository, "pack", "toy", "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    result = dcgan_zoo("--model-repository", repository, "pack", "tyo*", "--out", out)
    assert (result.exit_code, "no model on this machine is named 'tyo*'" in result.stderr) == (
        2,
        True,
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_model_that_cannot_be_written_leaves_an_index_as_it_was(
    repository, copy_as, tmp_path, monkeypatch
):
    out = tmp_path / "zoo"
    assert dcgan_zoo("--model-repository", repository, "pack", "toy", "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    copy_as("toy", 2)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("dcgan.core.atomic.flush", Mock(side_effect=full))
    assert dcgan_zoo("--model-repository", repository, "pack", "toy", "--out", out).exit_code == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_file_that_may_not_be_read_is_one_sentence(repository, toy, monkeypatch):
    def refuse(path: Path) -> str:
        raise PermissionError(
            errno.EACCES, "Permission denied", str(path)
        )  # which root does not get from the system

    monkeypatch.setattr("dcgan.zoo.release.sha256", refuse)
    result = dcgan_zoo("--model-repository", repository, "verify", "toy")
    assert (
        result.exit_code,
        "Permission denied; give this user the right to" in result.stdout,
    ) == (1, True)


def refuse_locked(method):
    """A method of Path that fails below /locked, as root's own folders do for others."""

    def call(path, *arguments, **options):
        if str(path).startswith("/locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return method(path, *arguments, **options)

    return call


@pytest.fixture(params=["no home", "a home that cannot be written", "a home that cannot be read"])
def homeless(request, monkeypatch, tmp_path):
    """A user who has no place for a cache."""
    for name in ("HOME", "DCGAN_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    if request.param == "no home":
        monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])
    elif request.param == "a home that cannot be written":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    else:
        monkeypatch.setenv("HOME", "/locked")
        for name in ("is_dir", "mkdir"):
            monkeypatch.setattr(Path, name, refuse_locked(getattr(Path, name)))


def test_only_fetching_needs_a_cache(homeless, repository, zoo):
    for options in (
        ["list"],
        ["info", "dcgan64-tiny"],
        ["path", "dcgan64-tiny"],
        ["verify", "--all"],
    ):
        result = dcgan_zoo("--model-repository", repository, *options)
        assert result.exit_code == 0, result.output
    listed = dcgan_zoo("--index", zoo, "list", "toy")

    assert (listed.exit_code, "index" in listed.stdout) == (0, True)
    fetched = dcgan_zoo("--index", zoo, "fetch", "toy")
    assert (fetched.exit_code, "set DCGAN_HOME" in fetched.stderr) == (2, True)


def test_an_archive_of_a_version_that_is_there_names_the_way_to_replace_it(zoo, server):
    assert dcgan_zoo("fetch", server.url("/zoo/toy-1.tar")).exit_code == 0
    again = dcgan_zoo("fetch", server.url("/zoo/toy-1.tar"))
    assert again.exit_code == 2
    assert "first run dcgan-zoo remove toy --version 1" in again.stderr
    assert "--name" not in again.stderr


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


BAD = {
    "an unknown model": ("path", "nothing"),
    "a bad name": ("info", "../toy"),
    "verify without a name": ("verify",),
    "verify with a name and --all": ("verify", "toy", "--all"),
    "an index that is missing": ("--index", "none/index.json", "list"),
    "a repository that is missing": ("--model-repository", "none", "list"),
    "removing what was not fetched": ("remove", "toy"),
    "a server that is not there": ("fetch", "file:///none/toy.tar"),
    "a malformed address": ("fetch", "http://[/toy.tar"),
    "a malformed index": ("--index", "http://[", "list"),
    "a folder to fetch": ("fetch", "/"),
    "a version below 1": ("path", "toy", "--version", "0"),
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence_and_exit_code_2(arguments):
    result = dcgan_zoo(*arguments)
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.output


@pytest.mark.hostile("A model card of 2 GB", "refused after 1 MiB")
def test_a_card_of_gigabytes_is_not_read(repository, toy):
    manifest = json.loads((toy / "manifest.json").read_text())
    with (toy / "README.md").open("wb") as file:
        file.truncate(2**31 - 1)
    card = {"role": "card", "path": "README.md", "bytes": 2**31 - 1, "sha256": "0" * 64}
    manifest["files"].append(card)
    (toy / "manifest.json").write_text(json.dumps(manifest))
    result = dcgan_zoo("--model-repository", repository, "info", "toy")
    assert result.exit_code == 2
    assert "it has over 1 MiB" in result.stderr
