# SPDX-License-Identifier: GPL-3.0-or-later
"""How well motions go onto rigs: real rigs, rigs spoilt in the ways rigs come spoilt, one table.

Run by itself it prints the whole table: `python -m tests.retarget.zoo SHARED_FOLDER`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from t2m_blender.engine.feet import ADULT_LEG, contact_spans, spans_to_held
from t2m_blender.engine.legs import Legs
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import (
    quaternion_angle,
    quaternion_between,
    quaternion_conjugate,
    quaternion_from_axis_angle,
    quaternion_rotate,
    quaternion_to_matrix,
)
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget import (
    BoneMap,
    PoseTrack,
    Rig,
    default_rig,
    map_bones,
    motion_to_pose,
    read_motion,
)
from t2m_blender.retarget.calibration import calibrate, skeleton_leg_length
from t2m_blender.retarget.posing import posed_bones
from t2m_blender.retarget.rig import Bone

NAMES = HUMANML3D.joint_names
SIDES = ("left", "right")
LIMBS = [
    (f"{side}_{upper}", f"{side}_{lower}")
    for side in SIDES
    for upper, lower in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
]
FEET = [f"{side}_{part}" for side in SIDES for part in ("ankle", "foot")]


def real_rig(path: Path) -> Rig:
    data = json.loads(path.read_text())
    bones = tuple(
        Bone(
            b["name"],
            b["parent"],
            *(np.array(b[key], float) for key in ("head", "tail", "matrix")),
            deform=b["deform"],
            connected=b["connected"],
        )
        for b in data["bones"]
    )
    return Rig(data["name"], bones, np.array(data["object_matrix"], float))


def real_rigs(folder: Path) -> list[Rig]:
    return [default_rig(), *(real_rig(path) for path in sorted(folder.glob("*.json")))]


def rolled(rig: Rig, bone_map: BoneMap) -> Rig:
    """Every bone rolled at random, and its y axis pointing anywhere."""
    random = np.random.default_rng(5)

    def other(bone: Bone) -> Bone:
        axis = random.normal(size=3)
        turn = quaternion_from_axis_angle(
            axis / np.linalg.norm(axis), np.array(random.uniform(0, np.pi))
        )
        matrix = bone.matrix.copy()
        matrix[:3, :3] = matrix[:3, :3] @ quaternion_to_matrix(turn)
        return replace(bone, matrix=matrix)

    return replace(rig, name=f"{rig.name} rolled", bones=tuple(map(other, rig.bones)))


def in_a_pose(rig: Rig, bone_map: BoneMap) -> Rig:
    """Arms 45 degrees down in the rest pose, elbows and knees bent a little."""
    return rest_posed(
        rig,
        bone_map,
        {
            "left_shoulder": ((0, 0, 1), -45.0),
            "right_shoulder": ((0, 0, 1), 45.0),
            "left_elbow": ((0, 1, 0), -25.0),
            "right_elbow": ((0, 1, 0), 25.0),
            "left_knee": ((1, 0, 0), 8.0),
            "right_knee": ((1, 0, 0), 8.0),
        },
        "A-pose",
    )


def rest_posed(
    rig: Rig, bone_map: BoneMap, turns: dict[str, tuple[tuple[int, int, int], float]], suffix: str
) -> Rig:
    """The rig resting in another pose: joints turned about axes (left, up, ahead) by degrees."""
    axes = calibrate(rig, bone_map, HUMANML3D).axes
    posed = {bone.name: bone.matrix for bone in rig.bones}
    for joint, (axis, angle) in turns.items():
        top = rig.by_name[bone_map.bones[joint]]
        turn = np.eye(4)
        about = axes.T @ np.array(axis, float)
        turn[:3, :3] = quaternion_to_matrix(
            quaternion_from_axis_angle(about, np.radians(np.array(angle)))
        )
        place = np.eye(4)
        place[:3, 3] = posed[top.name][:3, 3]
        turn = place @ turn @ np.linalg.inv(place)
        below = set()
        for bone in rig.bones:
            if bone.name == top.name or bone.parent in below:
                below.add(bone.name)
                posed[bone.name] = turn @ posed[bone.name]
    bones = []
    for bone in rig.bones:
        change = posed[bone.name] @ np.linalg.inv(bone.matrix)
        tail = (change @ np.append(bone.tail, 1.0))[:3]
        matrix = posed[bone.name]
        bones.append(replace(bone, head=matrix[:3, 3], tail=tail, matrix=matrix))
    return replace(rig, name=f"{rig.name} {suffix}", bones=tuple(bones))


def from_centimetres(rig: Rig, bone_map: BoneMap) -> Rig:
    """Bones in centimetres with y up, the object turned by 90 degrees and scaled by 0.01."""
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    hundred = np.diag([100.0, 100.0, 100.0, 1.0])

    def other(bone: Bone) -> Bone:
        matrix = turn @ bone.matrix
        matrix[:3, 3] *= 100.0
        tail = 100.0 * turn[:3, :3] @ bone.tail
        return replace(bone, head=matrix[:3, 3], tail=tail, matrix=matrix)

    world = rig.matrix_world @ np.linalg.inv(hundred @ turn)
    bones = tuple(map(other, rig.bones))
    return Rig(f"{rig.name} 90 deg 0.01", bones, world)


SPOILT: tuple[Callable[[Rig, BoneMap], Rig], ...] = (rolled, in_a_pose, from_centimetres)


@dataclass(frozen=True)
class Row:
    """What transfer does to one rig, over all motions.

    Attributes:
        rig: Its name.
        limbs: Degrees between the limbs' directions and the motion's, mean.
        worst_limb: The same, the worst limb in the worst frame.
        feet: Degrees between ankle-to-toe directions seen from above, mean; NaN without toes.
        path: Share by which the root's way over the floor is too long or short, the worst motion.
        turns: Degrees a frame that a bone turns beyond what the motion's own segments turn, most.
        left: Whether the left joints are on the left in all frames.
        slip: Millimetres a frame of held feet with foot lock, at the size of an adult, most.
        knee: Degrees a frame that foot lock adds to a knee's change, most.
        sunk: Millimetres of a heel or ball under the floor with foot lock, most.
        back: Millimetres between the motion and what is read back, mean over the rig's joints.
    """

    rig: str
    limbs: float
    worst_limb: float
    feet: float
    path: float
    turns: float
    left: bool
    slip: float
    knee: float
    sunk: float
    back: float


def measure(rig: Rig, bone_map: BoneMap, motions: Sequence[Motion], held: int) -> Row:
    """All figures of one rig; those of foot lock on the first `held` motions."""
    calibration = calibrate(rig, bone_map, HUMANML3D)
    adult = ADULT_LEG / (calibration.scale * skeleton_leg_length(HUMANML3D))
    rig = _without_fingers(rig, bone_map)
    free_rows, held_rows = [], []
    for number, motion in enumerate(motions):
        free = motion_to_pose(motion, rig, bone_map, rate=motion.fps)
        heads = _heads(rig, bone_map, free, calibration.axes)
        joints = {name: motion.joints[:, k].astype(float) for k, name in enumerate(NAMES)}
        limbs = np.stack(
            [angles_deg(heads[b] - heads[a], joints[b] - joints[a]) for a, b in LIMBS], axis=1
        )
        free_rows.append(
            (
                limbs.mean(),
                limbs.max(),
                _feet_heading(heads, joints),
                _path_error(heads["pelvis"], joints["pelvis"], calibration.scale),
                _turn_excess(free, bone_map, motion),
                _left_is_left(heads, joints),
                _back(rig, bone_map, free, motion),
            )
        )
        if number < held:
            contacts = contact_spans(motion)
            locked = motion_to_pose(motion, rig, bone_map, rate=motion.fps, contacts=contacts)
            loose = motion_to_pose(motion, rig, bone_map, rate=motion.fps, root="hips")
            still = _heads(rig, bone_map, locked, calibration.axes)
            before = _heads(rig, bone_map, loose, calibration.axes)
            held_rows.append(
                (
                    _slip(still, locked, adult),
                    _knee_change(still, before),
                    _sunk(still, rig, bone_map, locked, adult),
                )
            )
    free_table, held_table = np.array(free_rows, dtype=float), np.array(held_rows, dtype=float)
    mean, most = free_table.mean(axis=0), free_table.max(axis=0)
    left = bool(free_table[:, 5].all())
    return Row(
        rig.name,
        mean[0],
        most[1],
        mean[2],
        most[3],
        most[4],
        left,
        *held_table.max(axis=0),
        mean[6],
    )


def angles_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.degrees(quaternion_angle(quaternion_between(first, second), np.array([1.0, 0, 0, 0])))


def table(rows: Sequence[Row]) -> str:
    """One line a rig."""
    lines = [
        f"{'rig':32s} limbs  worst   feet  path%  turns left   slip   knee   sunk   back",
        *(
            f"{r.rig:32s}{r.limbs:6.2f}{r.worst_limb:7.2f}{r.feet:7.2f}{100 * r.path:7.2f}"
            f"{r.turns:7.1f} {'yes' if r.left else 'NO':>4s}{r.slip:7.2f}{r.knee:7.2f}"
            f"{r.sunk:7.2f}{r.back:7.2f}"
            for r in rows
        ),
    ]
    return "\n".join(lines)


def _without_fingers(rig: Rig, bone_map: BoneMap) -> Rig:
    """Only the mapped bones and those above them: the others are carried along."""
    wanted: set[str | None] = set(bone_map.bones.values())
    for bone in reversed(rig.bones):
        if bone.name in wanted:
            wanted.add(bone.parent)
    return replace(rig, bones=tuple(bone for bone in rig.bones if bone.name in wanted))


def _heads(
    rig: Rig, bone_map: BoneMap, track: PoseTrack, axes: np.ndarray
) -> dict[str, np.ndarray]:
    """Joint -> [T, 3] along the motion's axes."""
    posed = posed_bones(rig, track)
    index = {bone.name: k for k, bone in enumerate(rig.bones)}
    return {j: posed[:, index[b], :3, 3] @ axes.T for j, b in bone_map.bones.items()}


def _feet_heading(heads: dict[str, np.ndarray], joints: dict[str, np.ndarray]) -> float:
    if not set(FEET) <= set(heads):
        return float("nan")
    level = np.array([1.0, 0.0, 1.0])
    found = []
    for side in SIDES:
        ours = (heads[f"{side}_foot"] - heads[f"{side}_ankle"]) * level
        theirs = (joints[f"{side}_foot"] - joints[f"{side}_ankle"]) * level
        flat = np.linalg.norm(theirs, axis=-1) > 0.1  # a foot that points down has no heading
        found.append(angles_deg(ours, theirs)[flat])
    return float(np.concatenate(found).mean())


def _path_error(ours: np.ndarray, theirs: np.ndarray, scale: float) -> float:
    """Of the way from the start to each frame over the floor, where that is long enough."""
    over = [0, 2]
    way = np.linalg.norm(theirs[:, over] - theirs[:1, over], axis=-1)
    far = way > 1.0
    if not far.any():
        return 0.0
    found = np.linalg.norm(ours[:, over] - ours[:1, over], axis=-1)
    return float(np.abs(found[far] / (scale * way[far]) - 1.0).max())


def _turn_excess(track: PoseTrack, bone_map: BoneMap, motion: Motion) -> float:
    """Beyond what a segment and the one it hangs on turn together."""
    parents = HUMANML3D.parents
    bones = (motion.joints - motion.joints[:, list(parents)]).astype(float)
    swing = np.zeros((motion.frames - 1, len(NAMES)))  # of the segment that ends in a joint
    swing[:, 1:] = angles_deg(bones[1:, 1:], bones[:-1, 1:])
    own = np.zeros_like(swing)  # of the segments that begin in it
    for joint, parent in enumerate(parents):
        if parent >= 0:
            own[:, parent] = np.maximum(own[:, parent], swing[:, joint])
    turns = np.degrees(quaternion_angle(track.rotations[1:], track.rotations[:-1]))
    excess = [
        turns[:, track.bone_names.index(bone)] - own[:, k] - own[:, max(parents[k], 0)]
        for k, bone in ((NAMES.index(j), b) for j, b in bone_map.bones.items())
    ]
    return float(np.max(excess))


def _left_is_left(heads: dict[str, np.ndarray], joints: dict[str, np.ndarray]) -> bool:
    def across(where: dict[str, np.ndarray]) -> np.ndarray:
        left = where["left_hip"] - where["right_hip"]
        return left / np.linalg.norm(left, axis=-1, keepdims=True)

    return bool((np.sum(across(heads) * across(joints), axis=-1) > 0.5).all())


def _slip(heads: dict[str, np.ndarray], track: PoseTrack, adult: float) -> float:
    held = spans_to_held(track.contacts, track.frames)
    both = held[1:] & held[:-1]
    most = 0.0
    for channel, joint in enumerate(FEET):
        if joint in heads and both[:, channel].any():
            step = np.linalg.norm(np.diff(heads[joint], axis=0), axis=-1)
            most = max(most, 1000.0 * adult * float(step[both[:, channel]].max()))
    return most


def _knee_change(locked: dict[str, np.ndarray], free: dict[str, np.ndarray]) -> float:
    def knees(heads: dict[str, np.ndarray]) -> np.ndarray:
        parts = ("hip", "knee", "ankle", "ankle")
        legs = Legs(*(np.stack([heads[f"{s}_{part}"] for s in SIDES], axis=1) for part in parts))
        return np.degrees(legs.knee_angles())

    return float(np.abs(np.diff(knees(locked) - knees(free), axis=0)).max())


def _sunk(
    heads: dict[str, np.ndarray], rig: Rig, bone_map: BoneMap, track: PoseTrack, adult: float
) -> float:
    """Of the balls of the feet, and of what is on the sole right under an ankle at rest."""
    calibration = calibrate(rig, bone_map, HUMANML3D)
    posed = posed_bones(rig, track)
    index = {bone.name: k for k, bone in enumerate(rig.bones)}
    lowest = [0.0]
    for side in SIDES:
        if f"{side}_foot" in heads:
            lowest.append(float(heads[f"{side}_foot"][:, 1].min()) - calibration.sole)
        bone = rig.by_name[bone_map.bones[f"{side}_ankle"]]
        turn = posed[:, index[bone.name], :3, :3] @ np.linalg.inv(bone.matrix[:3, :3])
        upright = quaternion_conjugate(calibration.turns[f"{side}_ankle"])
        under = np.array([0.0, calibration.sole - calibration.ankle_height, 0.0])
        down = calibration.axes.T @ quaternion_rotate(upright, under)
        heel = heads[f"{side}_ankle"] + (turn @ down) @ calibration.axes.T
        lowest.append(float(heel[:, 1].min()) - calibration.sole)
    return -1000.0 * adult * min(lowest)


def _back(rig: Rig, bone_map: BoneMap, track: PoseTrack, motion: Motion) -> float:
    """Mean distance of the joints that the rig has, each motion seen from its own first pelvis."""
    upright = np.eye(4)
    upright[:3, :3] = (FIGURE.T) @ calibrate(rig, bone_map, HUMANML3D).axes
    back = read_motion(rig, bone_map, posed_bones(rig, track), fps=motion.fps, world=upright)
    joints = [k for k, name in enumerate(NAMES) if name in bone_map.bones]
    ours, theirs = (m.joints.astype(float) for m in (back, motion))
    level = np.array([1.0, 0.0, 1.0])
    ours, theirs = (j - j[:1, :1] * level for j in (ours, theirs))
    return float(1000.0 * np.linalg.norm(ours - theirs, axis=-1)[:, joints].mean())


FIGURE = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def zoo(rigs: Sequence[Rig], map_of: Callable[[Rig], BoneMap]) -> list[tuple[Rig, BoneMap]]:
    """Every rig and its spoilt copies; the bones keep their names, so their maps hold."""
    found = []
    for rig in rigs:
        bone_map = map_of(rig)
        found += [(rig, bone_map), *((spoil(rig, bone_map), bone_map) for spoil in SPOILT)]
    return found


if __name__ == "__main__":
    from tests.retarget.real_clips import real_clips

    data = Path(sys.argv[1]) / "data"
    clips = real_clips(Path(sys.argv[1]))
    animals = zoo(real_rigs(data / "rigs"), map_bones)
    print(table([measure(rig, bone_map, clips, len(clips)) for rig, bone_map in animals]))
