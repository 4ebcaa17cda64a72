"""The command line, from its first moment: Ctrl+C and closed streams end it well, also while all the rest is being imported.

So nothing is imported here but what the interpreter has loaded anyway; `program` holds the commands.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130  # as shells tell SIGINT


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 analysed, 1 a fault of our own, 2 wrong usage, 3 nothing readable, 130 interrupted.

    Without `arguments` those of the process are taken, and its signals and streams are ours.
    """
    alone = arguments is None
    try:
        try:
            if alone:
                _open_closed_streams()
                sys.unraisablehook = _unraisable
            from hanglens.cli.program import run

            code = run(sys.argv[1:] if arguments is None else arguments)
        finally:
            if alone:
                _end_at_once_on_ctrl_c()
    except KeyboardInterrupt:
        code = INTERRUPTED
        _say_interrupted()
    sys.exit(code)


def _open_closed_streams() -> None:
    """A stream that our caller closed leads nowhere: else the next file that we open would be taken for it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(number, mode, closefd=False)  # noqa: SIM115  for as long as the process lives
        for number, mode, stream in ((0, "r", sys.stdin), (1, "w", sys.stdout), (2, "w", sys.stderr))
    )


def _unraisable(fault: sys.UnraisableHookArgs) -> None:
    """Python drops a Ctrl+C that comes inside of a destructor or a callback, which imports are full of: it is sent again."""
    if not isinstance(fault.exc_value, KeyboardInterrupt) or os.name != "posix":
        sys.__unraisablehook__(fault)
        return
    from _thread import get_ident, start_new_thread
    from signal import SIGINT, pthread_kill
    from time import sleep

    def again(interrupted: int) -> None:
        sleep(0.05)  # until this hook is left
        pthread_kill(interrupted, SIGINT)  # that thread, so that it does not sleep on

    start_new_thread(again, (get_ident(),))


def _end_at_once_on_ctrl_c() -> None:
    """Behind the last command there is nothing to be put away any more, and the interpreter would print a traceback."""
    from signal import SIG_IGN, SIGINT, getsignal, signal

    def end(_number: int, _frame: object) -> None:
        _say_interrupted()
        os._exit(INTERRUPTED)

    if getsignal(SIGINT) != SIG_IGN:  # as under nohup, and in the background of a script
        signal(SIGINT, end)


def _say_interrupted() -> None:
    """A terminal shows ^C before it, without a line end. It may come at a moment in which nothing can be printed."""
    try:
        print("\n" * sys.stderr.isatty() + "hanglens: interrupted", file=sys.stderr, flush=True)
    except (OSError, ValueError, RuntimeError, AttributeError):
        return
