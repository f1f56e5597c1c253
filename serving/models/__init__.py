"""Models: found in a repository, loaded, tested, and looked up by name."""
