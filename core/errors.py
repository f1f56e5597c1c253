"""The base class of all errors that a user can fix.

DcganError
├── CacheError                  the cache folder cannot be used                  (core)
├── SchemaError                 a JSON or TOML document of the wrong form        (core.schema)
├── SessionError                a model that ONNX Runtime cannot run             (core.onnx_session)
├── ManifestError               a manifest that contradicts itself               (zoo.manifest)
├── RepositoryError             a model folder that is missing or taken          (zoo.release)
│   └── CorruptModelError       a model folder that differs from its manifest    (zoo.release)
├── UnsafeGraphError            an ONNX file that is not safe to load            (zoo.onnx_model)
├── DownloadError               a file that cannot be downloaded                 (zoo.download)
├── HubError                    a repository that cannot be pulled or pushed     (zoo.hub)
└── TrainingError, ExportError, ServingError, ClientError and others, in their parts
"""

from __future__ import annotations

from dcgan.core.text import shorten_numbers


class DcganError(Exception):
    """An error that the user can fix; one sentence names the problem and the cure.

    Commands print the message without a traceback and exit with code 2. Every other exception that
    escapes is a bug.
    """

    def __str__(self) -> str:
        return shorten_numbers(super().__str__())


class CacheError(DcganError):
    """The cache folder cannot be found, created or written."""
