"""`python -m hanglens`."""

from hanglens.cli import main

if __name__ == "__main__":
    main()
