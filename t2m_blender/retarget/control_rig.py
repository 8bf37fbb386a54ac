# SPDX-License-Identifier: GPL-3.0-or-later
"""Control rigs: which control drives which joint, and where each control must be.

Known families are read by `control_families.py`, rigs of other makers by `wired_controls.py`. The
body is turned joint by joint; a limb either likewise (FK) or by its end and a pole target (IK).
Controls may rest at any angle to the bones that they drive: each is turned since rest as its joint
is. Where a control is placed from (its parent, a switched one) is Blender's business:
`blender/control_keys.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from ..engine.rotations import (
    matrix_to_quaternion,
    normalise,
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_matrix,
)
from ..engine.skeleton import HUMANML3D, Skeleton
from .bone_map import BoneMap
from .rig import Array, Bone, PoseTrack, Rig

_STRAIGHT, _BENT = 0.005, 0.02
"""A knee this share of its leg's length off the line from hip to ankle does not, or does, say by
itself where it points."""


@dataclass(frozen=True)
class Switch:
    """A custom property of a pose bone (of the object for ""), and the value that the keys need."""

    bone: str
    name: str
    value: float


@dataclass(frozen=True)
class Control:
    """One control that turns with a joint.

    Attributes:
        bone: The control.
        joint: Whose turn since rest it takes.
        place: The joint that it keeps its distance to; None where its parent carries it.
    """

    bone: str
    joint: str
    place: str | None = None


@dataclass(frozen=True)
class Limb:
    """An arm or a leg.

    Attributes:
        part: "hands" or "feet".
        joints: From the upper to the end (wrist; ankle and ball).
        fk: A control for each joint; none where the limb has IK alone.
        ik: Controls of the end, and of the ball where there is one; none likewise.
        pole: The pole target.
        fk_switches, ik_switches: What makes the rig listen to them.
        guides: The limb's own upper and middle bone, where IK without a pole target moves them: it
            bends the limb as these stand before it.
    """

    part: str
    joints: tuple[str, ...]
    fk: tuple[str, ...]
    ik: tuple[str, ...]
    pole: str
    fk_switches: tuple[Switch, ...]
    ik_switches: tuple[Switch, ...]
    guides: tuple[str, ...] = ()


@dataclass(frozen=True)
class ControlRig:
    """One family of control rigs.

    Attributes:
        name: Of its file.
        root: The control that carries the whole figure.
        body: Controls of the trunk, parents first.
        switches: What the trunk's controls need.
        limbs: Both arms and both legs.
    """

    name: str
    root: str
    body: tuple[Control, ...]
    switches: tuple[Switch, ...]
    limbs: tuple[Limb, ...]

    def controls_of(self, part: str) -> set[str]:
        """FK and IK controls and pole targets of the arms ("hands") or the legs ("feet")."""
        limbs = [limb for limb in self.limbs if limb.part == part]
        return {bone for limb in limbs for bone in (*limb.fk, *limb.ik, limb.pole, *limb.guides)}

    def lacking(self, rig: Rig) -> list[str]:
        """FK controls that the rig does not have."""
        return [bone for bone in self.fk_controls if bone not in rig.by_name]

    @property
    def fk_controls(self) -> list[str]:
        return [c.bone for c in self.body] + [bone for limb in self.limbs for bone in limb.fk]


@dataclass(frozen=True, eq=False)
class ControlPoses:
    """Where the controls must be.

    Attributes:
        matrices: Control -> [T, 4, 4] in armature space, parents before children.
        placed: Those that take keys for location too.
        switches: The values that custom properties must have.
    """

    matrices: dict[str, Array]
    placed: frozenset[str]
    switches: tuple[Switch, ...]


def joint_rig(rig: Rig, bone_map: BoneMap, skeleton: Skeleton = HUMANML3D) -> Rig:
    """The mapped bones alone, each hanging on the bone of the joint above.

    In a control rig the bones that deform hang on mechanisms that no motion moves.
    """
    bones: list[Bone] = []
    carrying: dict[int, str | None] = {-1: None}
    for joint in skeleton.order:
        above = carrying[skeleton.parents[joint]]
        name = bone_map.bones.get(skeleton.joint_names[joint])
        carrying[joint] = name or above
        if name is not None:
            bone = rig.by_name[name]
            bones.append(Bone(name, above, bone.head, bone.tail, bone.matrix))
    return Rig(rig.name, tuple(bones), rig.matrix_world)


def control_poses(
    family: ControlRig,
    rig: Rig,
    bone_map: BoneMap,
    track: PoseTrack,
    *,
    ik: Collection[str] = (),
    root_motion: bool = False,
) -> ControlPoses:
    """Where the controls must be for the mapped bones to do what the track says.

    Args:
        family: Of the rig.
        rig: The whole rig at rest.
        bone_map: Joints to bones whose heads are the joints.
        track: Solved on `joint_rig(rig, bone_map)`.
        ik: "hands", "feet", both or neither: limbs that are moved by their ends.
        root_motion: The path over the ground goes on the root control instead of on the hips'.
    """
    joints = _JointPoses(joint_rig(rig, bone_map), bone_map, track)
    matrices: dict[str, Array] = {}
    placed: set[str] = set()
    switches = list(family.switches)
    if root_motion and family.root in rig.by_name:
        matrices[family.root] = joints.ground_path(rig.by_name[family.root])
        placed.add(family.root)
    for control in family.body:
        if control.bone in rig.by_name and joints.knows(control.joint):
            bone = rig.by_name[control.bone]
            place = control.place if control.place and joints.knows(control.place) else None
            matrices[control.bone] = joints.carried(bone, control.joint, place)
            if control.place is not None:
                placed.add(control.bone)
    for limb in family.limbs:
        by_ends = bool(limb.ik) and (limb.part in ik or not limb.fk)
        if not by_ends:
            names: Iterable[tuple[str, str]] = zip(limb.fk, limb.joints, strict=True)
        else:
            names = [
                *zip(limb.guides, limb.joints, strict=False),
                *zip(limb.ik, limb.joints[2:], strict=True),
            ]
            if limb.pole in rig.by_name:
                matrices[limb.pole] = joints.pole(rig.by_name[limb.pole], limb.joints[:3])
                placed.add(limb.pole)
            if limb.ik[0] in rig.by_name:
                placed.add(limb.ik[0])
        switches += limb.ik_switches if by_ends else limb.fk_switches
        for name, joint in names:
            if name in rig.by_name and joints.knows(joint):
                matrices[name] = joints.carried(rig.by_name[name], joint, None)
    order = {bone.name: number for number, bone in enumerate(rig.bones)}
    ordered = {name: matrices[name] for name in sorted(matrices, key=order.__getitem__)}
    return ControlPoses(ordered, frozenset(placed), tuple(switches))


def joint_heads(rig: Rig, bone_map: BoneMap, track: PoseTrack) -> dict[str, Array]:
    """Where the joints are: each [T, 3] in armature space; arguments as for `control_poses`."""
    return _JointPoses(joint_rig(rig, bone_map), bone_map, track).heads


class _JointPoses:
    """Turns since rest and places of the joints, in armature space."""

    def __init__(self, rig: Rig, bone_map: BoneMap, track: PoseTrack) -> None:
        self.rest = {joint: rig.by_name[bone].head for joint, bone in bone_map.bones.items()}
        self.turns: dict[str, Array] = {}
        self.heads: dict[str, Array] = {}
        self.up = _up(self.rest)
        by_bone: dict[str, tuple[Array, Array]] = {}
        joint_of = {bone: joint for joint, bone in bone_map.bones.items()}
        for bone in rig.bones:
            turn, head = self._posed(bone, rig, track, by_bone)
            by_bone[bone.name] = (turn, head)
            self.turns[joint_of[bone.name]] = turn
            self.heads[joint_of[bone.name]] = head

    @staticmethod
    def _posed(
        bone: Bone, rig: Rig, track: PoseTrack, above: dict[str, tuple[Array, Array]]
    ) -> tuple[Array, Array]:
        rest = matrix_to_quaternion(bone.matrix[:3, :3])
        local = np.array([1.0, 0.0, 0.0, 0.0])
        if bone.name in track.bone_names:
            local = track.rotations[:, track.bone_names.index(bone.name)]
        turn = quaternion_multiply(
            quaternion_multiply(np.broadcast_to(rest, (track.frames, 4)), local),
            quaternion_conjugate(rest),
        )
        moved = track.translations.get(bone.name, np.zeros((track.frames, 3)))
        head = bone.head + moved @ bone.matrix[:3, :3].T
        if bone.parent is not None:
            parent_turn, parent_head = above[bone.parent]
            head = parent_head + quaternion_rotate(
                parent_turn, head - rig.by_name[bone.parent].head
            )
            turn = quaternion_multiply(parent_turn, turn)
        return turn, head

    def knows(self, joint: str) -> bool:
        return joint in self.turns

    def carried(self, bone: Bone, joint: str, place: str | None) -> Array:
        """[T, 4, 4] of a bone that turns with one joint and keeps its place by another."""
        at = place or joint
        turn = self.turns[joint]
        head = self.heads[at] + quaternion_rotate(turn, bone.head - self.rest[at])
        return _matrices(turn, bone, head)

    def ground_path(self, bone: Bone) -> Array:
        """[T, 4, 4] of a bone that goes along under the hips and does not turn."""
        path = self.heads["pelvis"] - self.rest["pelvis"]
        path = path - (path @ self.up)[:, None] * self.up
        still = np.tile([1.0, 0.0, 0.0, 0.0], (len(path), 1))
        return _matrices(still, bone, bone.head + path)

    def pole(self, bone: Bone, limb: tuple[str, ...]) -> Array:
        """[T, 4, 4] of a pole target: from the knee or elbow, the way that it points.

        A straight limb points nowhere: the way then is the one carried along by its upper bone.
        """
        upper, middle, end = (self.heads[joint] for joint in limb)
        from_middle = bone.head - self.rest[limb[1]]
        along = normalise(end - upper)

        def across(vectors: Array) -> Array:
            return vectors - np.sum(vectors * along, axis=-1, keepdims=True) * along

        carried = normalise(across(quaternion_rotate(self.turns[limb[0]], from_middle)))
        bend = across(middle - upper)
        length = np.linalg.norm(middle - upper, axis=-1) + np.linalg.norm(end - middle, axis=-1)
        share = (np.linalg.norm(bend, axis=-1) / length - _STRAIGHT) / (_BENT - _STRAIGHT)
        share = np.clip(share, 0.0, 1.0)[:, None]
        way = normalise(share * normalise(bend) + (1.0 - share) * carried)
        still = np.tile([1.0, 0.0, 0.0, 0.0], (len(way), 1))
        return _matrices(still, bone, middle + way * np.linalg.norm(from_middle))


def _up(rest: dict[str, Array]) -> Array:
    """The axis of the armature that is nearest to the line from feet to hips."""
    feet = (rest["left_ankle"] + rest["right_ankle"]) / 2.0
    rise = rest["pelvis"] - feet
    axis = np.zeros(3)
    largest = int(np.argmax(np.abs(rise)))
    axis[largest] = np.sign(rise[largest])
    return axis


def _matrices(turns: Array, bone: Bone, heads: Array) -> Array:
    matrices = np.tile(np.eye(4), (len(turns), 1, 1))
    matrices[:, :3, :3] = quaternion_to_matrix(turns) @ bone.matrix[:3, :3]
    matrices[:, :3, 3] = heads
    return matrices
