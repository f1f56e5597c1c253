"""The models of one server, by name and version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from dcgan.serving.errors import RequestError
from dcgan.serving.models.served_model import ServedModel

_MAX_LISTED = 20  # models in an error message, which must fit in 8 KiB of metadata
_MAX_NAME_LENGTH = 80  # of a requested name in an error message


class ModelNotFoundError(RequestError):
    """The server has no such model, or not in that version.

    Args:
        name: requested name.
        version: requested version; None if any would do.
        available: names and versions of the models that exist.

    Attributes:
        name: requested name, shortened.
    """

    reason: ClassVar[str] = "MODEL_NOT_FOUND"

    def __init__(self, name: str, version: int | None, available: Sequence[str]) -> None:
        wanted = f"{name!r:.{_MAX_NAME_LENGTH}}"
        if version is not None:
            wanted += f" version {version}"

        listed = ", ".join(available[:_MAX_LISTED])
        if len(available) > _MAX_LISTED:
            listed += f", and {len(available) - _MAX_LISTED} more; ListModels returns all of them"

        super().__init__(f"there is no model {wanted}; this server has {listed}")
        self.name = name[:_MAX_NAME_LENGTH]


class ModelRegistry:
    """The models that are served.

    Args:
        models: at least one, the default model first.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.models = tuple(models)

    @property
    def default(self) -> ServedModel:
        """The model of a request that names none."""
        return self.models[0]

    def find(self, name: str, version: int | None) -> ServedModel:
        """Returns the requested model.

        Args:
            name: of the model; empty for the default model.
            version: of the model; None for the served one.

        Raises:
            ModelNotFoundError: if there is no such model.
        """
        candidates = self.models if name else (self.default,)
        for model in candidates:
            if name in ("", model.name) and version in (None, model.version):
                return model

        available = [f"{model.name} version {model.version}" for model in self.models]
        raise ModelNotFoundError(name or self.default.name, version, available)

    def check(self, longest_batch_s: float) -> bool:
        """Checks the engines of all models; see `Dispatcher.check`.

        Returns:
            Whether all engines are healthy.
        """
        states = [model.dispatcher.check(longest_batch_s) for model in self.models]
        return all(states)
