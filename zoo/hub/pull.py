"""Pulls a model from a repository of the Hugging Face layout into the cache of fetched models."""

from __future__ import annotations

import shutil
from pathlib import Path

from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import private_folder
from dcgan.core.schema import SchemaError, dump_json, parse_json
from dcgan.core.text import printable
from dcgan.zoo.catalog import local_repositories, model_cache
from dcgan.zoo.download import RetryPolicy
from dcgan.zoo.http import Watchdog
from dcgan.zoo.hub.errors import HubError, hub_errors
from dcgan.zoo.hub.layout import name_in_repository, without_code
from dcgan.zoo.hub.watched import make_watchdog, watched
from dcgan.zoo.manifest import FILE_NAME, SCHEMA_VERSION, Manifest, ManifestError
from dcgan.zoo.onnx_model import UnsafeGraphError
from dcgan.zoo.publishing import check_not_fetched, publish
from dcgan.zoo.release import MAX_MANIFEST_BYTES, CorruptModelError, Release, read_release
from dcgan.zoo.repository import find_release, versions_of

MAX_BYTES = 2**31
"""Most bytes of all files of a model together."""

_SHOWN = 100
_RETRY = RetryPolicy()  # its speed and times; the library counts attempts


def pull(repository: str, revision: str | None = None) -> Release:
    """Downloads a model through `huggingface_hub`, which obeys HF_ENDPOINT and HF_HUB_OFFLINE.

    Only the files that the manifest lists are downloaded, at most with the sizes listed. Those
    whose loading can run code (TorchScript, .pt2) are left out.

    Args:
        repository: OWNER/NAME.
        revision: branch, tag or commit; the newest by default.

    Returns:
        The model in the cache, or one with the same files that is already on this machine.

    Raises:
        HubError: if it cannot be downloaded, is no model of dcgan-zoo, is damaged, or has the name
            of another model on this machine.
        RepositoryError: if the model cannot be written, or something else is in its place.
        CacheError: if the cache cannot be written.
    """
    watchdog = make_watchdog(_RETRY)
    with watchdog.running():
        return _pull(repository, revision, watchdog)


def _pull(repository: str, revision: str | None, watchdog: Watchdog) -> Release:
    private_folder("models")
    locks = private_folder("downloads")
    manifest = _read_manifest(repository, revision, watchdog)
    where = f"{manifest.name}-{manifest.version}"

    with wait_for_lock(locks / f"hub-{where}.lock", f"pull {repository}"):
        known = _find_known(manifest, repository)
        if known is not None:
            return known
        cache = model_cache()
        check_not_fetched(cache, manifest)
        with publish(cache, manifest.name, manifest.version) as folder:
            for file in manifest.files:
                name = name_in_repository(file)
                source = _download(repository, name, revision, file.bytes, watchdog)
                shutil.copyfile(source, folder / file.path)
            (folder / FILE_NAME).write_text(dump_json(manifest), encoding="utf-8")
            _verify(folder, repository)
    return find_release(cache, manifest.name, manifest.version)


def _read_manifest(repository: str, revision: str | None, watchdog: Watchdog) -> Manifest:
    """Downloads the manifest and returns it without files that can hold code."""
    shown = printable(repository, _SHOWN)
    path = _download(repository, FILE_NAME, revision, MAX_MANIFEST_BYTES, watchdog)
    try:
        text = path.read_text(encoding="utf-8")
        manifest = without_code(parse_json(Manifest, text, FILE_NAME, SCHEMA_VERSION))
    except (ManifestError, SchemaError, UnicodeDecodeError) as error:
        raise HubError(f"{shown} has a manifest that is not valid: {error}") from None

    # A repository must not choose a name that its user has not seen.
    if manifest.name != repository.rpartition("/")[2].lower():
        raise HubError(
            f"{shown} holds the model {manifest.name}, which is not the name of the repository; "
            "push it under its own name"
        )
    if sum(file.bytes for file in manifest.files) > MAX_BYTES:
        raise HubError(f"{shown} is over {MAX_BYTES // 2**30} GiB, which no model is")
    return manifest


def _find_known(manifest: Manifest, repository: str) -> Release | None:
    """Returns the model of this name and version on this machine, if it has the same files."""
    for place in local_repositories():
        if manifest.version not in versions_of(place, manifest.name):
            continue
        release = find_release(place, manifest.name, manifest.version)
        if without_code(release.manifest) == manifest:
            return release
        raise HubError(
            f"{release.folder} is another {manifest.name} {manifest.version} than that of "
            f"{printable(repository, _SHOWN)}; remove it with dcgan-zoo remove, or push the other "
            "one under another name"
        )
    return None


def _download(
    repository: str, file: str, revision: str | None, max_bytes: int, watchdog: Watchdog
) -> Path:
    """Downloads a file into the cache of huggingface_hub and returns its path there."""
    import huggingface_hub  # noqa: PLC0415 - the extra `hub`
    from huggingface_hub import constants  # noqa: PLC0415

    class Bar(_BoundedBar):
        name = file
        limit = max_bytes

    what = f"{printable(file, _SHOWN)} of {printable(repository, _SHOWN)}"
    with watched(watchdog, what), hub_errors(repository, constants.ENDPOINT):
        path = huggingface_hub.hf_hub_download(
            repository,
            file,
            revision=revision,
            library_name="dcgan-zoo",
            tqdm_class=Bar,  # type: ignore[arg-type]  # it has what the library calls
        )
        size = Path(path).stat().st_size
    if size > max_bytes:
        raise HubError(_too_large(file, max_bytes))
    return Path(path)


class _BoundedBar:
    """Stands in for a progress bar and ends a download that is larger than announced."""

    name = ""
    limit = 0

    def __init__(self, *, initial: int = 0, total: int | None = None, **_: object) -> None:
        self._received = initial
        self._check(total or 0)

    def __enter__(self) -> _BoundedBar:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, count: float | None = 1) -> None:
        """Counts received bytes."""
        self._received += int(count or 0)
        self._check(self._received)

    def close(self) -> None:
        """Ends the bar."""

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise HubError(_too_large(self.name, self.limit))


def _too_large(name: str, limit: int) -> str:
    return f"{printable(name, _SHOWN)} of the repository is over the {limit:,} bytes that it may be"


def _verify(folder: Path, repository: str) -> None:
    try:
        read_release(folder).verify()
    except (CorruptModelError, UnsafeGraphError) as error:
        reason = str(error).replace(f"{folder}/", "")
        raise HubError(
            f"the model in {printable(repository, _SHOWN)} is refused: {reason}"
        ) from None
