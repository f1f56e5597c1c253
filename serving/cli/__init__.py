"""The commands `dcgan-serve`, `dcgan-generate` and `dcgan-bench`, a module each.

Heavy imports lie inside functions, so that `--help` is instant.
"""
