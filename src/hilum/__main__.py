"""`python -m hilum` is the `hilum` command."""

from hilum.cli.main import main

if __name__ == "__main__":
    main()
