# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast keys are written, against Blender's own `keyframe_insert`.

    /path/to/bpy-venv/bin/python -m benchmarks.keys ../shared/data/rigs/mixamo.json -o results

Keys: 65 bones turn and one moves over 200 frames; the channels of a PoseTrack against one
`keyframe_insert` a bone and frame. Transfer: a motion of 200 frames onto that rig by the add-on,
from joints to the Action in place, against the same with its keys inserted one by one. Medians of
five, in turns, in one run; the ratio is what counts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import bpy
import numpy as np

from benchmarks.report import arguments, median, publish, spread
from benchmarks.zoo import read_rig
from benchmarks.zoo_measures import as_generated
from t2m_blender.blender import placement
from t2m_blender.blender.action import write_action
from t2m_blender.blender.armature import rig_to_armature
from t2m_blender.blender.channels import Channel, pose_channels
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.rotations import normalise
from t2m_blender.engine.skeleton import HUMANML3D
from t2m_blender.retarget.rig import PoseTrack

BONES, FRAMES = 65, 200


def main() -> None:
    """Measures, prints and writes."""
    parser = arguments(__doc__)
    parser.add_argument("rig", type=Path, help="a rig of at least 65 bones, such as mixamo.json")
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    armature = rig_to_armature(read_rig(options.rig), bpy.context)
    track = swaying(armature)

    def write() -> None:
        channels, _ = pose_channels(armature, track)
        write_action(armature, channels, name="bulk", frame_start=1, recipe={})

    def insert() -> None:
        armature.animation_data_create().action = None
        insert_keys(armature, track)

    made = as_generated(walking(), "benchmark")

    def transfer() -> None:
        placement.place_motion(bpy.context, made)

    bulk = placement.write_action

    def transfer_by_insertion() -> None:
        placement.write_action = inserted_action
        try:
            placement.place_motion(bpy.context, made)
        finally:
            placement.write_action = bulk

    now = time.perf_counter if options.clock == "wall" else time.process_time
    sides = {
        f"keys of {BONES} bones, {FRAMES} frames": (write, insert),
        f"whole transfer of {FRAMES} frames": (transfer, transfer_by_insertion),
    }
    seconds = {what: compare(*both, options.repeats, now) for what, both in sides.items()}
    rows = [
        (what, spread(taken["ours"]), spread(taken["theirs"]),
         f"{median(taken['theirs']) / median(taken['ours']):.1f}")
        for what, taken in seconds.items()
    ]  # fmt: skip
    header = ("what", "ours, median (range)", "keyframe_insert", "times faster")
    values = {"blender": bpy.app.version_string, "clock": options.clock, "seconds": seconds}
    title = f"Keys, Blender {bpy.app.version_string}"
    publish(title, header, rows, values, options.output)


def compare(
    ours: Callable[[], None],
    theirs: Callable[[], None],
    repeats: int,
    now: Callable[[], float],
) -> dict[str, list[float]]:
    """Seconds of both in turns, after one run of each that does not count."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for count in range(repeats + 1):
        for name, work in (("ours", ours), ("theirs", theirs)):
            start = now()
            work()
            if count:
                seconds[name].append(now() - start)
        bpy.data.batch_remove(list(bpy.data.actions))
    return seconds


def swaying(armature: bpy.types.Object) -> PoseTrack:
    """All the first bones turning smoothly, and the first of them moving."""
    random = np.random.default_rng(0)
    names = tuple(bone.name for bone in armature.pose.bones[:BONES])
    path = np.cumsum(0.02 * random.normal(size=(FRAMES, BONES, 4)), axis=0) + (1, 0, 0, 0)
    moved = np.cumsum(0.01 * random.normal(size=(FRAMES, 3)), axis=0)
    return PoseTrack(names, normalise(path), {names[0]: moved}, 24.0)


def walking() -> Motion:
    """A figure that walks and swings its limbs, 200 frames."""
    time_ = np.arange(FRAMES)[:, None, None] / HUMANML3D.fps
    joints = np.tile(HUMANML3D.rest_pose, (FRAMES, 1, 1)).astype(np.float64)
    joints += 0.05 * np.sin(5.0 * time_ + np.arange(22)[:, None] + np.arange(3))
    joints[..., 2] += 1.2 * time_[..., 0]
    return Motion(joints.astype(np.float32), 24.0)


def insert_keys(armature: bpy.types.Object, track: PoseTrack) -> None:
    """The same keys, one `keyframe_insert` for each bone and frame."""
    bones = [armature.pose.bones[name] for name in track.bone_names]
    for frame in range(track.frames):
        for number, bone in enumerate(bones):
            bone.rotation_quaternion = track.rotations[frame, number]
            bone.keyframe_insert("rotation_quaternion", frame=frame + 1)
            if bone.name in track.translations:
                bone.location = track.translations[bone.name][frame]
                bone.keyframe_insert("location", frame=frame + 1)


def inserted_action(
    armature: bpy.types.Object, channels: list[Channel], *, name: str, **_: object
) -> bpy.types.Action:
    """In place of `write_action`: the channels' keys inserted property by property."""
    armature.animation_data_create().action = None
    by_property: dict[str, list[Channel]] = {}
    for channel in channels:
        by_property.setdefault(channel.path, []).append(channel)
    for frame in range(max(len(channel.values) for channel in channels)):
        for path, parts in by_property.items():
            owner, _, name_ = path.rpartition(".")
            bone = armature.path_resolve(owner)
            setattr(bone, name_, [channel.values[frame] for channel in parts])
            bone.keyframe_insert(name_, frame=frame + 1)
    return armature.animation_data.action


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # Blender's own end can crash or hang on the wheel
