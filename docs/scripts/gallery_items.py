# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gallery shows: nobody chooses."""

from __future__ import annotations

from dataclasses import dataclass

from training.checks.suite import NONSENSE, Check, read_suite


@dataclass(frozen=True)
class Item:
    """One prompt of the gallery; `check` is None where nothing can be checked."""

    prompt: str
    check: Check | None = None

    @property
    def file(self) -> str:
        """Of its picture."""
        name = self.check.name if self.check else self.prompt
        return "-".join(name.replace(",", "").split()) + ".webp"


def items() -> list[Item]:
    """The first prompt of each check, and two without sense."""
    rows = [Item(check.prompts[0], check) for check in read_suite()]
    return rows + [Item(prompt) for prompt in NONSENSE[:2]]
