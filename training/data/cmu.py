# SPDX-License-Identifier: GPL-3.0-or-later
"""CMU Graphics Lab trials, in any of their four published layouts, to the HumanML3D skeleton.

Layouts: Acclaim ASF/AMC (CMU's own), and three BVH conversions: cgspeed, Daz-friendly, and the one
with `LeftHip` and `Chest2` names. Limbs take their directions from the source's joint centres; the
hips, spine, collars, neck and head are the target's T-pose turned by the source's segment
rotations, because their joint centres differ too much between the layouts. Every bone then has the
target's length, and the root path is scaled by the length of the legs, which also turns it into
metres.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.features import rigid_joints
from t2m_blender.engine.kinematics import joints_from_directions
from t2m_blender.engine.rotations import (
    normalise,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from training.data.amc import perform_amc, read_amc, read_asf
from training.data.bvh import perform_bvh, read_bvh
from training.data.performance import Array, Performance

CREDIT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)
LICENCE = (
    "CMU Graphics Lab Motion Capture Database: free for all uses, also inside commercial products; "
    "the motion data itself may not be resold, even converted."
)

_X = np.array([1.0, 0.0, 0.0])
_SETTLED = 24  # source frames in which a trial's false start is over
_JUMP = 11.0  # metres a second, with which no joint begins


@dataclass(frozen=True)
class Layout:
    """How one conversion names what is needed; names are of the left side, `sides` gives the right.

    Attributes:
        name: of the layout.
        limbs: hip, knee, ankle, shoulder, elbow, wrist: the segment that begins there.
        foot: the segment whose far end is the ball of the foot.
        spine: pelvis, lower back, upper back, chest, neck: segments whose rotations are used.
        collar: the segment from chest to shoulder.
        sides: (left prefix, right prefix) in these names.
        leading: source frames at the start that are no motion: a T-pose put there, and what it bled
            into. What comes before a jump in the first frames is dropped in any layout.
        pitch_deg: (pelvis, spine, chest, neck, foot) forward pitch added to the segments, because
            the rest poses of source and target differ (found by comparing standing people).
    """

    name: str
    limbs: tuple[str, ...]
    foot: str
    spine: tuple[str, ...]
    collar: str
    sides: tuple[str, str]
    leading: int
    pitch_deg: tuple[float, float, float, float, float]

    def right(self, name: str) -> str:
        """The right side's name of a left segment."""
        left, right = self.sides
        return right + name.removeprefix(left)


ACCLAIM = Layout(
    name="ASF/AMC",
    limbs=("lfemur", "ltibia", "lfoot", "lhumerus", "lradius", "lhand"),
    foot="lfoot",
    spine=("root", "lowerback", "upperback", "thorax", "upperneck"),
    collar="lclavicle",
    sides=("l", "r"),
    leading=0,
    pitch_deg=(0.0, 0.0, 0.0, 0.0, 2.0),
)
CGSPEED = Layout(
    name="cgspeed BVH",
    limbs=("LeftUpLeg", "LeftLeg", "LeftFoot", "LeftArm", "LeftForeArm", "LeftHand"),
    foot="LeftFoot",
    spine=("Hips", "LowerBack", "Spine", "Spine1", "Neck1"),
    collar="LeftShoulder",
    sides=("Left", "Right"),
    leading=1,
    pitch_deg=(0.0, 0.0, 0.0, 0.0, 0.0),
)
DAZ = Layout(
    name="Daz-friendly BVH",
    limbs=("lThigh", "lShin", "lFoot", "lShldr", "lForeArm", "lHand"),
    foot="lFoot",
    spine=("hip", "abdomen", "chest", "chest", "neck"),
    collar="lCollar",
    sides=("l", "r"),
    leading=8,
    pitch_deg=(0.0, 0.0, 0.0, 0.0, 3.0),
)
CHEST2 = Layout(
    name="Chest2 BVH",
    limbs=("LeftHip", "LeftKnee", "LeftAnkle", "LeftShoulder", "LeftElbow", "LeftWrist"),
    foot="LeftAnkle",
    spine=("Hips", "lowerback", "Chest", "Chest2", "Neck"),
    collar="LeftCollar",
    sides=("Left", "Right"),
    leading=0,
    pitch_deg=(0.0, 0.0, 0.0, 0.0, 2.0),
)
LAYOUTS = (ACCLAIM, CGSPEED, DAZ, CHEST2)


@dataclass(frozen=True)
class Trial:
    """One trial on the target skeleton.

    Attributes:
        joints: [T, 22, 3] metres, y up, at the target's frame rate; frame 0 is the file's first
            frame. The floor is not yet known.
        first: the first frame that is real motion.
        layout: the name of the source's layout.
    """

    joints: Array
    first: int
    layout: str


def read_trial(
    text: str,
    *,
    name: str,
    fps: float,
    asf: str | None = None,
    skeleton: Skeleton = HUMANML3D,
) -> Trial:
    """One AMC or BVH file to joints on the target skeleton, at exactly its frame rate.

    Args:
        text: content of the .amc or .bvh file.
        name: for messages; its suffix tells the format.
        fps: the TRUE frame rate of the capture (BVH headers are not to be trusted).
        asf: content of the subject's .asf file, where text is AMC.
        skeleton: a skeleton with HumanML3D's joints.

    Raises:
        InputError: the file is damaged, of an unknown layout, or too short.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"{name}: the frame rate must be positive, not {fps}.")
    if name.lower().endswith(".amc"):
        if asf is None:
            raise InputError(f"{name}: its .asf skeleton is missing; put it beside the AMC file.")
        acclaim = read_asf(asf, name=re.sub(r"(_\d+)?\.amc$", ".asf", name))
        values = read_amc(text, acclaim, name=name)
        return _convert(values, lambda rows: perform_amc(acclaim, rows), name, fps, skeleton)
    source = read_bvh(text, name=name)
    return _convert(source.values, lambda rows: perform_bvh(source, rows), name, fps, skeleton)


def _convert(
    values: Array,
    perform: Callable[[Array], Performance],
    name: str,
    fps: float,
    skeleton: Skeleton,
) -> Trial:
    """Resamples channel rows to the target's rate and converts them."""
    count = int(np.floor((len(values) - 1) * skeleton.fps / fps + 1e-6)) + 1
    if count < 2:
        raise InputError(f"{name} has {len(values)} frames, less than two at {skeleton.fps} fps.")
    at = np.minimum(np.arange(count) * (fps / skeleton.fps), len(values) - 1)
    below = np.floor(at + 1e-6).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    share = np.clip(at - below, 0.0, 1.0)[:, None, None]
    early = perform(values[below])
    layout = layout_of(early)
    joints = performance_to_joints(early, layout, skeleton)
    if share.max() > 1e-6:
        late = performance_to_joints(perform(values[above]), layout, skeleton)
        joints = rigid_joints((1.0 - share) * joints + share * late, skeleton)
    start = performance_to_joints(perform(values[:_SETTLED]), layout, skeleton)
    speeds = np.linalg.norm(np.diff(start, axis=0), axis=-1).max(axis=-1) * fps
    jumps = np.flatnonzero(speeds > max(_JUMP, 3.0 * float(np.median(speeds))))
    leading = max(layout.leading, int(jumps[-1]) + 1 if jumps.size else 0)
    first = min(int(np.ceil(leading * skeleton.fps / fps - 1e-6)), count - 1)
    return Trial(joints, first, layout.name)


def layout_of(performance: Performance) -> Layout:
    """The layout whose names the figure has.

    Raises:
        InputError: none.
    """
    names = performance.figure.names
    for layout in LAYOUTS:
        if {*layout.limbs, *layout.spine, layout.collar} <= set(names):
            return layout
    raise InputError(
        f"The figure is of no known CMU layout ({', '.join(k.name for k in LAYOUTS)}); "
        f"it has: {', '.join(names[:12])} ..."
    )


def performance_to_joints(
    performance: Performance, layout: Layout, skeleton: Skeleton = HUMANML3D
) -> Array:
    """Positions [T, 22, 3] in metres on the target skeleton, from a source figure in motion."""
    name_index = {n: j for j, n in enumerate(skeleton.joint_names)}
    rest = skeleton.t_pose
    lengths = np.linalg.norm(skeleton.offsets, axis=-1)
    pelvis_pitch, spine_pitch, chest_pitch, neck_pitch, foot_pitch = layout.pitch_deg
    pelvis, lower, upper, chest, neck = (
        _pitched(performance.rotation(segment), pitch)
        for segment, pitch in zip(
            layout.spine,
            (pelvis_pitch, spine_pitch, spine_pitch, chest_pitch, neck_pitch),
            strict=True,
        )
    )
    bones = np.zeros((len(pelvis), skeleton.joint_count, 3))
    turned = {
        "spine1": pelvis,
        "spine2": lower,
        "spine3": upper,
        "neck": chest,
        "head": neck,
        "left_hip": pelvis,
        "right_hip": pelvis,
        "left_collar": chest,
        "right_collar": chest,
    }
    scales = []
    hips = []
    for side, named in (("left", lambda n: n), ("right", layout.right)):
        hip, knee, ankle, shoulder, elbow, wrist = (
            performance.joint(named(limb)) for limb in layout.limbs
        )
        hips.append(hip)
        foot = named(layout.foot)
        ball = performance.tip(foot) - ankle
        sideways = quaternion_rotate(performance.rotation(foot), _X)
        down = quaternion_from_axis_angle(
            normalise(sideways), np.full(len(ball), np.radians(foot_pitch))
        )
        bones[:, name_index[f"{side}_knee"]] = knee - hip
        bones[:, name_index[f"{side}_ankle"]] = ankle - knee
        bones[:, name_index[f"{side}_foot"]] = quaternion_rotate(down, ball)
        bones[:, name_index[f"{side}_elbow"]] = elbow - shoulder
        bones[:, name_index[f"{side}_wrist"]] = wrist - elbow
        turned[f"{side}_shoulder"] = _pitched(
            performance.rotation(named(layout.collar)), chest_pitch
        )
        scales.append(np.linalg.norm((knee - hip)[0]) + np.linalg.norm((ankle - knee)[0]))
    for joint, rotation in turned.items():
        bones[:, name_index[joint]] = quaternion_rotate(rotation, rest[name_index[joint]])

    targets = [name_index[n] for n in ("left_knee", "left_ankle", "right_knee", "right_ankle")]
    scale = lengths[targets].sum() / sum(scales)
    hip_joints = [name_index["left_hip"], name_index["right_hip"]]
    to_hips = quaternion_rotate(pelvis, (rest * lengths[:, None])[hip_joints].mean(axis=0))
    root = scale * (hips[0] + hips[1]) / 2 - to_hips
    return joints_from_directions(root, bones, skeleton)


def _pitched(rotations: Array, degrees: float) -> Array:
    """Rotations [T, 4] with the segment first pitched forward about its own x axis."""
    pitch = quaternion_from_axis_angle(_X, np.full(len(rotations), np.radians(degrees)))
    return quaternion_multiply(rotations, pitch)
