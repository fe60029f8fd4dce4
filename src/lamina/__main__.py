"""``python -m lamina`` is the ``lamina`` command."""

from lamina.cli.main import main

if __name__ == "__main__":
    main()
