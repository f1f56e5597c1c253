"""Models in repositories of the Hugging Face layout: pulling and pushing."""
