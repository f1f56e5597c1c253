"""Quality of generated images, measured on the exported model with public features."""
