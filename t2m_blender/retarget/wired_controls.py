# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of a rig of unknown names, found by what moves its deforming bones.

Of all that turns a bone, the control of its joint is what turns it but not the bone of the joint
above, hangs on the control of the joint above, and is the highest of its kind: an FK control, not a
tweak below it. Arms and legs are tried as custom properties are set, then as they could be set,
until FK controls move them; the same for IK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations, islice, product

import numpy as np

from ..engine.errors import InputError
from ..engine.skeleton import HUMANML3D
from .bone_map import LIMBS, BoneMap
from .control_rig import Control, ControlRig, Limb, Switch
from .wiring import Node, Property, Settings, Wiring

BY_WIRING = "by_wiring"
"""The family of control rigs whose controls were found so."""
_TRUNK = ("spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar")
_LIMBS = {
    "feet": ("hip", "knee", "ankle", "foot"),
    "hands": ("shoulder", "elbow", "wrist"),
}
_NEAR = 0.05  # of a leg's length: so near to its joint lies a control
_CHANGES, _TRIES = 2, 200  # switches are tried alone and in pairs, up to so many ways


def controls_by_wiring(
    wiring: Wiring, bone_map: BoneMap, *, otherwise: ControlRig | None = None
) -> ControlRig | None:
    """The controls; None where the mapped bones move by their own keys.

    Args:
        wiring: Of the rig.
        bone_map: Its bones that deform.
        otherwise: What is taken where no controls are found.

    Raises:
        InputError: Most of the bones do not move by their keys, and no controls are found.
    """
    held = _held(wiring, bone_map)
    if not held:
        return otherwise
    found = _Finder(wiring, bone_map).control_rig() or otherwise
    if found is None and len(held) > len(LIMBS) / 2:
        if wiring.followed:
            do = f'Select "{wiring.followed[0]}", which it follows, or mute the constraints.'
        else:
            do = "Mute the constraints, or choose in the panel Rig the bones that are to be keyed."
        raise InputError(
            f'Constraints or other bones move "{wiring.rig.name}" ({", ".join(held[:3])} ...), and '
            f"no controls that turn it joint by joint were found. {do}"
        )
    return found


def _held(wiring: Wiring, bone_map: BoneMap) -> list[str]:
    """Mapped bones that do not turn by their keys, or do not go along with the joint above."""
    held = []
    for joint in ("pelvis", *LIMBS):
        bone = bone_map.bones[joint]
        above = {"knee": "hip", "ankle": "knee", "elbow": "shoulder", "wrist": "elbow"}.get(
            joint.split("_")[-1]
        )
        apart = above is not None and (
            bone_map.bones[f"{joint.split('_')[0]}_{above}"]
            not in wiring.carriers(bone, wiring.settings)
        )
        if apart or wiring.is_tied(bone, wiring.settings):
            held.append(bone)
    return held


class _Finder:
    """Finds joint after joint, from the hips outwards."""

    def __init__(self, wiring: Wiring, bone_map: BoneMap) -> None:
        self.wiring = wiring
        self.bones = bone_map.bones
        self.settings = dict(wiring.settings)
        heads = {joint: wiring.rig.by_name[bone].head for joint, bone in self.bones.items()}
        self.heads = heads
        leg = np.linalg.norm(heads["left_hip"] - heads["left_ankle"])
        self.near = _NEAR * float(leg)
        self.controls: dict[str, str] = {}
        self.known: dict[tuple[str, frozenset[tuple[Property, float]]], frozenset[str]] = {}

    def control_rig(self) -> ControlRig | None:
        """All controls, or None where a limb has none."""
        torso = self.torso()
        if torso is None:
            return None
        self.controls["pelvis"] = torso
        switches: list[Switch] = []
        for joint in _TRUNK:
            switches += self.add_to_trunk(joint)
        body = [self.placed(joint, bone) for joint, bone in self.controls.items()]
        limbs = [self.limb(part, side) for part in _LIMBS for side in ("left", "right")]
        if any(limb is None for limb in limbs):
            return None
        carriers = self.wiring.carriers(torso, self.settings)
        roots = [bone for bone in carriers if self.is_control(bone, self.settings)]
        roots = [bone for bone in roots if self.wiring.moves(bone, self.settings)]
        return ControlRig(
            BY_WIRING,
            roots[-1] if roots else "",
            tuple(body),
            tuple(switches),
            tuple(limb for limb in limbs if limb is not None),
        )

    def placed(self, joint: str, bone: str) -> Control:
        """A control of the trunk; one that skips joints below it goes where they would take it."""
        skips = self.joint_above(joint, self.bones) != self.joint_above(joint, self.controls)
        place = joint == "pelvis" or (skips and self.wiring.moves(bone, self.settings))
        return Control(bone, joint, joint if place else None)

    def torso(self) -> str | None:
        """The control near the hips that carries the whole body: the lowest of them."""
        joints = ("pelvis", "left_hip", "right_hip", "left_shoulder", "right_shoulder")
        turning = [self.turning(joint, self.settings) for joint in joints]
        carrying = [
            bone
            for bone in sorted(frozenset.intersection(*turning))
            if self.wiring.turns(bone, self.settings) and self.wiring.moves(bone, self.settings)
        ]

        def rank(bone: str) -> tuple[bool, bool, int]:
            off = np.linalg.norm(self.wiring.rig.by_name[bone].head - self.heads["pelvis"])
            far = bool(off > 10.0 * self.near)
            depth = len(self.wiring.carriers(bone, self.settings))
            return far, bone not in self.wiring.handles, -depth

        return min(carrying, key=rank, default=None)

    def add_to_trunk(self, joint: str) -> list[Switch]:
        """Looks for the control of a joint of the trunk."""
        if joint not in self.bones:
            return []
        above = self.controls[self.joint_above(joint, self.controls)]

        def find(settings: Settings) -> tuple[str, ...] | None:
            bone = self.control(joint, above, settings)
            return (bone,) if bone is not None else None

        found, switches = self.settled([("turn", self.bones[joint])], find, above)
        if found is not None:
            self.controls[joint] = found[0]
            self.settings |= {(s.bone, s.name): s.value for s in switches}
        return switches

    def limb(self, part: str, side: str) -> Limb | None:
        """An arm or a leg; None where neither FK nor IK controls move it."""
        joints = [f"{side}_{joint}" for joint in _LIMBS[part]]
        joints = [joint for joint in joints if joint in self.bones]
        nodes: list[Node] = [("turn", self.bones[joint]) for joint in joints]
        above = self.controls[self.joint_above(joints[0], self.controls)]
        fk, fk_switches = self.settled(nodes, lambda s: self.fk(joints, above, s), above)
        ik, ik_switches = self.settled(nodes, lambda s: self.ik(joints, s), "")
        if fk is None and ik is None:
            return None
        pole, *ends = ik or ("",)
        return Limb(
            part,
            tuple(joints),
            fk or (),
            tuple(ends),
            pole,
            tuple(fk_switches),
            tuple(ik_switches),
            () if pole else tuple(self.bones[joint] for joint in joints[:2]),
        )

    def fk(self, joints: list[str], above: str, settings: Settings) -> tuple[str, ...] | None:
        """A control for each joint, each hanging on the one before; "" for toes without one."""
        upstream = self.wiring.above([("turn", self.bones[j]) for j in joints[:3]], settings)
        if self.solved(upstream, settings):
            return None
        found: list[str] = []
        for joint in joints:
            bone = self.control(joint, found[-1] if found else above, settings, near=True)
            if bone is None and len(found) < 3:
                return None
            found.append(bone or "")
        return tuple(found)

    def ik(self, joints: list[str], settings: Settings) -> tuple[str, ...] | None:
        """The pole target, the end control and that of the toes ("" for what there is not)."""
        upstream = self.wiring.above([("turn", self.bones[joints[1]])], settings)
        for targets in self.solved(upstream, settings):
            ends = self.up_to_body(targets[0], settings)
            poles = [bone for target in targets[1:] for bone in self.up_to_body(target, settings)]
            own = all(
                any(tie.targets == targets for tie in self.wiring.active(bone, settings))
                for bone in (self.bones[joint] for joint in joints[:2])
            )
            if ends and (poles or (own and len(targets) == 1)):
                toes = [self.control(joint, ends[-1], settings) or "" for joint in joints[3:]]
                return (*poles, "")[0], ends[-1], *toes
        return None

    def up_to_body(self, bone: str, settings: Settings) -> list[str]:
        """The movable controls from a bone upwards to those of the trunk."""
        found = []
        body = {*self.controls.values(), *self.wiring.carriers(self.controls["pelvis"], settings)}
        for carrier in [bone, *self.wiring.carriers(bone, settings)]:
            if carrier in body:
                break
            if self.is_control(carrier, settings) and self.wiring.moves(carrier, settings):
                found.append(carrier)
        return found

    def solved(self, nodes: Iterable[Node], settings: Settings) -> list[tuple[str, ...]]:
        """The targets of inverse kinematics on the way to these nodes; with poles first."""
        found = {
            tie.targets
            for name in {name for what, name in nodes if what == "turn"}
            for tie in self.wiring.active(name, settings)
            if tie.kind == "solved" and tie.targets and tie.share(settings) > 0.5
        }
        return sorted(found, key=len, reverse=True)

    def control(
        self, joint: str, above: str, settings: Settings, *, near: bool = False
    ) -> str | None:
        """The control of a joint that hangs on another control."""
        kept = {self.joint_above(joint, self.bones), "pelvis"} - {joint}
        turning = self.turning(joint, settings).difference(
            *(self.turning(other, settings) for other in kept)
        )
        ranked = []
        for bone in sorted(turning):
            carriers = self.wiring.carriers(bone, settings)
            if above in carriers and self.wiring.turns(bone, settings):
                off = np.linalg.norm(self.wiring.rig.by_name[bone].head - self.heads[joint])
                far = bool(off > self.near)
                if not (near and far):
                    ranked.append((far, bone not in self.wiring.handles, len(carriers), bone))
        return min(ranked)[-1] if ranked else None

    def turning(self, joint: str, settings: Settings) -> frozenset[str]:
        """The bones whose turn goes into the turn of a joint's bone."""
        asked = joint, frozenset(settings.items())
        if asked not in self.known:
            upstream = self.wiring.above([("turn", self.bones[joint])], settings)
            self.known[asked] = frozenset(name for what, name in upstream if what == "turn")
        return self.known[asked]

    def is_control(self, bone: str, settings: Settings) -> bool:
        return bone in self.wiring.handles and self.wiring.turns(bone, settings)

    @staticmethod
    def joint_above(joint: str, known: Mapping[str, str]) -> str:
        """The next joint towards the pelvis that is known."""
        names, parents = HUMANML3D.joint_names, HUMANML3D.parents
        above = parents[names.index(joint)]
        while above > 0 and names[above] not in known:
            above = parents[above]
        return names[max(above, 0)]

    def settled(
        self,
        nodes: list[Node],
        find: Callable[[Settings], tuple[str, ...] | None],
        above: str,
    ) -> tuple[tuple[str, ...] | None, list[Switch]]:
        """What is found with as few switches moved as possible, and the switches that it needs.

        What hangs on `above` rigidly comes first.
        """
        mine = self.wiring.above(nodes, None) - self.wiring.above(
            [("turn", self.bones["pelvis"]), ("place", self.bones["pelvis"])], None
        )
        ties = [tie for name in {n for _, n in mine} for tie in self.wiring.ties.get(name, ())]
        properties = sorted({p for tie in ties for p in tie.properties})

        def rigid(found: tuple[str, ...], settings: Settings) -> bool:
            return not above or self.wiring.is_rigid(found[0], above, settings)

        def good(settings: Settings) -> bool:
            found = find(settings)
            return found is not None and rigid(found, settings)

        second: tuple[str, ...] | None = None
        for change in islice(self.changes(properties), _TRIES):
            trial = {**self.settings, **change}
            found = find(trial)
            if found is None:
                continue
            if rigid(found, trial):
                needed = [
                    p
                    for p in properties
                    if not all(good({**trial, p: value}) for value in self.wiring.limits[p])
                ]
                return found, [Switch(*p, trial[p]) for p in needed]
            second = second or (found if not change else None)
        return second, []

    def changes(self, properties: list[Property]) -> Iterator[dict[Property, float]]:
        """No change, then one property at one of its limits, then two."""
        for count in range(_CHANGES + 1):
            for some in combinations(properties, count):
                for values in product(*(self.wiring.limits[p] for p in some)):
                    yield dict(zip(some, values, strict=True))
