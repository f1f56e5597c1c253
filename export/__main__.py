"""`python -m dcgan.export` is `dcgan-export`."""

from dcgan.export.cli import main

if __name__ == "__main__":
    main()
