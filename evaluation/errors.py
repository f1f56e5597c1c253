"""Errors of evaluation."""

from dcgan.core.errors import DcganError


class EvaluationError(DcganError):
    """Images, a reference or weights that cannot be evaluated."""
