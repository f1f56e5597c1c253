"""The one error that every part raises for what its user can mend.

DcganError
├── SchemaError        a JSON or TOML document that is not what it should be   (record.py)
├── ManifestError      a manifest that contradicts itself                      (manifest.py)
├── RepositoryError    a model folder that is missing, damaged or taken        (repository.py)
└── one subclass for each part of the project, in that part
"""


class DcganError(Exception):
    """Something the user can mend. The message is one sentence that names the thing and the cure.

    Command lines print it without a traceback and exit with code 2; everything else that escapes is a bug.
    """


class CacheError(DcganError):
    """The cache folder cannot be written."""
