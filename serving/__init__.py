"""From a model folder to a service, and the client of that service.

Public are `local`, and the packages `dcgan.serving.client` and `dcgan.serving.load_test` with the
names that they export; every other name may change in any release (docs/reference/python-api.md).
"""

from dcgan.serving.local_server import local

__all__ = ["local"]
