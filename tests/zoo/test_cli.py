"""dcgan-zoo: what it prints, and how it fails."""

import errno
import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from dcgan.zoo.catalog import model_cache
from dcgan.zoo.cli import main

from .conftest import dcgan_zoo


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


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("fetch", "toy", "--sha256", "0" * 64), "--sha256"),
        (("fetch", "toy.tar", "--version", 7), "--version"),
        (("verify", "--all", "--version", 99), "--version"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, option, zoo):
    result = dcgan_zoo("--index", zoo, *arguments)
    assert result.exit_code == 2
    assert f"Error: {option} goes with the " in result.stderr


def test_the_help_of_remove_says_what_goes_without_a_version():
    text = " ".join(dcgan_zoo("remove", "--help").stdout.split())
    assert "Version to remove. [default: (all versions)" in text


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
