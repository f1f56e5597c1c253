"""Pushes a model into a repository of the Hugging Face layout."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from dcgan.core.schema import dump_json
from dcgan.zoo.hub.errors import HubError, hub_errors
from dcgan.zoo.hub.layout import CONFIG, hub_config, name_in_repository, without_code
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.release import Release


def push(release: Release, repository: str, *, private: bool = False) -> str:
    """Uploads a model in one commit through `huggingface_hub`.

    TorchScript and .pt2 files, which can hold code, are left out.

    Args:
        release: the model.
        repository: OWNER/NAME; it is created if there is none.
        private: whether a new repository is private.

    Returns:
        The address of the repository.

    Raises:
        HubError: if it cannot be uploaded, or has no safetensors file.
        CorruptModelError: if it differs from its manifest.
    """
    from huggingface_hub import HfApi, constants  # noqa: PLC0415 - the extra `hub`
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    release.verify()
    manifest = release.manifest
    _check_pushable(release, repository)
    if not sys.stderr.isatty():
        disable_progress_bars()

    with tempfile.TemporaryDirectory() as temporary, hub_errors(repository, constants.ENDPOINT):
        folder = Path(temporary)
        write_layout(release, folder)
        api = HfApi(library_name="dcgan-zoo")
        url = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message=f"{manifest.name}, version {manifest.version}",
        )
    return str(url)


def write_layout(release: Release, folder: Path) -> None:
    """Writes the files of a repository into an empty folder."""
    manifest = without_code(release.manifest)
    for file in manifest.files:
        shutil.copyfile(release.path(file), folder / name_in_repository(file))
    (folder / FILE_NAME).write_text(dump_json(manifest), encoding="utf-8")
    (folder / CONFIG).write_text(hub_config(manifest), encoding="utf-8")


def _check_pushable(release: Release, repository: str) -> None:
    manifest = release.manifest
    if manifest.file("safetensors") is None:
        raise HubError(
            f"{release.folder} has no safetensors file, which the layout needs; dcgan-export "
            f"{release.folder} --out DIR --safetensors publishes a copy that has one"
        )
    if manifest.name != repository.rpartition("/")[2].lower():
        raise HubError(
            f"a repository has the name of its model: push {manifest.name} to OWNER/{manifest.name}"
        )
