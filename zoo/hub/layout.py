"""The layout of a repository: config.json, model.safetensors, README.md and the other files.

It is the model folder without files that can hold code, with the weights under the name that
libraries of the hub look for. Source: the hub's documentation of model repositories.
"""

from __future__ import annotations

import json
from dataclasses import replace

from dcgan.zoo.manifest import Manifest, ModelFile

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

_CODE_ROLES = frozenset({"torchscript", "pt2"})


def without_code(manifest: Manifest) -> Manifest:
    """Returns a manifest without the files whose loading can run code."""
    files = tuple(file for file in manifest.files if file.role not in _CODE_ROLES)
    paths = {file.path for file in files}
    digests = tuple(digest for digest in manifest.golden.digests if digest.path in paths)
    return replace(
        manifest,
        files=files,
        golden=replace(manifest.golden, digests=digests),
        parity=tuple(verdict for verdict in manifest.parity if verdict.path in paths),
    )


def name_in_repository(file: ModelFile) -> str:
    """Returns the name of a file of a model folder in a repository."""
    return WEIGHTS if file.role == "safetensors" else file.path


def hub_config(manifest: Manifest) -> str:
    """Returns config.json: the shape of the network and what its labels mean."""
    config: dict[str, object] = {
        "architectures": ["Generator"],
        "model_type": "dcgan",
        "library_name": "dcgan-zoo",
        "name": manifest.name,
        "version": manifest.version,
        "image_size": manifest.image_size,
        "num_channels": manifest.channels,
        "latent_size": manifest.latent_size,
        "noise_scheme": manifest.noise_scheme,
    }
    if manifest.classes:
        names = manifest.class_names or tuple(map(str, range(manifest.classes)))
        config["num_labels"] = manifest.classes
        config["id2label"] = {str(label): name for label, name in enumerate(names)}
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
