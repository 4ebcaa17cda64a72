"""Text of strangers as it may be shown: on a terminal, as one row of a table, in the name of a file."""


def printable(text: str) -> str:
    r"""The text with line ends, terminal codes, marks that turn its direction and bytes of no encoding escaped.

    >>> printable("a\x1b[31m\u202eb\n")
    'a\\x1b[31m\\u202eb\\n'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
