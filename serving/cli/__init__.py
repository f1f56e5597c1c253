"""The commands `dcgan-serve`, `dcgan-generate` and `dcgan-bench`, a module each.

Heavy imports are inside functions, so that `--help` is instant.
"""
