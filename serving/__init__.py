"""From a model folder to a service, and the client of that service.

Public are the packages `dcgan.serving.client` and `dcgan.serving.load_test`, with the names that
they export; every other name may change in any release (docs/reference/python-api.md).
"""
