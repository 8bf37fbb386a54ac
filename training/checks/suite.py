# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of checks (`suite.json`): what is asked, what must be true, and real clips that show it.

name          of the check
predicate     a function of `predicates.py`, with its `side` where it has one
target        the share of motions that should pass
prompts       in the words of the training captions
paraphrases   in other words: none of them is in the table of wordings, in whatever form
others        by somebody who had seen neither these sentences nor the table: as they come
typed         as animators type, labels and slang included: by another one of whom that is true
real          hand-picked clips (ids of `prepare cmu` and of the CC0 clips; M... are mirrored)
same          captions that match this speak of the same action: such clips, where they are not
              picked, are no "other real clips"
note          where real clips are few
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from training.checks.predicates import PREDICATES
from training.checks.seen import Seen

_FILE = Path(__file__).with_name("suite.json")
NONSENSE = (
    "quarterly report", "xyzzy", "the price of tea in Lisbon", "7 + 5 = 12", "asdf jkl qwertz",
    "colourless green ideas sleep furiously",
)  # fmt: skip


KINDS = ("prompts", "paraphrases", "others", "typed")
"""Of a check's sentences."""


@dataclass(frozen=True)
class Check:
    """One row of the suite; see the module's text."""

    name: str
    predicate: str
    target: float
    prompts: tuple[str, ...]
    paraphrases: tuple[str, ...]
    others: tuple[str, ...]
    typed: tuple[str, ...]
    real: tuple[str, ...]
    side: str = ""
    same: str = ""
    note: str = ""

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(kind, sentence) of all."""
        return [(kind, text) for kind in KINDS for text in getattr(self, kind)]

    def passes(self, seen: Seen) -> bool:
        """Whether the motion does what is asked."""
        function = PREDICATES[self.predicate]
        return bool(function(seen, self.side) if self.side else function(seen))

    def is_other(self, clip_id: str, captions: tuple[str, ...]) -> bool:
        """Whether a real clip shows something else than this."""
        if clip_id in self.real or f"M{clip_id}" in self.real or clip_id[1:] in self.real:
            return False
        return not (self.same and any(re.search(self.same, text) for text in captions))


@cache
def read_suite() -> tuple[Check, ...]:
    """All checks."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(_check(row) for row in rows)


def _check(row: dict[str, Any]) -> Check:
    lists = (*KINDS, "real")
    values: dict[str, Any] = {k: tuple(v) if k in lists else v for k, v in row.items()}
    return Check(**values)
