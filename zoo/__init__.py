"""Released models: manifests, model folders, archives, indexes, and the command `dcgan-zoo`.

The command and the file formats are public; the Python names are not, and may change in any release
(docs/reference/python-api.md).
"""
