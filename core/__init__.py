"""What all parts share: noise, images, schemas, files, locks, sessions, errors, commands.

Nothing here is public: any name may change in any release (docs/reference/python-api.md).
"""
