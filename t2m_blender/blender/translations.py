# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension in the user's language. Main thread only.

Blender itself translates names, tooltips and plain labels, from the dictionaries of `languages/`
that are registered here. What is put together while running is a message with {} for its values:
`iface` for what the panel shows, `rpt` for what is reported. Errors come from rooms that know no
Blender, as whole sentences: `translated` finds the message that a sentence was made of.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

import bpy

__all__ = ["iface", "register", "rpt", "translated", "unregister"]

_FOLDER = Path(__file__).parent / "languages"
_TELLING = 7  # letters: with fewer, a message with values is like too many sentences


def iface(message: str, *values: object) -> str:
    """A label with its values, in the language of the interface."""
    return bpy.app.translations.pgettext_iface(message).format(*values)


def rpt(message: str, *values: object) -> str:
    """A report with its values, in the language of reports."""
    return bpy.app.translations.pgettext_rpt(message).format(*values)


def translated(sentence: str) -> str:
    """A sentence that is made of one of our messages, in the language of reports; others stay."""
    language = (bpy.app.translations.locale or "").partition("_")[0]
    if language not in _languages():
        return sentence
    for message, pattern in _patterns(language):
        found = pattern.fullmatch(sentence)
        if found is not None:
            return rpt(message, *map(translated, found.groups()))
    return sentence


@lru_cache(maxsize=1)
def _languages() -> dict[str, dict[str, dict[str, str]]]:
    """Language -> context -> message -> its translation."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(_FOLDER.glob("*.json"))
    }


@lru_cache(maxsize=1)
def _patterns(language: str) -> list[tuple[str, re.Pattern[str]]]:
    """Every message with what its sentences look like, those with most words of their own first."""
    messages = sorted(_languages()[language]["*"], key=lambda text: -len(text.replace("{}", "")))
    return [
        (message, re.compile("(.*?)".join(map(re.escape, message.split("{}"))), re.DOTALL))
        for message in messages
        if "{}" not in message or sum(map(str.isalpha, message)) >= _TELLING
    ]


def register() -> None:
    dictionaries = {
        language: {
            (context, message): text
            for context, messages in contexts.items()
            for message, text in messages.items()
        }
        for language, contexts in _languages().items()
    }
    bpy.app.translations.register(__package__, dictionaries)


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
