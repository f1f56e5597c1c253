"""Text of strangers at the doors of the zoo: it cannot forge, hide or colour a printed line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcgan.zoo.cli import main
from dcgan.zoo.release import sha256
from tests.zoo.misbehaving_server import Server

EVIL = "x\x1b[2J\x9b31m\rok\nError: forged\u202e\u2028\x00\x07\u200b"
IN_URL = "x%1b\x1b[2J\x9b31m\u202e"


def run(*arguments: object, keep: str = "\n") -> str:
    """Runs dcgan-zoo and returns all it has printed, which must have no other controls."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []  # those of pytest; a command has none
    try:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    finally:
        root.handlers = handlers
    assert result.exception is None or isinstance(result.exception, SystemExit)

    shown = result.output
    controls = {character for character in shown if not character.isprintable()} - set(keep)
    assert not controls, shown
    assert not any(line.startswith("Error: forged") for line in shown.splitlines()), shown
    return shown


@pytest.fixture
def edit(toy: Path) -> Callable[..., None]:
    """Changes the manifest of the toy: a function of dotted keys and values."""

    def change(changes: dict[str, object]) -> None:
        path = toy / "manifest.json"
        manifest = json.loads(path.read_text())
        for key, value in changes.items():
            *parents, last = [int(word) if word.isdecimal() else word for word in key.split(".")]
            place = manifest
            for parent in parents:
                place = place[parent]
            place[last] = value
        path.write_text(json.dumps(manifest))

    return change


ACCEPTED = {
    "description": EVIL,
    "license": EVIL,
    "training.data": EVIL,
    "training.hardware": EVIL,
    "producers": {EVIL: EVIL},
    "metrics": [{"name": EVIL, "value": 1.0, "protocol": EVIL}],
}
REFUSED = [
    {"name": EVIL},
    {"noise_scheme": EVIL},
    {"files.0.path": EVIL},
    {"files.0.role": EVIL},
    {"files.0.precision": EVIL},
    {"files.0.sha256": EVIL},
    {"golden.digests.0.path": EVIL},
    {"producers": {EVIL: 7}},
    {"class_names": [EVIL]},
    {"inputs.0.name": EVIL},
    {"inputs.0.dtype": EVIL},
    {EVIL.replace(".", ""): 1},
    {"version": EVIL},
]


@pytest.mark.hostile(
    "Escapes in every text of a valid manifest, shown by `dcgan-zoo`",
    "shown as `\\u001b`",
)
def test_what_a_valid_manifest_says_is_shown_without_controls(toy: Path, edit):
    edit(ACCEPTED)
    repository = ("--model-repository", toy.parents[1])
    assert "x\\u001b[2J\\u009b31m" in run(*repository, "list", "toy")
    shown = run(*repository, "info", "toy", "--json")
    assert json.loads(shown)["description"] == EVIL
    assert run(*repository, "verify", "toy").startswith("ok ")


@pytest.mark.hostile(
    "Escapes in every text of a manifest that is refused",
    "shown as `\\u001b`, no forged line",
)
@pytest.mark.parametrize("changes", REFUSED, ids=lambda changes: next(iter(changes))[:20])
def test_what_a_wrong_manifest_says_is_shown_without_controls(toy: Path, edit, changes):
    edit(changes)
    repository = ("--model-repository", toy.parents[1])
    assert "Error: " in run(*repository, "path", "toy")
    assert "DAMAGED" in run(*repository, "verify", "--all")
    assert "left out" in run(*repository, "list")


@pytest.mark.hostile("Escapes in a model card that `dcgan-zoo info` prints", "shown as `\\u001b`")
def test_a_card_is_printed_without_controls(toy: Path, edit):
    (toy / "README.md").write_bytes(f"# A card\n{EVIL.replace('Error', '')}\n\tindented\n".encode())
    manifest = json.loads((toy / "manifest.json").read_text())
    card = {"role": "card", "path": "README.md", "bytes": (toy / "README.md").stat().st_size}
    edit({"files": [*manifest["files"], card | {"sha256": sha256(toy / "README.md")}]})
    shown = run("--model-repository", toy.parents[1], "info", "toy", keep="\n\t")
    assert shown.startswith("# A card\nx\\u001b[2J\\u009b31m\\u000dok\n")
    assert "\n\tindented\n" in shown


@pytest.mark.parametrize("name", ["toy\x1b[2J", "toy\nError: forged", "toy\u202e"])
def test_a_folder_of_a_repository_is_named_without_controls(toy: Path, name: str):
    toy.parent.rename(toy.parents[1] / name)
    repository = ("--model-repository", toy.parents[1])
    assert "left out" in run(*repository, "list")
    assert "DAMAGED" in run(*repository, "verify", "--all")
    assert "there is no model 'other'" in run(*repository, "path", "other")


@pytest.mark.hostile("Escapes in an index", "shown as `\\u001b`, no forged line")
@pytest.mark.parametrize(
    "changes",
    [
        {"url": IN_URL},
        {"url": f"ftp://host/{IN_URL}"},
        {"url": f"http://{IN_URL}/"},
        {"sha256": EVIL},
        {EVIL: 1},
    ],
    ids=["a path", "a scheme", "a host", "a digest", "a key"],
)
def test_what_an_index_says_is_shown_without_controls(zoo: str, server: Server, changes):
    index = json.loads(server.files["/zoo/index.json"])
    index["models"][0].update(changes)
    server.files["/zoo/index.json"] = json.dumps(index).encode()
    assert "Error: " in run("--index", zoo, "fetch", "toy")


@pytest.mark.hostile("Escapes in a redirect", "shown as `\\u001b`, no forged line")
@pytest.mark.parametrize("location", ["ftp://a/\x1b[2J\x9b", "http://\x1b[2J\x9b/", "http://[\x1b"])
def test_where_a_server_redirects_to_is_shown_without_controls(server: Server, location: str):
    server.files["/index.json"] = b"{}"
    server.script = [f"redirect {location}"] * 10
    assert "Error: " in run("--index", server.url("/index.json"), "list")


@pytest.mark.hostile("Escapes in a file name of an archive", "shown as `\\u001b`, no forged line")
def test_a_file_of_an_archive_is_named_without_controls(zoo: str, server: Server):
    archive = server.files["/zoo/toy-1.tar"]
    server.files["/evil.tar"] = archive.replace(b"generator.onnx", b"genera\x1b[2J.\x9bx", 1)
    assert "Error: " in run("fetch", server.url("/evil.tar"))


def test_arguments_are_repeated_without_controls():
    argument = EVIL.replace("\0", "")
    for command in (["path", argument], ["list", argument], ["fetch", f"/{argument}.tar"]):
        run(*command)
