"""The HTTP service: images, grids, walks and avatars at addresses that never change, and a page."""
