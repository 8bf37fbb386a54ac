# SPDX-License-Identifier: GPL-3.0-or-later
"""From a motion to the channels of an armature, in steps between which feet can be held.

A motion is solved with free feet; planted feet are held; the result goes on the rig's own bones or,
in a control rig, on its controls. The free pose is kept with the Action, so that feet can be held
anew after its markers were edited. Main thread only.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ..engine.errors import InputError
from ..engine.feet import ContactSpan
from ..engine.motion import Motion
from ..engine.skeleton import HUMANML3D
from ..retarget.bone_map import BoneMap
from ..retarget.calibration import calibrate
from ..retarget.control_families import control_rig_of
from ..retarget.control_rig import (
    ControlRig,
    Limb,
    control_poses,
    joint_rig,
)
from ..retarget.foot_lock import lock_pose
from ..retarget.rig import PoseTrack, Rig
from ..retarget.solve import motion_to_pose, translated_bone
from ..retarget.travel import Travel, put_travel, root_bone
from ..retarget.wired_controls import controls_by_wiring
from ..retarget.wiring import Wiring
from .channels import Channel, pose_channels, with_fewer_keys
from .control_keys import control_track, switch_channels
from .wiring import wiring_of

FREE_POSE = "t2m_free_pose"
"""Custom property of an Action: the pose before feet were held, packed."""


@dataclass(frozen=True)
class PlacementOptions:
    """How a motion is put on a rig.

    Attributes:
        foot_lock: Planted feet stand still.
        travel: Where the way over the floor goes: "hips", "root" (the root bone) or "none".
        joint_limits: Joints stay within what people can do.
        ik: Limbs of a control rig that are keyed by IK: "hands", "feet".
        key_error: Smooth curves of fewer keys: by how many radians a bone may be turned away from
            the full motion, and over a leg's length moved; None keys every frame.
    """

    foot_lock: bool = True
    travel: Travel = "hips"
    joint_limits: bool = False
    ik: frozenset[str] = frozenset()
    key_error: float | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """The rig that is to move.

    Attributes:
        rig: All of its bones.
        bone_map: Which of them are joints.
        family: Of a control rig; None where the bones themselves are keyed.
        wiring: What ties its bones together; None for a new figure.
    """

    rig: Rig
    bone_map: BoneMap
    family: ControlRig | None
    wiring: Wiring | None

    @classmethod
    def of(cls, armature: bpy.types.Object | None, rig: Rig, bone_map: BoneMap) -> Target:
        """The target with its controls, known by their names or found by what they move.

        Raises:
            InputError: It is a control rig whose controls are not found.
        """
        wiring = wiring_of(armature, rig) if armature else None
        family = control_rig_of(rig)
        if wiring is not None and (family is None or family.lacking(rig)):
            family = controls_by_wiring(wiring, bone_map, otherwise=family)
        return cls(rig, bone_map, family, wiring)

    def check(self, options: PlacementOptions) -> None:
        """Makes sure that the rig can be moved so.

        Raises:
            InputError: It has no root bone for root motion, or no IK controls.
        """
        root = root_bone(self.rig, self.bone_map) if self.family is None else self.family.root
        if options.travel == "root" and (root is None or root not in self.rig.by_name):
            raise InputError(
                f'"{self.rig.name}" has no bone above its hips for root motion. Add one, or let '
                "the hips travel."
            )
        for limb in self.limbs:
            if limb.part in options.ik and not limb.ik:
                raise InputError(
                    f"No IK controls with a pole target were found for the {limb.part} of "
                    f'"{self.rig.name}": switch IK {limb.part.title()} off.'
                )

    @property
    def limbs(self) -> tuple[Limb, ...]:
        """The arms and legs of a control rig."""
        return self.family.limbs if self.family else ()

    @property
    def solved(self) -> Rig:
        """What motions are solved on: of a control rig only the joints that its controls drive."""
        return self.rig if self.family is None else joint_rig(self.rig, self.bone_map)


@dataclass(frozen=True, eq=False)
class RigChannels:
    """What is written.

    Attributes:
        channels: Of all bones that move, and of switches.
        locked: Names of channels that are locked, and stay.
        switches_before: Data path -> the value that a switch had.
    """

    channels: list[Channel]
    locked: list[str]
    switches_before: dict[str, float]


def free_pose(
    target: Target, motion: Motion, rate: float, frames: int | None, options: PlacementOptions
) -> PoseTrack:
    """The motion on the rig, its feet as they come and its way with the hips."""
    return motion_to_pose(
        motion,
        target.solved,
        target.bone_map,
        rate=rate,
        frames=frames,
        root="hips" if options.foot_lock else "pelvis",
        joint_limits=options.joint_limits,
    )


def held_pose(
    target: Target, free: PoseTrack, contacts: Sequence[ContactSpan], travel: Travel
) -> PoseTrack:
    """The pose with its feet held, and its way where it belongs.

    A control rig's root control stands above its joints: `rig_channels` gives it the way.
    """
    rig, bone_map = target.solved, target.bone_map
    track = lock_pose(free, rig, bone_map, contacts) if contacts else free
    if travel == "hips" or (target.family is not None and travel == "root"):
        return track
    axes = calibrate(rig, bone_map, HUMANML3D).axes
    return put_travel(track, rig, bone_map, translated_bone(rig, bone_map), travel, axes)


def rig_channels(
    armature: bpy.types.Object, target: Target, track: PoseTrack, options: PlacementOptions
) -> RigChannels:
    """The channels that make the armature do what the track says."""
    switches: list[Channel] = []
    before: dict[str, float] = {}
    if target.family is not None and target.wiring is not None:
        poses = control_poses(
            target.family,
            target.rig,
            target.bone_map,
            track,
            ik=options.ik,
            root_motion=options.travel == "root",
        )
        track = control_track(armature, target.wiring, poses, track.rate)
        switches, before = switch_channels(armature, poses.switches)
    channels, locked = pose_channels(armature, track)
    if options.key_error is not None:
        channels = with_fewer_keys(
            channels, options.key_error, options.key_error * leg_length(target)
        )
    return RigChannels([*channels, *switches], locked, before)


def leg_length(target: Target) -> float:
    """Thigh and shin of the left leg at rest."""
    hip, knee, ankle = (
        target.rig.by_name[target.bone_map.bones[f"left_{joint}"]].head
        for joint in ("hip", "knee", "ankle")
    )
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def keep_free_pose(action: bpy.types.Action, free: PoseTrack, options: PlacementOptions) -> None:
    """Packs the pose and the options into the Action (some 50 kB for ten seconds)."""
    moved = list(free.translations.items())
    values = [free.rotations.reshape(free.frames, -1), *(places for _, places in moved)]
    packed = zlib.compress(np.concatenate(values, axis=1).astype("<f4").tobytes(), level=1)
    action[FREE_POSE] = json.dumps(
        {
            "bones": free.bone_names,
            "moved": [name for name, _ in moved],
            "rate": free.rate,
            "travel": options.travel,
            "ik": sorted(options.ik),
            "key_error": options.key_error,
            "values": base64.b64encode(packed).decode(),
        }
    )


def kept_free_pose(action: bpy.types.Action) -> tuple[PoseTrack, PlacementOptions]:
    """What `keep_free_pose` packed.

    Raises:
        InputError: The Action holds none.
    """
    try:
        data = json.loads(action[FREE_POSE])
        bones, moved = tuple(data["bones"]), data["moved"]
        width = 4 * len(bones) + 3 * len(moved)
        raw = zlib.decompress(base64.b64decode(data["values"]))
        values = np.frombuffer(raw, "<f4").reshape(-1, width).astype(np.float64)
        options = PlacementOptions(
            travel=data["travel"], ik=frozenset(data["ik"]), key_error=data["key_error"]
        )
    except (KeyError, ValueError, TypeError, zlib.error) as error:
        raise InputError(
            f'The Action "{action.name}" does not hold the motion that its feet came from: '
            "only Actions generated by this add-on can be held anew."
        ) from error
    turns = values[:, : 4 * len(bones)].reshape(len(values), len(bones), 4)
    places = values[:, 4 * len(bones) :].reshape(len(values), len(moved), 3)
    translations = {name: places[:, k] for k, name in enumerate(moved)}
    return PoseTrack(bones, turns, translations, data["rate"]), options
