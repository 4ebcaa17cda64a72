"""The one exception base: every error says what is wrong and what to do next."""

OUR_FAULT = "a fault of our own"  # how each message about a fault in HangLens itself begins


class HangLensError(Exception):
    """An error that a person can act on; the command line prints it in one line and ends with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}; {self.next_step}" if self.next_step else self.message


class UsageError(HangLensError):
    """The command was called wrongly."""

    exit_code = 2


class InputError(HangLensError):
    """Nothing in the input could be read."""

    exit_code = 3


class RuleError(UsageError):
    """A rule file breaks the format; `file`, `line` and `field` say where."""

    def __init__(self, message: str, *, file: str, line: int | None = None, field: str = "") -> None:
        self.file, self.line, self.field = file, line, field
        place = f"{file}:{line}" if line else file
        at = f" (at {field})" if field else ""
        super().__init__(f"{place}: {message}{at}", "see rules/README.md for the format")
