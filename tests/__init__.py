"""The tests. A package, because a library installs a package called `tests`, too."""
