"""The command `dcgan-zoo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dcgan.core.command_line import CONTEXT_SETTINGS, Group
from dcgan.core.parameter_types import PATH
from dcgan.core.text import escape_unprintable, printable
from dcgan.zoo.command_options import NAME, VERSION, SearchPath
from dcgan.zoo.hub.cli import pull, push
from dcgan.zoo.license import license_name
from dcgan.zoo.progress import progress_bar

if TYPE_CHECKING:
    from dcgan.zoo.catalog import ModelEntry
    from dcgan.zoo.release import Release, RepositoryError


class VerificationError(click.ClickException):
    """A model that differs from its manifest: exit code 1."""

    exit_code = 1


@click.group("dcgan-zoo", cls=Group, context_settings=CONTEXT_SETTINGS)
@click.option(
    "--model-repository",
    "repository",
    type=PATH,
    help="A model repository of your own.",
)
@click.option("--index", help="Address, file or folder of an index of models to fetch.")
@click.option(
    "--index-key",
    metavar="KEY|FILE",
    help="Public key of minisign that must have signed the index. Needs the extra `signatures`.",
)
@click.pass_context
def main(
    context: click.Context, repository: Path | None, index: str | None, index_key: str | None
) -> None:
    """Find, fetch, verify and remove released models.

    Models come from the repository that you name, the cache of fetched models (DCGAN_HOME/models),
    the package itself, and the index that you name.
    """
    context.obj = SearchPath(repository=repository, index=index, index_key=index_key)


main.add_command(pull)
main.add_command(push)


@main.command("list")
@click.argument("pattern", default="*", metavar="[GLOB]")
@click.pass_obj
def list_(search: SearchPath, pattern: str) -> None:
    """List models with version, formats, size, quality, licence and source."""
    from dcgan.zoo.catalog import list_models

    entries = list_models(pattern, repository=search.repository, index=search.index, key=search.key)
    header = ("NAME", "VERSION", "FORMATS", "MIB", "QUALITY", "LICENCE", "WHERE")
    rows = [header, *(_row(entry) for entry in entries)]

    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@main.command()
@NAME
@VERSION
@click.option("--json", "as_json", is_flag=True, help="Print the manifest instead of the card.")
@click.pass_obj
def info(search: SearchPath, name: str, version: int | None, as_json: bool) -> None:
    """Print the model card, or the manifest."""
    from dcgan.core.schema import dump_json
    from dcgan.zoo.catalog import get_model

    entry = get_model(
        name, version, repository=search.repository, index=search.index, key=search.key
    )
    card = entry.manifest.file("card")
    if as_json or card is None or entry.folder is None:
        text = dump_json(entry.manifest)
    else:
        text = entry.release.read_card(card)
    click.echo(escape_unprintable(text, keep="\n\t"), nl=False)


@main.command()
@NAME
@VERSION
@click.pass_obj
def path(search: SearchPath, name: str, version: int | None) -> None:
    """Print the folder of a model, for scripts. Nothing is fetched."""
    from dcgan.zoo.catalog import get_model

    entry = get_model(
        name, version, repository=search.repository, index=search.index, key=search.key
    )
    click.echo(entry.release.folder)


@main.command()
@click.argument("name", metavar="NAME|URL")
@VERSION
@click.option("--sha256", help="SHA-256 of the archive at a URL, in hexadecimal.")
@click.pass_obj
def fetch(search: SearchPath, name: str, version: int | None, sha256: str | None) -> None:
    """Fetch a model of the index, or the archive at a URL, and print its folder.

    An interrupted download continues when the command is run again.
    """
    from dcgan.zoo.cache import fetch_archive, fetch_model
    from dcgan.zoo.catalog import get_model

    is_archive = "/" in name or name.endswith(".tar")
    if is_archive and version is not None:
        raise click.UsageError("--version goes with the NAME of a model, not with a URL")
    if not is_archive and sha256 is not None:
        raise click.UsageError(
            "--sha256 goes with the URL of an archive; the index has the digests of its models"
        )

    if is_archive:
        with progress_bar(None) as progress:
            entry = fetch_archive(name, sha256, progress=progress)
    else:
        found = get_model(
            name, version, repository=search.repository, index=search.index, key=search.key
        )
        with progress_bar(found.archive.bytes if found.archive else None) as progress:
            entry = fetch_model(found, progress=progress)
    click.echo(entry.folder)


@main.command()
@click.argument("name", required=False)
@VERSION
@click.option("--all", "everything", is_flag=True, help="Verify all models on this machine.")
@click.option(
    "--parity", is_flag=True, help="Also run each file and compare (needs the extra `export`)."
)
@click.option(
    "--trust-code",
    is_flag=True,
    help="With --parity, also load TorchScript and .pt2 files. Loading them can run code.",
)
@click.pass_obj
def verify(  # noqa: PLR0917 - click passes them by name
    search: SearchPath,
    name: str | None,
    version: int | None,
    everything: bool,
    parity: bool,
    trust_code: bool,
) -> None:
    """Verify that models are exactly what their manifests say, and that their graphs are safe.

    Exit code 1 if one is not.
    """
    from dcgan.zoo.onnx_model import UnsafeGraphError
    from dcgan.zoo.release import RepositoryError

    if trust_code and not parity:
        raise click.UsageError("--trust-code goes with --parity")
    if everything == (name is not None):
        raise click.UsageError("give the NAME of a model, or --all")
    if everything and version is not None:
        raise click.UsageError("--version goes with the NAME of a model, not with --all")

    found = _find_releases(search, name, version)
    failures = 0
    for release in found:
        try:
            if isinstance(release, RepositoryError):
                raise release
            release.verify()
            if parity:
                for line in _check_parity(release.folder, trust_code=trust_code):
                    click.echo(escape_unprintable(line))
        except (RepositoryError, UnsafeGraphError) as error:
            failures += 1
            verdict = "UNSAFE " if isinstance(error, UnsafeGraphError) else "DAMAGED"
            click.echo(f"{verdict}  {escape_unprintable(str(error))}")
        else:
            manifest = release.manifest
            click.echo(f"ok       {manifest.name} {manifest.version}  {release.folder}")
    if failures:
        raise VerificationError(f"{failures} of {len(found)} models were refused")


@main.command()
@NAME
@click.option(
    "--version",
    type=click.IntRange(1),
    show_default="all versions",
    help="Version to remove.",
)
def remove(name: str, version: int | None) -> None:
    """Remove a fetched model: all versions, or one."""
    from dcgan.zoo.cache import remove_model

    for folder in remove_model(name, version):
        click.echo(f"removed {folder}")


@main.command()
@click.argument("pattern", default="*", metavar="[GLOB]")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Folder for the archives and index.json.",
)
@click.pass_obj
def pack(search: SearchPath, pattern: str, out: Path) -> None:
    """Pack models for others to fetch: archives, and an index of them.

    All models of --model-repository, or else those that were fetched or come with the package; of
    these, the ones whose name matches GLOB, such as photos or 'photos-*'.

    Put the folder on any web server; its address followed by /index.json is what --index takes.
    """
    from dcgan.zoo.catalog import list_models
    from dcgan.zoo.index import write_index
    from dcgan.zoo.release import RepositoryError

    entries = list_models(pattern, repository=search.repository)
    releases = [
        entry.release for entry in entries if search.repository is None or entry.source == "folder"
    ]
    if not releases:
        raise RepositoryError(
            f"no model on this machine is named {pattern!r:.80}; dcgan-zoo list shows all"
        )
    click.echo(f"wrote {write_index(releases, out, click.echo)}")


def _row(entry: ModelEntry) -> tuple[str, ...]:
    from dcgan.zoo.quality import headline_metric

    metric = headline_metric(entry.manifest)
    quality = "not measured"
    if metric is not None:
        quality = f"{printable(metric.name, 40)} {metric.value:.4g}"

    return (
        entry.name,
        str(entry.version),
        ", ".join(entry.formats),
        f"{entry.bytes / 2**20:.1f}",
        quality,
        printable(license_name(entry.manifest.license), 40),
        entry.source,
    )


def _find_releases(
    search: SearchPath, name: str | None, version: int | None
) -> list[Release | RepositoryError]:
    """Returns the models to verify, or the reasons why they cannot be read."""
    from dcgan.zoo.catalog import get_model, iterate_releases, local_repositories
    from dcgan.zoo.release import CorruptModelError

    if name is None:
        places = local_repositories(search.repository)
        return [release for place in places for release in iterate_releases(place)]
    try:
        return [get_model(name, version, repository=search.repository).release]
    except CorruptModelError as error:
        return [error]


def _check_parity(folder: Path, *, trust_code: bool) -> list[str]:
    """Runs the parity gate, which needs torch, in a process of its own.

    Returns:
        A line for each file that was skipped because loading it could run code.
    """
    from dcgan.zoo.release import RepositoryError

    command = [sys.executable, "-m", "dcgan.export", "--check", str(folder)]
    if trust_code:
        command.append("--trust-code")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["it ended without a message"]
        reason = lines[-1].removeprefix("Error: ")
        raise RepositoryError(f"{folder} does not pass the parity gate: {reason}")
    return [line for line in result.stdout.splitlines() if line.startswith("skipped ")]
