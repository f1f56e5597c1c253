"""Errors of a Hugging Face hub as sentences; none of them shows a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dcgan.core.errors import DcganError
from dcgan.core.text import printable, public_url

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


class HubError(DcganError):
    """A repository that cannot be pulled or pushed."""


@contextmanager
def hub_errors(repository: str, endpoint: str) -> Iterator[None]:
    """Turns the errors of `huggingface_hub` into sentences.

    Args:
        repository: OWNER/NAME.
        endpoint: address of the hub.

    Raises:
        HubError: in place of them.
    """
    from huggingface_hub import constants, errors  # noqa: PLC0415 - the extra `hub`

    network_error = errors.HTTPError  # type: ignore[attr-defined]  # of its HTTP library
    hub = public_url(endpoint)
    name = printable(repository, 100)
    try:
        yield
    except errors.HFValidationError:
        raise HubError(f"{name!r} is not a repository: give OWNER/NAME") from None
    except errors.OfflineModeIsEnabled:
        raise HubError(_offline(name)) from None
    except errors.LocalEntryNotFoundError as error:
        if constants.is_offline_mode():
            raise HubError(_offline(name)) from None
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise HubError(_refused(hub, name, error.__cause__)) from None
        raise HubError(f"cannot reach {hub}; check the network and HF_ENDPOINT") from None
    except errors.RepositoryNotFoundError:
        raise HubError(
            f"{hub} has no model {name} that you may use; check the name, or log in with "
            "'hf auth login' or HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{name} has no such revision; leave --revision out") from None
    except errors.RemoteEntryNotFoundError:
        raise HubError(
            f"{name} lacks a file of a model of dcgan-zoo; push it again with dcgan-zoo push"
        ) from None
    except errors.HfHubHTTPError as error:
        raise HubError(_refused(hub, name, error)) from None
    except (network_error, OSError, RuntimeError) as error:  # RuntimeError: a failed upload
        # The text of these may hold addresses with secrets.
        raise HubError(f"cannot exchange files with {hub}: {type(error).__name__}") from None


def _refused(hub: str, name: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    return f"{hub} answered {status} for {name}; check the name and the token, or try again later"


def _offline(name: str) -> str:
    return f"{name} is not in the cache of huggingface_hub; pull it once without HF_HUB_OFFLINE"
