# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line says: progress and errors on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Teller"]

_SILENCE = 2.0  # seconds between two lines of progress in a log
_LIVELY = 0.1  # and between two states of the one on a terminal


class Teller:
    """Says it, each thing on a line.

    On a terminal progress is one line that changes and goes; in a log it is a plain line now and
    then.

    Args:
        quiet: Say nothing but warnings and errors.
        as_json: Print every result as a JSON object on a line of standard output.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet, self._as_json = quiet, as_json
        self._lively = sys.stderr.isatty()
        self._told = time.monotonic()
        self._open = False

    def say(self, text: str) -> None:
        """What is done."""
        if not self._quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """What must be known."""
        self._close()
        print(f"t2m: {' '.join(text.split())}", file=sys.stderr, flush=True)

    def progress(self, done: int, total: int) -> None:
        """Of long work; short work goes by in silence."""
        now = time.monotonic()
        if self._quiet or now - self._told < (_LIVELY if self._lively else _SILENCE):
            return
        text = f"generating: {done} of at most {total} tokens"
        if self._lively:
            print(f"\r\033[Kt2m: {text}", end="", file=sys.stderr, flush=True)
            self._open = True
        else:
            self.say(text)
        self._told = now

    def result(self, entry: Mapping[str, Any]) -> None:
        """What a row or a file came to."""
        if self._as_json:
            print(json.dumps(entry), flush=True)

    def _close(self) -> None:
        """Take the line of progress away."""
        if self._open:
            print("\r\033[K", end="", file=sys.stderr)
            self._open = False
