"""Observability: metrics and logs."""

import os

# Each process serves its metrics itself. With this variable, which other servers need, the library
# would write them to files instead, and fail if the folder does not exist.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
os.environ.pop("prometheus_multiproc_dir", None)
