# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rig's rest pose says: its axes, its size, its floor, and how its segments would have to
turn to stand in the skeleton's T-pose.

Arms and legs are brought to the T-pose's directions, so that they point where the motion's point
whatever pose the rig rests in. Torso, neck and head count as upright at rest, hands and toes as
straight: their shape is the rig's own. So is the pitch of the feet, or a rig would not stand on its
soles; where they head follows the motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..engine.errors import InputError
from ..engine.rotations import (
    normalise,
    quaternion_between,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)
from ..engine.skeleton import Skeleton
from .bone_map import LIMBS, BoneMap
from .rig import Array, Rig

SIDES = ("left", "right")
_STILL: Array = np.array([1.0, 0.0, 0.0, 0.0])
_UP: Array = np.array([0.0, 1.0, 0.0])
_ALMOST = np.cos(np.radians(20.0))  # so near to an axis of its space, a rig is meant to be along it
_FOLDED = np.radians(120.0)  # a limb that rests so far from the T-pose has been folded, not swung
# Each limb bone's joint -> the joint that it points at, parents first.
_LIMB_BONES = {
    f"{side}_{upper}": f"{side}_{lower}"
    for upper, lower in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
    for side in SIDES
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rig at rest, seen by a motion: y-up, facing +z, in the rig's own unit.

    Attributes:
        axes: [3, 3] armature space -> the motion's axes.
        heads: Mapped joint -> [3] its bone's head along those axes.
        turns: Mapped joint -> [4] how its bone turns from rest into the T-pose.
        scale: The rig's legs over the skeleton's.
        ankle_height: Of the ankles over the armature's zero when the rig stands.
        sole: Height of the joints of the toes (or of the soles) when the rig stands.
    """

    axes: Array
    heads: Mapping[str, Array]
    turns: Mapping[str, Array]
    scale: float
    ankle_height: float
    sole: float

    @property
    def hip_centre(self) -> Array:
        """[3] the middle between the hip joints at rest."""
        return np.asarray((self.heads["left_hip"] + self.heads["right_hip"]) / 2.0)


def calibrate(rig: Rig, bone_map: BoneMap, skeleton: Skeleton) -> Calibration:
    """Reads the rest pose.

    Raises:
        InputError: A joint of the arms, the legs or the pelvis has no bone, or legs have no length.
    """
    missing = [joint for joint in ("pelvis", *LIMBS) if joint not in bone_map.bones]
    if missing:
        raise InputError(
            f'No bone of "{rig.name}" is mapped to {", ".join(missing)}; choose one for each.'
        )
    known = {j: b for j, b in bone_map.bones.items() if j in skeleton.joint_names}
    heads = {joint: rig.by_name[bone].head for joint, bone in known.items()}
    axes = rest_axes(heads)
    heads = {joint: axes @ head for joint, head in heads.items()}
    tails = {joint: axes @ rig.by_name[bone].tail for joint, bone in known.items()}
    lean = _lean(heads)
    turns = dict.fromkeys(known, lean)
    for side in SIDES:
        _add_collar(turns, heads, side, skeleton)
    for joint, child in _LIMB_BONES.items():
        side = joint.split("_")[0]
        above = {"knee": "hip", "elbow": "shoulder"}.get(joint.removeprefix(f"{side}_"))
        carried = turns[f"{side}_{above}"] if above else lean
        wanted = skeleton.t_pose[skeleton.joint_names.index(child)]
        bone = quaternion_rotate(carried, heads[child] - heads[joint])
        turns[joint] = quaternion_multiply(_swing(bone, wanted), carried)
    for side in SIDES:
        turns[f"{side}_wrist"] = turns[f"{side}_elbow"]
        _add_foot(turns, heads, tails, side, lean, skeleton)

    legs = _leg_length(heads)
    if legs < 1e-9:
        raise InputError(
            f'The legs of "{rig.name}" have no length at rest; check which bones are mapped.'
        )
    scale = legs / skeleton_leg_length(skeleton)
    own = _own_ankle(heads, turns, scale * standing_ankle(skeleton))
    ankle, sole = _standing(heads, tails, legs, own, upright=np.array_equal(lean, _STILL))
    return Calibration(axes, heads, turns, scale, ankle, sole)


def rest_axes(heads: Mapping[str, Array]) -> Array:
    """[3, 3] armature space -> the motion's left, up and ahead, from rest joints.

    Rigs are modelled upright along an axis of their own space, and mostly face along another; one
    that was turned about the upright axis afterwards keeps its own ahead.
    """
    left = heads["left_hip"] - heads["right_hip"]
    left = left + heads["left_shoulder"] - heads["right_shoulder"]
    up = heads["left_shoulder"] + heads["right_shoulder"] - heads["left_hip"] - heads["right_hip"]
    up = _nearest_axis(up)
    left = left * (up == 0.0)
    nearest = _nearest_axis(left)
    if normalise(left) @ nearest < _ALMOST:
        nearest = normalise(left)
    return np.stack((nearest, up, np.cross(nearest, up)))


def standing_ankle(skeleton: Skeleton) -> float:
    """How high the ankles of the skeleton's T-pose are above its lowest joint."""
    pose = skeleton.rest_pose
    ankles = [skeleton.left_feet[0], skeleton.right_feet[0]]
    return float(pose[ankles, 1].mean() - pose[:, 1].min())


def skeleton_leg_length(skeleton: Skeleton) -> float:
    """Thigh and shin, both sides' mean."""
    pose = skeleton.rest_pose
    return _leg_length(dict(zip(skeleton.joint_names, pose, strict=True)))


def _leg_length(heads: Mapping[str, Array]) -> float:
    return float(
        np.mean(
            [
                np.linalg.norm(heads[f"{side}_knee"] - heads[f"{side}_hip"])
                + np.linalg.norm(heads[f"{side}_ankle"] - heads[f"{side}_knee"])
                for side in SIDES
            ]
        )
    )


def _nearest_axis(vector: Array) -> Array:
    axis = np.zeros(3)
    largest = int(np.argmax(np.abs(vector)))
    axis[largest] = np.sign(vector[largest])
    return axis


def _lean(heads: Mapping[str, Array]) -> Array:
    """Sets a figure upright [4] that rests leaning as a whole, legs and trunk alike."""
    hips = (heads["left_hip"] + heads["right_hip"]) / 2.0
    trunk = normalise((heads["left_shoulder"] + heads["right_shoulder"]) / 2.0 - hips)
    legs = normalise(hips - (heads["left_ankle"] + heads["right_ankle"]) / 2.0)
    if max(trunk @ _UP, legs @ _UP) > _ALMOST or trunk @ legs < _ALMOST:
        return _STILL
    return np.asarray(quaternion_between(trunk + legs, _UP))


def _add_collar(
    turns: dict[str, Array], heads: Mapping[str, Array], side: str, skeleton: Skeleton
) -> None:
    """Collars keep their shape, unless they do not point sideways at all."""
    collar, shoulder = f"{side}_collar", f"{side}_shoulder"
    if collar not in turns:
        return
    bone = quaternion_rotate(turns[collar], heads[shoulder] - heads[collar])
    wanted = skeleton.t_pose[skeleton.joint_names.index(shoulder)]
    if normalise(bone) @ wanted < np.cos(np.radians(50.0)):
        turns[collar] = quaternion_multiply(quaternion_between(bone, wanted), turns[collar])


def _add_foot(
    turns: dict[str, Array],
    heads: Mapping[str, Array],
    tails: Mapping[str, Array],
    side: str,
    lean: Array,
    skeleton: Skeleton,
) -> None:
    """Feet keep their pitch and take the motion's heading, if they rest as standing feet do."""
    ankle, toe = f"{side}_ankle", f"{side}_foot"
    ahead = skeleton.t_pose[skeleton.joint_names.index(toe)]
    shin = quaternion_rotate(lean, heads[ankle] - heads[f"{side}_knee"])
    bone = heads[toe] - heads[ankle] if toe in heads else tails[ankle] - heads[ankle]
    foot = normalise(quaternion_rotate(lean, bone))
    level = normalise(foot * (1.0, 0.0, 1.0))
    stands = level[2] > 0.5 and -0.97 < foot[1] < 0.5 and normalise(shin)[1] < -0.5
    if stands:
        yaw = np.arctan2(ahead[0], ahead[2]) - np.arctan2(level[0], level[2])
        turns[ankle] = quaternion_multiply(quaternion_from_axis_angle(_UP, yaw), lean)
    elif toe in heads:
        carried = turns[f"{side}_knee"]
        bone = quaternion_rotate(carried, heads[toe] - heads[ankle])
        turns[ankle] = quaternion_multiply(_swing(bone, ahead), carried)
    if toe in turns:
        turns[toe] = turns[ankle]


def _swing(bone: Array, wanted: Array) -> Array:
    """The turn [4] from one direction to another: the shortest, or for one that was folded over
    the joint as hips, knees and shoulders fold, about the axis from left to right."""
    shortest = quaternion_between(bone, wanted)
    if 2.0 * np.arccos(np.clip(shortest[0], -1.0, 1.0)) < _FOLDED:
        return np.asarray(shortest)
    angle = np.arctan2(wanted[2], wanted[1]) - np.arctan2(bone[2], bone[1])
    fold = quaternion_from_axis_angle(np.array([1.0, 0.0, 0.0]), angle)
    rest = quaternion_between(quaternion_rotate(fold, bone), wanted)
    return np.asarray(quaternion_multiply(rest, fold))


def _own_ankle(heads: Mapping[str, Array], turns: Mapping[str, Array], usual: float) -> float:
    """How high the ankles are over the joints of the toes in the T-pose; the usual without toes."""
    if not all(f"{side}_foot" in heads for side in SIDES):
        return usual
    feet = [
        quaternion_rotate(turns[f"{s}_ankle"], heads[f"{s}_foot"] - heads[f"{s}_ankle"])
        for s in SIDES
    ]
    return max(float(-np.mean([foot[1] for foot in feet])), 0.0)


def _standing(
    heads: Mapping[str, Array],
    tails: Mapping[str, Array],
    legs: float,
    own_ankle: float,
    *,
    upright: bool,
) -> tuple[float, float]:
    """Heights of the ankles and of the soles when the rig stands.

    A rig that rests standing stands where it is. Captured skeletons rest with their hips in the
    origin, others in no standing pose at all: those stand on the armature's zero.
    """
    ankle = float(np.mean([heads[f"{side}_ankle"][1] for side in SIDES]))
    hips = float((heads["left_hip"][1] + heads["right_hip"][1]) / 2.0)
    if all(f"{side}_foot" in heads for side in SIDES):
        sole = float(np.mean([heads[f"{side}_foot"][1] for side in SIDES]))
    else:
        sole = float(np.mean([tails[f"{side}_ankle"][1] for side in SIDES]))
    if not upright or hips - ankle < 0.75 * legs or not 0.0 <= ankle - sole < 0.4 * legs:
        return own_ankle, 0.0
    if np.linalg.norm(heads["pelvis"]) < 0.05 * legs:
        return ankle - sole, 0.0
    return ankle, sole
