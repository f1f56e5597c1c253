"""The command `dcgan-zoo`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Group


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Where to look for models, beside the cache and the package."""

    repository: Path | None
    index: str | None


class DamageError(click.ClickException):
    """A model that is not what it says: exit code 1."""

    exit_code = 1


_NAME = click.argument("name")
_VERSION = click.option(
    "--version", type=click.IntRange(1), show_default="the newest", help="Version of the model."
)


@click.group("dcgan-zoo", cls=Group, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--model-repository",
    "repository",
    type=click.Path(path_type=Path),
    help="A repository of your own to look in.",
)
@click.option("--index", help="Address, file or folder of an index of models that can be fetched.")
@click.pass_context
def main(context: click.Context, repository: Path | None, index: str | None) -> None:
    """Find, fetch, check and remove released models.

    Models are looked for in the repository you name, among those that were fetched (in DCGAN_HOME/models), among those
    that come with the package, and in the index you name.
    """
    context.obj = Reach(repository=repository, index=index)


@main.command("list")
@click.argument("pattern", default="*", metavar="[GLOB]")
@click.pass_obj
def list_(reach: Reach, pattern: str) -> None:
    """List models: name, version, formats, size, quality, licence, and where they are."""
    from dcgan.zoo.catalog import list_models

    rows = [("NAME", "VERSION", "FORMATS", "MIB", "QUALITY", "LICENCE", "WHERE")]
    for entry in list_models(pattern, repository=reach.repository, index=reach.index):
        metric = next(iter(entry.manifest.metrics), None)
        rows.append(
            (
                entry.name,
                str(entry.version),
                ", ".join(entry.formats),
                f"{entry.bytes / 2**20:.1f}",
                f"{metric.name} {metric.value:.4g}" if metric else "not measured",
                entry.manifest.license,
                entry.source,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


@main.command()
@_NAME
@_VERSION
@click.option("--json", "as_json", is_flag=True, help="Print the manifest instead.")
@click.pass_obj
def info(reach: Reach, name: str, version: int | None, as_json: bool) -> None:
    """Print the card of a model, or its manifest."""
    from dcgan.core.schema import dump_json
    from dcgan.zoo.catalog import get_model

    entry = get_model(name, version, repository=reach.repository, index=reach.index)
    card = entry.manifest.file("card")
    if as_json or card is None or entry.folder is None:
        click.echo(dump_json(entry.manifest), nl=False)
    else:
        click.echo((entry.folder / card.path).read_text(encoding="utf-8"), nl=False)


@main.command()
@_NAME
@_VERSION
@click.pass_obj
def path(reach: Reach, name: str, version: int | None) -> None:
    """Print the folder of a model, for scripts. Nothing is fetched."""
    from dcgan.zoo.catalog import get_model

    click.echo(
        get_model(name, version, repository=reach.repository, index=reach.index).release.folder
    )


@main.command()
@click.argument("name", metavar="NAME|URL")
@_VERSION
@click.option("--sha256", help="Digest of the archive at a URL, in hexadecimal.")
@click.pass_obj
def fetch(reach: Reach, name: str, version: int | None, sha256: str | None) -> None:
    """Bring a model of the index, or the archive at a URL, into the cache, and print its folder.

    What breaks off goes on where it stopped when the command is run again.
    """
    from dcgan.zoo.catalog import fetch_archive, fetch_model, get_model

    if "/" in name or name.endswith(".tar"):
        with _bar(None) as progress:
            entry = fetch_archive(name, sha256, progress=progress)
    else:
        found = get_model(name, version, repository=reach.repository, index=reach.index)
        with _bar(found.archive.bytes if found.archive else None) as progress:
            entry = fetch_model(found, progress=progress)
    click.echo(entry.folder)


@main.command()
@click.argument("name", required=False)
@_VERSION
@click.option("--all", "everything", is_flag=True, help="Every model that is here.")
@click.option(
    "--parity", is_flag=True, help="Run each file as well, and compare (needs the extra `export`)."
)
@click.option(
    "--trust-code",
    is_flag=True,
    help="With --parity, also load TorchScript and .pt2 files. Loading them can run code.",
)
@click.pass_obj
def verify(
    reach: Reach,
    name: str | None,
    version: int | None,
    everything: bool,
    parity: bool,
    trust_code: bool,
) -> None:
    """Check that every byte of a model is what its manifest says. Exit code 1 means that one is not."""
    from dcgan.zoo.catalog import get_model, iterate_releases, places
    from dcgan.zoo.repository import CorruptModelError, Release, RepositoryError

    if trust_code and not parity:
        raise click.UsageError("--trust-code goes with --parity")
    if everything == (name is not None):
        raise click.UsageError("give the NAME of a model, or --all")
    found: list[Release | RepositoryError]
    if name is None:
        found = [release for place in places(reach.repository) for release in iterate_releases(place)]
    else:
        try:
            found = [get_model(name, version, repository=reach.repository).release]
        except CorruptModelError as error:
            found = [error]
    failures = 0
    for release in found:
        try:
            if isinstance(release, RepositoryError):
                raise release
            release.verify()
            if parity:
                for line in _check_parity(release.folder, trust_code=trust_code):
                    click.echo(line)
            click.echo(
                f"ok       {release.manifest.name} {release.manifest.version}  {release.folder}"
            )
        except RepositoryError as error:
            failures += 1
            click.echo(f"DAMAGED  {error}")
    if failures:
        raise DamageError(f"{failures} of {len(found)} models are not what they say")


@main.command()
@_NAME
@_VERSION
def remove(name: str, version: int | None) -> None:
    """Remove a fetched model, every version of it or one."""
    from dcgan.zoo.catalog import remove_model

    for folder in remove_model(name, version):
        click.echo(f"removed {folder}")


@main.command()
@click.argument("pattern", default="*", metavar="[GLOB]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the archives and index.json.",
)
@click.pass_obj
def pack(reach: Reach, pattern: str, out: Path) -> None:
    """Pack models for others to fetch: archives, and an index of them.

    All models of --model-repository, or else those that were fetched or come with the package; of these, the ones whose
    name matches GLOB, such as photos or 'photos-*'.

    Put the folder on any web server; its address followed by /index.json is what --index takes.
    """
    from dcgan.zoo.catalog import list_models
    from dcgan.zoo.index import write_index
    from dcgan.zoo.repository import RepositoryError

    entries = list_models(pattern, repository=reach.repository)
    releases = [
        entry.release for entry in entries if reach.repository is None or entry.source == "folder"
    ]
    if not releases:
        raise RepositoryError(
            f"no model that is here is named {pattern!r:.80}; dcgan-zoo list shows those that are"
        )
    click.echo(f"wrote {write_index(releases, out, click.echo)}")


def _check_parity(folder: Path, *, trust_code: bool) -> list[str]:
    """Runs the parity gate, which needs torch, in a process of its own.

    Returns:
        A line for each file that was skipped because loading it could run code.
    """
    from dcgan.zoo.repository import RepositoryError

    command = [sys.executable, "-m", "dcgan.export", "--check", str(folder)]
    if trust_code:
        command.append("--trust-code")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["it ended without a word"])[
            -1
        ].removeprefix("Error: ")
        raise RepositoryError(f"{folder} does not pass the parity gate: {reason}")
    return [line for line in result.stdout.splitlines() if line.startswith("skipped ")]


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar with the time left, on a terminal; a count where the size is not known; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    if total is None:
        yield lambda size: click.echo(f"\rfetching  {size / 2**20:.1f} MiB", nl=False, err=True)
        click.echo(err=True)
        return
    with click.progressbar(length=total, label="fetching", file=sys.stderr, show_pos=True) as bar:

        def advance(size: int) -> None:
            bar.update(size - bar.pos)

        yield advance
