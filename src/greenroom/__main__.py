"""`python -m greenroom` is the command `greenroom`."""

from greenroom.cli.main import main

if __name__ == "__main__":
    main()
