"""`python -m hornbook`: the command line, for where the script is not on the PATH."""

from hornbook.cli import main

if __name__ == "__main__":
    main()
