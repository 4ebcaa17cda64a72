"""Flight-recorder dumps without what must not leave: the strings in them are redacted, and they stay dumps.

Format: PyTorch's own, a pickle of plain data or its JSON form (`hanglens.parse.flight_recorder`). Nothing in a pickle is carried out.
"""

from __future__ import annotations

import pickle

import msgspec

from hanglens.pickles import is_pickle, load_plain
from hanglens.privacy.nested import redact_value
from hanglens.privacy.redactor import Redactor


def redacted_dump(data: bytes, redactor: Redactor) -> bytes:
    """The dump with its strings redacted, as a pickle of protocol 2 or as JSON; the very same bytes if none had to be.

    Raises:
        ValueError: it cannot be read; the message says what is wrong with it.
    """
    try:
        content = load_plain(data) if is_pickle(data) else msgspec.json.decode(data)
        redacted = redact_value(content, redactor)
        if redacted == content:
            return data
        return pickle.dumps(redacted, protocol=2) if is_pickle(data) else msgspec.json.encode(redacted)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(f"is damaged: {error}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply: not read") from error
