# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons as data: joints, parents, rest directions, bone lengths, feet and facing joints.

HumanML3D-22 follows Guo et al. (CVPR 2022), KIT-21 Plappert et al. (2016) as processed there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A joint tree and what the feature representation needs to know of it.

    Attributes:
        name: Stored in checkpoints and datasets; two skeletons of one name are the same.
        joint_names: J names in joint order; joint 0 is the root.
        chains: Kinematic chains as the reference writes them; a chain's first joint is its anchor.
        directions: [J, 3] unit bone directions (parent to joint) of the reference pose, y-up.
        t_pose: [J, 3] unit bone directions of a natural T-pose facing +z. Hips and chest have the
            shape that they have in the data, so that one rotation a joint can reproduce a motion
            (the reference directions are schematic: they cannot).
        bone_lengths: [J] lengths in the dataset's unit, root 0; None where the dataset's own target
            clip must be measured (see `with_bone_lengths`).
        right_hip, left_hip, right_shoulder, left_shoulder: Joints that tell where the body faces.
        left_feet, right_feet: (ankle, toe) joints for foot contacts.
        leg_bones: The two bones whose summed length scales a performer to this skeleton.
        fps: Frames a second of the dataset.
        contact_threshold: Squared displacement a frame under which a foot is on the ground.
    """

    name: str
    joint_names: tuple[str, ...]
    chains: tuple[tuple[int, ...], ...]
    directions: NDArray[np.float64]
    t_pose: NDArray[np.float64]
    bone_lengths: NDArray[np.float64] | None
    right_hip: int
    left_hip: int
    right_shoulder: int
    left_shoulder: int
    left_feet: tuple[int, int]
    right_feet: tuple[int, int]
    leg_bones: tuple[int, int]
    fps: float
    contact_threshold: float

    def __post_init__(self) -> None:
        count = len(self.joint_names)
        children = [joint for chain in self.chains for joint in chain[1:]]
        named = [self.right_hip, self.left_hip, self.right_shoulder, self.left_shoulder]
        named += [*self.left_feet, *self.right_feet, *self.leg_bones]
        if sorted(children) != list(range(1, count)) or not set(named) <= set(range(count)):
            raise InputError(
                f"The skeleton {self.name} needs chains in which every joint but 0 follows its "
                f"parent once, and feet, hips, shoulders and leg bones among its {count} joints."
            )
        shapes = [self.directions.shape, self.t_pose.shape]
        if self.bone_lengths is not None:
            shapes.append((*self.bone_lengths.shape, 3))
        if set(shapes) != {(count, 3)} or not self.fps > 0:
            raise InputError(
                f"The skeleton {self.name} needs directions and t_pose of [{count}, 3], {count} "
                f"bone lengths and a frame rate; it has {shapes} and {self.fps}."
            )

    @property
    def joint_count(self) -> int:
        return len(self.joint_names)

    @property
    def feature_size(self) -> int:
        """D = 12 J - 1: 4 root, 3(J-1) positions, 6(J-1) rotations, 3J velocities, 4 contacts."""
        return 12 * self.joint_count - 1

    @property
    def parents(self) -> tuple[int, ...]:
        """The parent of every joint, -1 for the root."""
        parents = [-1] * self.joint_count
        for chain in self.chains:
            for parent, child in pairwise(chain):
                parents[child] = parent
        return tuple(parents)

    @property
    def order(self) -> tuple[int, ...]:
        """All joints, parents before their children (KIT's numbering is not such an order)."""
        parents = self.parents
        order = [0]
        for joint in order:
            order += [child for child, parent in enumerate(parents) if parent == joint]
        return tuple(order)

    @property
    def offsets(self) -> NDArray[np.float64]:
        """[J, 3] offset of each joint from its parent in the reference pose."""
        return self.directions * self._lengths[:, None]

    @property
    def rest_pose(self) -> NDArray[np.float64]:
        """[J, 3] joint positions of the T-pose, the root at the origin, facing +z."""
        offsets = self.t_pose * self._lengths[:, None]
        pose = np.zeros_like(offsets)
        for chain in self.chains:
            for parent, child in pairwise(chain):
                pose[child] = pose[parent] + offsets[child]
        return pose

    @property
    def _lengths(self) -> NDArray[np.float64]:
        if self.bone_lengths is None:
            raise InputError(
                f"The skeleton {self.name} has no bone lengths: measure a target clip with "
                "with_bone_lengths(joints[0])."
            )
        return self.bone_lengths

    def with_bone_lengths(self, pose: NDArray[np.floating[Any]]) -> Skeleton:
        """This skeleton with the bone lengths of one pose [J, 3]."""
        if pose.shape != (self.joint_count, 3):
            raise InputError(
                f"A pose of {self.name} is [{self.joint_count}, 3]; this one is {pose.shape}."
            )
        parents = np.array(self.parents)
        lengths = np.linalg.norm(pose - pose[parents], axis=-1)
        lengths[0] = 0.0
        return replace(self, bone_lengths=np.asarray(lengths, dtype=np.float64))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _directions(text: str) -> NDArray[np.float64]:
    axes = {"0": (0, 0, 0), "x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}
    rows = [np.array(axes[t[-1]]) * (-1 if t[0] == "-" else 1) for t in text.split()]
    return np.array(rows, dtype=np.float64)


def _unit(rows: list[tuple[float, float, float]]) -> NDArray[np.float64]:
    table = np.array(rows, dtype=np.float64)
    return table / np.maximum(np.linalg.norm(table, axis=-1, keepdims=True), 1e-12)


# Measured: hips and chest on clip 012314 (rigid there), the rest of the spine and the feet from the
# dataset's mean pose; left and right made mirror images; arms straight out, legs straight down.
_HUMANML3D_T_POSE = _unit(
    [(0, 0, 0), (0.5655, -0.8247, 0.0076), (-0.5655, -0.8247, 0.0076), (0, 0.9557, -0.2943)]
    + [(0, -1, 0), (0, -1, 0), (0, 0.98, 0.20), (0, -1, 0), (0, -1, 0), (0, 1, 0.05)]
    + [(0.30, -0.40, 0.86), (-0.30, -0.40, 0.86), (0, 0.9975, -0.07), (0.5117, 0.8427, -0.168)]
    + [(-0.5117, 0.8427, -0.168), (0, 0.80, 0.60), (0.998, -0.06, 0), (-0.998, -0.06, 0)]
    + [(1, 0, 0), (-1, 0, 0), (1, 0, 0), (-1, 0, 0)]
)

HUMANML3D = Skeleton(
    name="humanml3d-22",
    joint_names=_names(
        "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3"
        " left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder"
        " left_elbow right_elbow left_wrist right_wrist"
    ),
    chains=(
        (0, 2, 5, 8, 11),
        (0, 1, 4, 7, 10),
        (0, 3, 6, 9, 12, 15),
        (9, 14, 17, 19, 21),
        (9, 13, 16, 18, 20),
    ),
    directions=_directions("0 x -x y -y -y y -y -y y z z y x -x z -y -y -y -y -y -y"),
    t_pose=_HUMANML3D_T_POSE,
    # Metres; the target skeleton of HumanML3D (clip 000021), which every processed clip has.
    bone_lengths=np.array(
        [0.0, 0.103074, 0.109883, 0.131568, 0.393623, 0.390188, 0.143190, 0.432433]
        + [0.425643, 0.057365, 0.143382, 0.149419, 0.219360, 0.137487, 0.143383, 0.103039]
        + [0.131614, 0.122984, 0.256840, 0.263092, 0.266012, 0.269876]
    ),
    right_hip=2,
    left_hip=1,
    right_shoulder=17,
    left_shoulder=16,
    left_feet=(7, 10),
    right_feet=(8, 11),
    leg_bones=(5, 8),
    fps=20.0,
    contact_threshold=0.002,
)

KIT = Skeleton(
    name="kit-21",
    joint_names=_names(
        "root spine chest neck head right_shoulder right_elbow right_wrist left_shoulder left_elbow"
        " left_wrist right_hip right_knee right_ankle right_heel right_toe left_hip left_knee"
        " left_ankle left_heel left_toe"
    ),
    chains=(
        (0, 11, 12, 13, 14, 15),
        (0, 16, 17, 18, 19, 20),
        (0, 1, 2, 3, 4),
        (3, 5, 6, 7),
        (3, 8, 9, 10),
    ),
    directions=_directions("0 y y y y x -y -y -x -y -y x -y -y z z -x -y -y z z"),
    t_pose=_directions("0 y y y y -x -x -x x x x -x -y -y z z x -y -y z z"),
    bone_lengths=None,
    right_hip=11,
    left_hip=16,
    right_shoulder=5,
    left_shoulder=8,
    left_feet=(19, 20),
    right_feet=(14, 15),
    leg_bones=(17, 18),
    fps=12.5,
    contact_threshold=0.05,
)

SKELETONS = {skeleton.name: skeleton for skeleton in (HUMANML3D, KIT)}


def skeleton_to_json(skeleton: Skeleton) -> str | dict[str, Any]:
    """What datasets and checkpoints store: the name of one of ours, or another's whole table."""
    if skeleton is SKELETONS.get(skeleton.name):
        return skeleton.name
    values = {field.name: getattr(skeleton, field.name) for field in fields(skeleton)}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def skeleton_from_json(value: object) -> Skeleton:
    """The skeleton that `skeleton_to_json` stored.

    Raises:
        InputError: An unknown name, or a table that is no skeleton.
    """
    if isinstance(value, str) and value in SKELETONS:
        return SKELETONS[value]
    if not isinstance(value, dict):
        raise InputError(f"The skeleton {value!r} is not known; use {' or '.join(SKELETONS)}.")
    try:
        table = {k: _tuples(v) if isinstance(v, list) else v for k, v in value.items()}
        for name in ("directions", "t_pose", "bone_lengths"):
            if table[name] is not None:
                table[name] = np.array(table[name], dtype=np.float64)
        return Skeleton(**table)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The stored skeleton lacks or garbles {error}; store it again."
        ) from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
