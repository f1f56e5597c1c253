"""Images as bytes: reply messages, and the queue for PNG."""
