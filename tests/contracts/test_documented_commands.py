"""What README.md and the documentation tell people to type is accepted, and runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from urllib.request import urlopen

import click
import numpy as np
import pytest
from PIL import Image

from dcgan.serving.launch import launch_server

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("tutorial/*.md")),
    *sorted((ROOT / "docs").glob("how-to/*.md")),
    *sorted((ROOT / "docs").glob("explanation/*.md")),
]


def blocks(page: Path, kind: str) -> list[str]:
    """The code blocks of one kind on a page."""
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every call of one of our commands in the bash blocks of a page, continuation lines joined."""
    lines = [
        line for text in blocks(page, "bash") for line in text.replace("\\\n", " ").splitlines()
    ]
    calls = [line.partition("#")[0].strip().removesuffix("&").strip() for line in lines]
    calls = [re.sub(r"^\.venv/bin/", "", call) for call in calls]
    return [call for call in calls if re.match(r"dcgan-", call)]


def all_commands() -> list[object]:
    """Each command once, with the page that shows it first as its id."""
    seen: dict[str, object] = {}
    for page in PAGES:
        for line in commands(page):
            seen.setdefault(line, pytest.param(line, id=f"{page.stem}: {line}"))
    return list(seen.values())


@pytest.mark.parametrize("line", all_commands())
def test_a_documented_command_is_accepted(line: str):
    name, *arguments = shlex.split(line)
    command = next(
        point for point in entry_points(group="console_scripts") if point.name == name
    ).load()
    if isinstance(command, click.Group):  # dcgan-zoo [OPTIONS] COMMAND ...
        command.make_context(name, list(arguments))
        place = next(i for i, word in enumerate(arguments) if word in command.commands)
        command, arguments = command.commands[arguments[place]], arguments[place + 1 :]
    command.make_context(name, arguments)


def test_the_pages_that_matter_have_commands():
    tutorial = ROOT / "docs" / "tutorial" / "your-own-images.md"
    assert len(commands(ROOT / "README.md")) >= 5
    assert len(commands(tutorial)) >= 5


def make_targets() -> list[str]:
    """Every target of make that a page names, in text or in a block."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    found = [re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE) for text in texts]
    return sorted({name for names in found for name in names})


@pytest.mark.parametrize("target", make_targets())
def test_a_documented_make_target_exists(target: str):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path):
    """Against the shipped model, served on a free port instead of the default one."""
    options = ("--port", "0", "--metrics-port", "0")
    with launch_server([str(BIN / "dcgan-serve"), *options], cwd=tmp_path) as server:
        for program in blocks(page, "python"):
            moved = program.replace("127.0.0.1:8001", server.address)
            subprocess.run(
                [sys.executable, "-W", "error", "-c", moved],
                cwd=tmp_path,
                check=True,
                timeout=120,
            )

    assert server.process.returncode == 0


@pytest.mark.slow
def test_the_addresses_of_the_http_page_answer(tmp_path: Path):
    (text, *_) = blocks(ROOT / "docs" / "how-to" / "use-http.md", "bash")
    lines = [shlex.split(line) for line in text.splitlines()]
    assert len(lines) >= 3
    assert all(words[:2] == ["curl", "-o"] for words in lines)

    options = ("--port", "0", "--metrics-port", "0", "--http-port", "0")
    with launch_server([str(BIN / "dcgan-serve"), *options], cwd=tmp_path) as server:
        for _, _, name, url in lines:
            moved = url.replace("127.0.0.1:8000", str(server.report.http_address))
            with urlopen(moved, timeout=60) as response:
                media_type = response.headers.get_content_type()
                assert media_type == f"image/{name.rpartition('.')[2]}"
                assert "immutable" in response.headers["Cache-Control"]


def test_the_latent_vectors_of_the_client_page_are_those_of_the_service():
    from dcgan.core.noise import latents

    (program,) = blocks(ROOT / "docs" / "how-to" / "write-a-client.md", "python")
    names: dict[str, object] = {}
    exec(program, names)
    for seed, index in ((0, 0), (7, 10**6), (2**63 + 1, 3), (2**64 - 1, 10**6)):
        assert np.array_equal(names["latent"](seed, index, 100), latents(seed, index, 1, 100)[0])


@pytest.mark.slow
def test_four_commands_lead_from_images_to_a_grid(tmp_path: Path):
    """The four commands of the README for real, with made-up images and a small recipe."""
    train, export, serve, generate = commands(ROOT / "README.md")[-4:]
    names = [line.split()[0] for line in (train, export, serve, generate)]
    assert names == ["dcgan-train", "dcgan-export", "dcgan-serve", "dcgan-generate"]

    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(20):
        pixels = generator.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")

    quick = "--recipe dcgan64-tiny --steps 2 --set batch_size=8"
    run(tmp_path, f"{train} {quick}")
    run(tmp_path, export)
    program, *options = shlex.split(f"{serve} --port 0 --metrics-port 0")
    with launch_server([str(BIN / program), *options], cwd=tmp_path) as server:
        run(tmp_path, f"{generate} --target {server.address}")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (8 * 64, 8 * 64)


def run(folder: Path, line: str) -> None:
    """Run one documented command in a folder."""
    program, *arguments = shlex.split(line)
    done = subprocess.run(
        [str(BIN / program), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
