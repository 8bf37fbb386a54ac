# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a motion came out on a rig, measured off Blender's evaluated bones. Needs `bpy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import bpy
import numpy as np

from benchmarks.zoo import Specimen, rest_axes
from t2m_blender.blender.action import action_curves
from t2m_blender.blender.armature import armature_to_rig
from t2m_blender.blender.contacts import read_contacts
from t2m_blender.blender.placement import place_motion
from t2m_blender.blender.rig_keys import PlacementOptions
from t2m_blender.blender.rig_map import bone_map_of
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import matrix_to_quaternion, quaternion_angle
from t2m_blender.retarget.rig import Rig

LIMBS = tuple(
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in ("left", "right")
    for upper, lower in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
)
FEET = (("left_ankle", "left_foot"), ("right_ankle", "right_foot"))
JUMP = np.radians(60.0)
"""A bone that turns so far in one frame has jumped, unless some part of the motion itself turns
half as far in that frame."""
HUMAN_LEG = 0.8  # metres
NEAR = 0.02  # of the leg's length: a mapped bone's head so near to the true joint is right


@dataclass(frozen=True)
class Measures:
    """Of one clip on one rig.

    Attributes:
        misplaced: Limb joints mapped to a bone that is elsewhere, or not mapped.
        limbs_deg, worst_limbs_deg: Mean angle between the rig's and the motion's arms and legs;
            over clips, the mean and the largest of the clips' means.
        feet_deg: Likewise of ankle to ball; 0 where the rig has none.
        path: Deviation of the path's scale from the ratio of the leg lengths.
        swapped: Frames on which the left hip is not on the motion's left.
        jumps: Frames on which a bone jumps and the motion does not.
        slide_mm: Mean step of a planted foot, a frame, on a leg of human length, foot lock on.
    """

    misplaced: int
    limbs_deg: float
    worst_limbs_deg: float
    feet_deg: float
    path: float
    swapped: int
    jumps: int
    slide_mm: float

    @classmethod
    def worst(cls, measures: Sequence[Measures]) -> Measures:
        """The mean of the angles over all clips, and the worst of everything else."""
        return cls(
            misplaced=max(m.misplaced for m in measures),
            limbs_deg=float(np.mean([m.limbs_deg for m in measures])),
            worst_limbs_deg=max(m.worst_limbs_deg for m in measures),
            feet_deg=float(np.mean([m.feet_deg for m in measures])),
            path=max(m.path for m in measures),
            swapped=sum(m.swapped for m in measures),
            jumps=sum(m.jumps for m in measures),
            slide_mm=max(m.slide_mm for m in measures),
        )


def measure(
    specimen: Specimen, motion: Motion, name: str, *, lock: bool = True, **options: object
) -> Measures:
    """Puts the motion on the rig and plays it: with free feet, and then with `lock` held ones.

    Raises:
        InputError: The rig is refused.
    """
    rig = armature_to_rig(specimen.armature)
    axes = rest_axes(rig, specimen.joints)
    pelvis = bone_map_of(specimen.armature, rig).bones["pelvis"]
    specimen = replace(specimen, joints={"pelvis": pelvis, **specimen.joints})
    played = play(specimen, motion, name, foot_lock=False, **options)
    heads = {joint: played[joint][:, :3, 3] @ axes.T for joint in specimen.joints}
    wanted = {
        joint: motion.joints[:, motion.skeleton.joint_names.index(joint)].astype(np.float64)
        for joint in specimen.joints
    }
    limbs = [angles_deg(heads, wanted, limb).mean() for limb in LIMBS]
    feet = [angles_deg(heads, wanted, foot).mean() for foot in FEET if foot[1] in heads]
    scale = leg_length(rig_heads(rig, specimen)) / leg_length(_rest_of(motion))
    return Measures(
        misplaced=_misplaced(specimen, rig),
        limbs_deg=float(np.mean(limbs)),
        worst_limbs_deg=float(np.mean(limbs)),
        feet_deg=float(np.mean(feet)) if feet else 0.0,
        path=_path_error(heads, wanted, scale),
        swapped=_swapped(heads, wanted),
        jumps=_jumps(played, motion),
        slide_mm=_slide(specimen, motion, name, rig, **options) if lock else 0.0,
    )


def play(specimen: Specimen, motion: Motion, name: str, **options: object) -> dict[str, np.ndarray]:
    """[T, 4, 4] matrices of the true joints' bones in armature space, while the motion plays."""
    context, scene = bpy.context, bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(motion.fps), 1.0
    place_motion(context, as_generated(motion, name), options=PlacementOptions(**options))
    found: dict[str, list[np.ndarray]] = {joint: [] for joint in specimen.joints}
    for frame in range(motion.frames):
        scene.frame_set(scene.frame_start + frame)
        bones = specimen.armature.evaluated_get(context.evaluated_depsgraph_get()).pose.bones
        for joint, bone in specimen.joints.items():
            found[joint].append(np.array(bones[bone].matrix))
    return {joint: np.array(matrices) for joint, matrices in found.items()}


def as_generated(motion: Motion, name: str) -> SimpleNamespace:
    """A captured motion in the place of a generated one."""
    return SimpleNamespace(
        motion=motion,
        prompt=name,
        seed=0,
        seconds=None,
        guidance=1.0,
        temperature=1.0,
        model_name="captured",
        model_sha256="",
        parts=(),
        loop=False,
        foot_lock=True,
        warnings=(),
    )


def angles_deg(
    heads: dict[str, np.ndarray], wanted: dict[str, np.ndarray], limb: tuple[str, str]
) -> np.ndarray:
    """[T] degrees between a limb of the rig and the same of the motion."""
    first, second = heads[limb[1]] - heads[limb[0]], wanted[limb[1]] - wanted[limb[0]]
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.degrees(np.arccos(np.clip(np.sum(first * second, axis=-1), -1.0, 1.0)))


def leg_length(joints: dict[str, np.ndarray]) -> float:
    """Thigh and shin, both legs' mean."""
    length = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (joints[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        length += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) / 2.0
    return length


def rig_heads(rig: Rig, specimen: Specimen) -> dict[str, np.ndarray]:
    """The true joints at rest."""
    return {joint: rig.by_name[bone].head for joint, bone in specimen.joints.items()}


def _rest_of(motion: Motion) -> dict[str, np.ndarray]:
    pose = motion.joints[0].astype(np.float64)
    return dict(zip(motion.skeleton.joint_names, pose, strict=True))


def _misplaced(specimen: Specimen, rig: Rig) -> int:
    """Limb joints whose mapped bone does not begin where the joint truly is."""
    bones = bone_map_of(specimen.armature, rig).bones
    true = rig_heads(rig, specimen)
    near = NEAR * leg_length(true)
    wrong = 0
    for joint in dict.fromkeys(joint for limb in (*LIMBS, *FEET) for joint in limb):
        if joint not in true:
            continue
        found = rig.by_name[bones[joint]].head if joint in bones else np.full(3, np.inf)
        wrong += bool(np.linalg.norm(found - true[joint]) > near)
    return wrong


def _path_error(heads: dict[str, np.ndarray], wanted: dict[str, np.ndarray], scale: float) -> float:
    """How far the slope of the hips bone's path on the motion's is from what the legs say."""
    path = heads["pelvis"] - heads["pelvis"].mean(axis=0)
    motion = wanted["pelvis"] - wanted["pelvis"].mean(axis=0)
    return abs(float(np.sum(path * motion) / np.sum(motion * motion)) / scale - 1.0)


def _swapped(heads: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> int:
    across = heads["left_hip"] - heads["right_hip"]
    true = wanted["left_hip"] - wanted["right_hip"]
    return int(np.sum(np.sum(across * true, axis=-1) <= 0.0))


def _jumps(played: dict[str, np.ndarray], motion: Motion) -> int:
    steps = []
    for matrices in played.values():
        turns = matrices[:, :3, :3] / np.linalg.norm(matrices[:, :3, :3], axis=1, keepdims=True)
        rotations = matrix_to_quaternion(turns)
        steps.append(quaternion_angle(rotations[:-1], rotations[1:]))
    joints = motion.joints.astype(np.float64)
    parents = np.array(motion.skeleton.parents[1:])
    hips = joints[:, [motion.skeleton.left_hip]] - joints[:, [motion.skeleton.right_hip]]
    ways = np.concatenate((joints[:, 1:] - joints[:, parents], hips), axis=1)
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    source = np.arccos(np.clip(np.sum(ways[1:] * ways[:-1], axis=-1), -1.0, 1.0))
    return int(np.sum((np.max(steps, axis=0) > JUMP) & (np.max(source, axis=1) < JUMP / 2.0)))


def _slide(specimen: Specimen, motion: Motion, name: str, rig: Rig, **options: object) -> float:
    """Mean step of planted feet, the frames by the markers that foot lock left."""
    played = play(specimen, motion, name, foot_lock=True, **options)
    scale = HUMAN_LEG / leg_length(rig_heads(rig, specimen))
    action = specimen.armature.animation_data.action
    start = bpy.context.scene.frame_start
    steps: list[np.ndarray] = []
    for span in read_contacts(action, start):
        joint = f"{span.side}_{'ankle' if span.part == 'heel' else 'foot'}"
        if joint in played:
            places = played[joint][span.start : span.stop, :3, 3]
            steps.append(np.linalg.norm(np.diff(places, axis=0), axis=-1))
    every = np.concatenate(steps) if steps else np.zeros(1)
    return 1000.0 * scale * float(np.mean(every)) if len(every) else 0.0


def key_count(armature: bpy.types.Object) -> int:
    """Keys of the armature's current Action."""
    return sum(len(curve.keyframe_points) for curve in action_curves(armature))
