"""Encoding: images to PNG files, and to the bytes of reply messages."""
