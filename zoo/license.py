"""The licence of a model: an SPDX identifier, and what people are shown."""

from __future__ import annotations

NO_LICENSE = "NOASSERTION"
"""What SPDX says where no licence is stated."""

UNSTATED = "not stated"
"""What people are shown in its place."""


def license_name(license_id: str) -> str:
    """Returns an SPDX identifier as people are shown it."""
    return UNSTATED if license_id == NO_LICENSE else license_id
