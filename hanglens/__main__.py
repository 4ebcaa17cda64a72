"""`python -m hanglens`."""

import sys

if __name__ == "__main__":
    try:
        from hanglens.cli import main
    except KeyboardInterrupt:
        print("hanglens: interrupted", file=sys.stderr)  # noqa: T201  what can say it better is not there yet
        sys.exit(130)
    main()
