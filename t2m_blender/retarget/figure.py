# SPDX-License-Identifier: GPL-3.0-or-later
"""The bones of a rig as one tree of joints, free of the machinery that moves them.

Control rigs hang the bones that move the mesh on mechanism bones: Rigify's DEF-thigh on ORG-spine,
which lies where DEF-spine lies. Here a bone's parent is the nearest bone above it that moves the
mesh, or the twin of one that does not; where bones part below a bone that moves nothing, such as
hips that are a control, that bone stays.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .rig import Array, Bone, Rig

_DEFORM, _ENOUGH = "DEF-", 13


class Distances:
    """[N][N] distances between points [N, 3]; each row is measured when it is first asked for."""

    def __init__(self, points: Array) -> None:
        self.points = points
        self.rows: dict[int, list[float]] = {}

    def __getitem__(self, number: int) -> list[float]:
        row = self.rows.get(number)
        if row is None:
            row = np.linalg.norm(self.points - self.points[number], axis=-1).tolist()
            self.rows[number] = row
        return row


class Figure:
    """N joints, parents before their children.

    Attributes:
        names: [N] of the bones.
        parents: [N] index of each parent, -1 for none.
        heads: [N, 3] where the joints are.
        apart: [N][N] how far they are from one another.
        children: [N + 1] indices; the last, also number -1, is for the joints without a parent.
        reach: [N] length of the longest way down from each joint.
        size: [N] number of joints from each joint on.
        depth: [N] number of joints above each.
    """

    def __init__(self, rig: Rig, moving: Iterable[str]) -> None:
        """The figure of the bones that move the mesh, and of any others that count as such."""
        bones = _parents_first(_parents(rig, frozenset(moving)))
        self.names = tuple(bones)
        self.index = {name: number for number, name in enumerate(self.names)}
        self.parents = tuple(-1 if above is None else self.index[above] for above in bones.values())
        self.bones: tuple[Bone, ...] = tuple(rig.by_name[name] for name in self.names)
        self.heads: Array = np.array([bone.head for bone in self.bones]).reshape(-1, 3)
        count = len(self.names)
        self.apart = Distances(self.heads)
        self.children: list[list[int]] = [[] for _ in range(count + 1)]
        self.reach = np.zeros(count)
        self.size = np.ones(count, dtype=int)
        self.depth = np.zeros(count, dtype=int)
        for number, parent in enumerate(self.parents):
            self.children[parent].append(number)
            if parent >= 0:
                self.depth[number] = self.depth[parent] + 1
        for number in reversed(range(count)):
            parent = self.parents[number]
            if parent >= 0:
                length = float(np.linalg.norm(self.heads[number] - self.heads[parent]))
                self.reach[parent] = max(self.reach[parent], self.reach[number] + length)
                self.size[parent] += self.size[number]

    def above(self, joint: int) -> list[int]:
        """The joint and all above it, the highest last."""
        found = []
        while joint >= 0:
            found.append(joint)
            joint = self.parents[joint]
        return found

    def below(self, joint: int) -> list[int]:
        """The joint and all below it, parents first; everything for -1."""
        found = [joint] if joint >= 0 else list(self.children[-1])
        for number in found:
            found.extend(self.children[number])
        return found

    def is_below(self, lower: int, upper: int) -> bool:
        """Whether one joint hangs on another, through any number of joints."""
        return lower != upper and upper in self.above(lower)

    def common(self, *joints: int) -> int:
        """The lowest joint on which all of these hang, or one of them; -1 for none."""
        shared = set(self.above(joints[0])).intersection(*(self.above(joint) for joint in joints))
        return max(shared, key=lambda joint: self.depth[joint], default=-1)

    def between(self, upper: int, lower: int) -> list[int]:
        """The joints on the way down from one to another, both left out."""
        way = self.above(lower)
        return way[1 : way.index(upper)][::-1] if upper in way else []


def moving_bones(rig: Rig) -> set[str]:
    """The bones that move the mesh.

    Exporters mark the controls of Rigify and its kin so too; where many bones bear the prefix that
    such rigs give to those that do, only they count.
    """
    marked = {bone.name for bone in rig.bones if bone.deform}
    named = {name for name in marked if name.startswith(_DEFORM)}
    return named if len(named) >= _ENOUGH else marked


def _parents_first(parents: dict[str, str | None]) -> dict[str, str | None]:
    """The same, in an order in which parents come first; a ring of twins is cut open."""
    ordered: dict[str, str | None] = {}
    for name in parents:
        way: list[str] = []
        above: str | None = name
        while above is not None and above not in ordered and above not in way:
            way.append(above)
            above = parents[above]
        for bone in reversed(way):
            parent = parents[bone]
            ordered[bone] = parent if parent in ordered else None
    return ordered


def _parents(rig: Rig, moving: frozenset[str]) -> dict[str, str | None]:
    """Bone -> parent among the bones that move the mesh and those on which several of them hang."""
    twins = _twins(rig, moving)
    carries = {bone.name: bone.name in moving for bone in rig.bones}
    branches = dict.fromkeys(carries, 0)
    for bone in reversed(rig.bones):
        if bone.parent is not None and carries[bone.name]:
            carries[bone.parent] = True
            branches[bone.parent] += 1

    def stands_for(name: str) -> str | None:
        """The bone itself where it counts, its twin where that does, else None."""
        if name in moving:
            return name
        return twins.get(name) or (name if branches[name] > 1 else None)

    def parent_of(name: str) -> str | None:
        above = rig.by_name[name].parent
        while above is not None:
            found = stands_for(above)
            if found == above or (found not in (None, name) and not _hangs_on(rig, found, name)):
                return found
            above = rig.by_name[above].parent
        return None

    kept: dict[str, str | None] = {}
    waiting = [bone.name for bone in reversed(rig.bones) if bone.name in moving]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = parent_of(name)
            if kept[name] is not None:
                waiting.append(str(kept[name]))
    return kept


def _hangs_on(rig: Rig, lower: str | None, upper: str) -> bool:
    """Whether `upper` is above `lower`, or is it: a twin must not become its own ancestor."""
    while lower is not None:
        if lower == upper:
            return True
        lower = rig.by_name[lower].parent
    return False


def _twins(rig: Rig, moving: frozenset[str]) -> dict[str, str]:
    """Bone that moves nothing -> the bone that moves the mesh and lies in the same place."""
    still = [bone for bone in rig.bones if bone.name not in moving]
    others = [bone for bone in rig.bones if bone.name in moving]
    if not still or not others:
        return {}
    places = np.array([np.concatenate((bone.head, bone.tail)) for bone in others])
    found = {}
    for bone in still:
        off = np.abs(places - np.concatenate((bone.head, bone.tail))).max(axis=-1)
        nearest = int(off.argmin())
        if off[nearest] < 1e-3 * np.linalg.norm(bone.tail - bone.head):
            found[bone.name] = others[nearest].name
    return found
