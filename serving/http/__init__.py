"""The HTTP service: images, grids, animations and avatars at permanent addresses, and a page."""
