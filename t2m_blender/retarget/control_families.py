# SPDX-License-Identifier: GPL-3.0-or-later
"""Families of control rigs that are known by the names of their controls: files in `controls/`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from .control_rig import Control, ControlRig, Limb, Switch
from .rig import Rig

_FAMILIES = Path(__file__).parent / "controls"
_ENOUGH = 0.8
"""Share of a family's FK controls that a rig must have to be of it."""


@cache
def load_control_rigs() -> tuple[ControlRig, ...]:
    """Every family in `controls/`."""
    return tuple(
        _control_rig(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(_FAMILIES.glob("*.json"))
    )


def control_rig_of(rig: Rig) -> ControlRig | None:
    """The family whose controls the rig has, if any."""

    def share(family: ControlRig) -> float:
        return 1.0 - len(family.lacking(rig)) / len(family.fk_controls)

    best = max(load_control_rigs(), key=share)
    return best if share(best) >= _ENOUGH else None


def _control_rig(data: dict[str, Any]) -> ControlRig:
    limbs = [
        _limb(entry, side, letter)
        for entry in data["limbs"]
        for side, letter in entry["sides"].items()
    ]
    body = tuple(Control(e["control"], e["joint"], e.get("place")) for e in data["body"])
    switches = tuple(Switch(*entry) for entry in data["switches"])
    return ControlRig(data["name"], data["root"], body, switches, tuple(limbs))


def _limb(entry: dict[str, Any], side: str, letter: str) -> Limb:
    def named(text: str) -> str:
        return text.format(side=side, s=letter)

    def switches(key: str) -> tuple[Switch, ...]:
        return tuple(Switch(named(bone), name, value) for bone, name, value in entry[key])

    return Limb(
        part=entry["part"],
        joints=tuple(named(joint) for joint in entry["joints"]),
        fk=tuple(named(bone) for bone in entry["fk"]),
        ik=tuple(named(bone) for bone in entry["ik"]),
        pole=named(entry["pole"]),
        fk_switches=switches("fk_switches"),
        ik_switches=switches("ik_switches"),
    )
