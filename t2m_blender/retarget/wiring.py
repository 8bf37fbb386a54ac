# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves what in a control rig: a graph over the turns and the places of its bones.

A bone's turn and its place each have sources: its parent, and what its constraints tie it to.
Upwards from a bone that deforms, the graph leads to the controls that move it. A place that lies
where its parent's does is not moved by that parent's turn: so a tweak at the knee follows the shin
without the shin turning the thigh that points there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from .rig import Array, Rig

Property = tuple[str, str]
"""A custom property of a pose bone: bone, name."""
Settings = Mapping[Property, float]
Node = tuple[Literal["turn", "place"], str]

_NONE, _HALF, _ALL = 0.01, 0.5, 0.99  # shares of influence
_SAME = 1e-3  # of the rig's height: joints so near lie in one place


@dataclass(frozen=True, eq=False)
class Tie:
    """What one constraint makes a bone do.

    Attributes:
        kind: "copy" turn and place of the target; its "turn" or "place" alone; be "carried" by it
            as by a parent; "aim" at its place; be "solved" so that a chain reaches it.
        targets: Bones; empty where it is something outside the armature. Of a solved chain the end
            and, where there is one, the pole.
        share: Its influence, 0 to 1, as custom properties are set.
        properties: Which ones it depends on.
        at_tail: Its target is not where the bones begin.
    """

    kind: Literal["copy", "turn", "place", "carried", "aim", "solved"]
    targets: tuple[str, ...]
    share: Callable[[Settings], float]
    properties: tuple[Property, ...] = ()
    at_tail: bool = False

    def sources(self, what: str, name: str) -> list[Node] | None:
        """What it makes a bone's turn or place come from; None where it leaves that alone."""
        if self.kind in ("turn", "place") and self.kind != what:
            return None
        if self.directs and what == "place":
            return None
        if what == "turn" and not self.directs:
            return [("turn", target) for target in self.targets]
        found: list[Node] = [("place", target) for target in self.targets]
        if self.at_tail or self.kind == "carried":
            found += [("turn", target) for target in self.targets]
        return [*found, ("place", name)] if self.directs else found

    @property
    def directs(self) -> bool:
        """Whether it points the bone somewhere, and leaves the roll to what was before."""
        return self.kind in ("aim", "solved")


@dataclass(frozen=True, eq=False)
class Wiring:
    """A rig and what ties its bones together.

    Attributes:
        rig: All bones at rest.
        ties: Bone -> its constraints, the first first.
        handles: Bones that are drawn for animators: with a shape; all where none has one.
        settings: Every custom property that a tie depends on, as it is set.
        limits: Each of these properties' least and greatest value.
        followed: Other armatures whose bones move these.
    """

    rig: Rig
    ties: Mapping[str, tuple[Tie, ...]]
    handles: frozenset[str]
    settings: Settings
    limits: Mapping[Property, tuple[float, float]]
    followed: tuple[str, ...] = ()

    @cached_property
    def _near(self) -> float:
        heads = np.array([bone.head for bone in self.rig.bones])
        return _SAME * float(np.ptp(heads, axis=0).max())

    def active(self, name: str, settings: Settings) -> list[Tie]:
        """The ties of a bone that have a say; a full copy silences those before it."""
        found: list[Tie] = []
        for tie in self.ties.get(name, ()):
            share = tie.share(settings)
            if share > _NONE:
                found = [tie] if share >= _ALL and tie.kind == "copy" else [*found, tie]
        return found

    def sources(self, node: Node, settings: Settings | None) -> list[Node]:
        """What a turn or place comes from; with all that might be switched on for None."""
        what, name = node
        bone = self.rig.by_name[name]
        found: list[Node] = []
        if bone.parent is not None:
            parent = self.rig.by_name[bone.parent]
            if what == "place":
                found.append(("place", bone.parent))
                if not self._same_place(bone.head, parent.head):
                    found.append(("turn", bone.parent))
            elif bone.inherit_rotation:
                found.append(("turn", bone.parent))
        for tie in self.ties.get(name, ()):
            share = _HALF if settings is None else tie.share(settings)
            new = tie.sources(what, name)
            if new is not None and share > _NONE:
                found = new if share >= _ALL and not tie.directs else [*found, *new]
        return found

    def above(self, nodes: Iterable[Node], settings: Settings | None) -> set[Node]:
        """These nodes and all that they come from."""
        found = set(nodes)
        waiting = list(found)
        while waiting:
            new = set(self.sources(waiting.pop(), settings)) - found
            found |= new
            waiting += new
        return found

    def is_tied(self, name: str, settings: Settings) -> bool:
        """Whether keys on its turn do not show, or not fully."""
        return any(tie.kind not in ("carried", "place") for tie in self.active(name, settings))

    def turns(self, name: str, settings: Settings) -> bool:
        """Whether a control could be turned by keys: nothing ties it, and it is not locked."""
        return not self.is_tied(name, settings) and not any(
            self.rig.by_name[name].locked_rotation[1:]
        )

    def moves(self, name: str, settings: Settings) -> bool:
        """Whether a control could be moved by keys."""
        bone = self.rig.by_name[name]
        tied = any(tie.kind in ("copy", "place") for tie in self.active(name, settings))
        return not tied and not bone.connected and not any(bone.locked_location)

    def carrier(self, name: str, settings: Settings) -> tuple[str | None, bool]:
        """The bone that carries this one, and whether this one coincides with it."""
        for tie in reversed(self.active(name, settings)):
            if tie.kind in ("copy", "carried") and tie.targets and tie.share(settings) > _HALF:
                return tie.targets[0], tie.kind == "copy"
        return self.rig.by_name[name].parent, False

    def carriers(self, name: str, settings: Settings) -> list[str]:
        """All that carry a bone, the nearest first."""
        found: list[str] = []
        carrier, _ = self.carrier(name, settings)
        while carrier is not None and carrier not in found:
            found.append(carrier)
            carrier, _ = self.carrier(carrier, settings)
        return found

    def is_rigid(self, name: str, above: str, settings: Settings) -> bool:
        """Whether a bone goes along with one of its carriers as if it were a child of it."""
        for bone in [name, *self.carriers(name, settings)]:
            if bone == above:
                return True
            for tie in self.active(bone, settings):
                if tie.kind not in ("copy", "carried") or tie.share(settings) < _ALL:
                    return False
        return False

    def _same_place(self, one: Array, other: Array) -> bool:
        return float(np.abs(one - other).max()) < self._near
