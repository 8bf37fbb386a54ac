# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the feet are held, as pose markers of an Action: to be seen, moved, deleted and added.

A span begins at a marker such as "left heel down" and ends at the next "left heel up", the first
frame on which that part is free again. Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..engine.feet import CHANNELS, ContactSpan

_DOWN, _UP = "down", "up"


def write_contacts(
    action: bpy.types.Action, spans: Iterable[ContactSpan], frame_start: int
) -> None:
    """Puts markers for the spans in place of those that were there; others stay.

    Args:
        action: Whose pose markers they become.
        spans: In frames counted from 0.
        frame_start: Scene frame of frame 0.
    """
    for marker in [m for m in action.pose_markers if _meaning(m.name) is not None]:
        action.pose_markers.remove(marker)
    for span in spans:
        for what, frame in ((_DOWN, span.start), (_UP, span.stop)):
            marker = action.pose_markers.new(f"{span.side} {span.part} {what}")
            marker.frame = frame_start + frame


def read_contacts(action: bpy.types.Action, frame_start: int) -> tuple[ContactSpan, ...]:
    """The spans that the markers tell; one that is never ended lasts as long as the Action."""
    end = round(action.frame_range[1]) + 1
    spans = []
    for side, part in CHANNELS:
        marks = sorted(
            (marker.frame, what)
            for marker in action.pose_markers
            for mark_side, mark_part, what in [_meaning(marker.name) or ("", "", "")]
            if (mark_side, mark_part) == (side, part)
        )
        down: int | None = None
        for frame, what in marks:
            if what == _DOWN and down is None:
                down = frame
            elif what == _UP and down is not None:
                spans.append(ContactSpan(side, part, down - frame_start, frame - frame_start))
                down = None
        if down is not None:
            spans.append(ContactSpan(side, part, down - frame_start, end - frame_start))
    return tuple(sorted(spans, key=lambda span: span.start))


def _meaning(name: str) -> tuple[str, str, str] | None:
    """Side, part and "down" or "up", of a marker that tells of a foot."""
    words = name.lower().split()
    if len(words) == 3 and (words[0], words[1]) in CHANNELS and words[2] in (_DOWN, _UP):
        return words[0], words[1], words[2]
    return None
