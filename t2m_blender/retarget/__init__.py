# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion onto rigs: which bone is which joint, and how each bone must turn.

NumPy only. A `Rig` is what Blender's armature is at rest; a `PoseTrack` is what its bones do over
time, in the terms of Blender's pose channels (`matrix_basis`).
"""

from __future__ import annotations

from .bone_map import BoneMap, bone_map_from_json, bone_map_to_json, map_bones
from .default_rig import default_rig
from .read_back import NamedMotion, read_motion
from .rig import Bone, PoseTrack, Rig
from .solve import motion_to_pose

__all__ = [
    "Bone",
    "BoneMap",
    "NamedMotion",
    "PoseTrack",
    "Rig",
    "bone_map_from_json",
    "bone_map_to_json",
    "default_rig",
    "map_bones",
    "motion_to_pose",
    "read_motion",
]
