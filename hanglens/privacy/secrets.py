"""Where secrets stand in a text: by their looks, by their names, in command lines, and over several lines.

Each search starts at a literal and looks no further than a bounded distance, unless what it passes over is then replaced: so the time
grows with the text and not with its square.
"""

from __future__ import annotations

from hanglens.privacy.blocks import blocks
from hanglens.privacy.commands import commanded
from hanglens.privacy.keys import keyed
from hanglens.privacy.plain import Plain, Span
from hanglens.privacy.shapes import shaped
from hanglens.privacy.values import HIDDEN


def secrets(view: Plain) -> list[tuple[Span, str]]:
    """All secrets of a view and what stands there instead; those that overlap are one."""
    bare = [*shaped(view.text), *commanded(view), *blocks(view)]
    merged: list[tuple[int, int, str]] = []
    for (start, end), quote in sorted([*keyed(view), *((span, "") for span in bare)]):
        if merged and start < merged[-1][1]:
            first, last, kept = merged[-1]
            merged[-1] = (first, max(last, end), kept)
        else:
            merged.append((start, end, quote))
    return [((start, end), f"{quote}{HIDDEN}{quote}") for start, end, quote in merged]
