"""`python -m dcgan.training` is `dcgan-train`."""

from dcgan.training.cli import main

if __name__ == "__main__":
    main()
