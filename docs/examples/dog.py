# SPDX-License-Identifier: GPL-3.0-or-later
"""A dog that no camera has seen: a skeleton of 25 joints, and clips of it made by a few formulas.

`python docs/examples/dog.py datasets/dog` writes a dataset that both stages of training read. The
page docs/custom-skeleton.md walks through this file. Metres; y is up, x the dog's left, z ahead.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.features import motion_to_features
from t2m_blender.engine.kinematics import forward_kinematics
from t2m_blender.engine.rotations import (
    normalise,
    quaternion_from_axis_angle,
    quaternion_multiply,
    quaternion_rotate,
)
from t2m_blender.engine.skeleton import Skeleton
from training.data.dataset import Clip, Dataset, statistics, write_dataset

Array = NDArray[np.float64]
CLIPS_OF_EACH = 24
FPS = 20.0
X, Y = np.eye(3)[:2]

# ---- The skeleton: every joint with its parent and its place when the dog stands.
TRUNK = {
    "pelvis": (None, (0, 0.50, 0)),
    "spine": ("pelvis", (0, 0.52, 0.20)),
    "chest": ("spine", (0, 0.50, 0.42)),
    "neck": ("chest", (0, 0.60, 0.56)),
    "head": ("neck", (0, 0.72, 0.66)),
    "nose": ("head", (0, 0.68, 0.80)),
    "tail_root": ("pelvis", (0, 0.50, -0.14)),
    "tail_middle": ("tail_root", (0, 0.46, -0.28)),
    "tail_tip": ("tail_middle", (0, 0.44, -0.40)),
}
LEGS = {
    "hind": ("pelvis", {"hip": (0.47, -0.02), "knee": (0.33, 0.06), "hock": (0.16, -0.08)}, -0.03),
    "front": (
        "chest",
        {"shoulder": (0.42, 0.44), "elbow": (0.28, 0.3), "wrist": (0.12, 0.4)},
        0.43,
    ),
}
HALF_WIDTH = 0.07


def dog_skeleton() -> Skeleton:
    """The joints of `TRUNK`, then those of the four legs."""
    joints: dict[str, tuple[str | None, tuple[float, float, float]]] = dict(TRUNK)
    for kind, (parent, places, paw) in LEGS.items():
        for side, x in (("left", HALF_WIDTH), ("right", -HALF_WIDTH)):
            above = parent
            for name, (y, z) in {**places, "paw": (0.0, paw)}.items():
                joint = f"{side}_{kind}_{name}" if name == "paw" else f"{side}_{name}"
                joints[joint] = (above, (x, y, z))
                above = joint
    names = tuple(joints)
    number = {name: k for k, name in enumerate(names)}
    places = np.array([place for _, place in joints.values()], dtype=np.float64)
    parents = [number[parent] if parent else 0 for parent, _ in joints.values()]
    bones = places - places[parents]
    chains = tuple((parents[joint], joint) for joint in range(1, len(names)))
    return Skeleton(
        name="dog-25",
        joint_names=names,
        chains=chains,  # every bone a chain of its own is the simplest way to say who hangs on whom
        directions=normalise(bones),
        t_pose=normalise(bones),
        bone_lengths=np.linalg.norm(bones, axis=-1),
        right_hip=number["right_hip"],
        left_hip=number["left_hip"],
        right_shoulder=number["right_shoulder"],
        left_shoulder=number["left_shoulder"],
        left_feet=(number["left_front_paw"], number["left_hind_paw"]),
        right_feet=(number["right_front_paw"], number["right_hind_paw"]),
        leg_bones=(number["left_knee"], number["left_hock"]),
        fps=FPS,
        contact_threshold=0.002,
    )


DOG = dog_skeleton()
STANDING = DOG.rest_pose + [0.0, TRUNK["pelvis"][1][1], 0.0]
PAWS = tuple(f"{side}_{kind}_paw" for kind in ("hind", "front") for side in ("left", "right"))
# When in a stride each paw of PAWS is lifted: a walk goes round, a trot in diagonal pairs.
WALK, TROT = (0.0, 0.5, 0.25, 0.75), (0.0, 0.5, 0.5, 0.0)


# ---- Motion: the trunk follows curves over time, the legs reach for the paws.
@dataclass
class Moves:
    """What the dog does, a number a frame; everything stays as it stands unless it is changed."""

    way: Array  # [T, 3] of the pelvis over the floor, and how much higher than standing
    heading: Array  # [T] to the left
    paws: Array  # [T, 4, 3] where the paws are
    pitch: Array  # [T] the trunk, nose down
    nod: Array  # [T] neck and head, nose down
    look: Array  # [T] neck and head, to the left
    wag: Array  # [T] the tail, to the left


def pose(moves: Moves) -> Array:
    """Joints [T, 25, 3] of the moves."""
    frames, names = len(moves.way), DOG.joint_names
    heading = quaternion_from_axis_angle(Y, moves.heading)
    trunk = quaternion_multiply(heading, quaternion_from_axis_angle(X, moves.pitch))
    turns = np.repeat(trunk[:, None], len(names), axis=1)
    neck, tail = ("neck", "head", "nose"), ("tail_root", "tail_middle", "tail_tip")
    for names_turned, axis, angle in (
        (neck, Y, moves.look),
        (neck, X, moves.nod - 0.7 * moves.pitch),
        (tail, Y, -moves.wag),
        (tail, X, np.maximum(-moves.pitch, 0.0)),  # who sits has the tail on the floor
    ):
        for name in names_turned:
            joint = names.index(name)
            turns[:, joint] = quaternion_multiply(
                turns[:, joint], quaternion_from_axis_angle(axis, angle)
            )
    joints = forward_kinematics(turns, STANDING[0] + moves.way, STANDING, DOG)
    for place, paw in enumerate(PAWS):
        leg = names.index(paw)
        reach(joints[:, leg - 3 : leg + 1], moves.paws[:, place], heading, leg, frames)
    return joints


def reach(leg: Array, paw: Array, heading: Array, last: int, frames: int) -> None:
    """Bends a leg [T, 4, 3] so that it comes to its paw's place; knees forward, elbows backward."""
    upper, lower, foot = DOG.bone_lengths[last - 2 : last + 1]  # type: ignore[index]
    down = quaternion_rotate(heading, np.tile(STANDING[last] - STANDING[last - 1], (frames, 1)))
    bend = 1.0 if "hind" in DOG.joint_names[last] else -1.0
    hint = quaternion_rotate(heading, np.tile([0.0, 0.0, bend], (frames, 1)))
    way = paw - down - leg[:, 0]
    far = np.linalg.norm(way, axis=-1, keepdims=True)
    reached = np.clip(far, 1.05 * abs(upper - lower), 0.995 * (upper + lower))
    along = way / far
    sideways = normalise(hint - np.sum(hint * along, axis=-1, keepdims=True) * along)
    ahead = (upper**2 - lower**2 + reached**2) / (2.0 * reached)
    leg[:, 1] = leg[:, 0] + ahead * along + np.sqrt(upper**2 - ahead**2) * sideways
    leg[:, 2] = leg[:, 0] + reached * along
    leg[:, 3] = leg[:, 2] + foot * normalise(down)


def standing(seconds: float) -> Moves:
    """Nothing moves."""
    frames = round(seconds * FPS)
    paws = np.array([STANDING[DOG.joint_names.index(paw)] for paw in PAWS])
    nothing = [np.zeros(frames) for _ in range(5)]
    return Moves(np.zeros((frames, 3)), nothing[0], np.tile(paws, (frames, 1, 1)), *nothing[1:])


def going(seconds: float, speed: float, turn: float, gait: tuple[float, ...]) -> Moves:
    """Along a circle (metres and radians to the left a second), the paws still while they carry."""
    moves = standing(seconds)
    rate = 1.0 + 0.45 * abs(speed) + 0.3 * abs(turn)  # strides a second
    time = np.arange(len(moves.way)) / FPS

    def at(when: Array) -> tuple[Array, Array]:
        heading = turn * when
        fine = np.linspace(0.0, 1.0, 33) * when[..., None]
        course = speed * np.stack((np.sin(turn * fine), 0.0 * fine, np.cos(turn * fine)), axis=-1)
        return course.mean(axis=-2) * when[..., None], heading

    moves.way, moves.heading = at(time)
    moves.way[:, 1] += 0.012 * np.cos(4.0 * np.pi * rate * time) - 0.02
    carried = 0.65 if gait == WALK else 0.5  # share of a stride
    for place, phase in enumerate(gait):
        stride = rate * time + phase
        whole, part = np.floor(stride), stride % 1.0
        stands = []
        for later in (0.0, 1.0):
            way, heading = at((whole + later + carried / 2.0 - phase) / rate)
            turned = quaternion_from_axis_angle(Y, heading)
            stands.append(way + quaternion_rotate(turned, moves.paws[0, place]))
        swing = np.clip((part - carried) / (1.0 - carried), 0.0, 1.0)
        moves.paws[:, place] = stands[0] + smooth(swing)[:, None] * (stands[1] - stands[0])
        moves.paws[:, place, 1] = (0.05 + 0.03 * abs(speed)) * np.sin(np.pi * swing)
    moves.wag = 0.15 * np.sin(2.0 * np.pi * rate * time)
    moves.nod = 0.06 * np.cos(4.0 * np.pi * rate * time)
    return moves


def lowering(seconds: float, chance: np.random.Generator, pelvis: float, pitch: float) -> Moves:
    """From standing to another posture and staying there: the pelvis down, the trunk pitched."""
    moves = standing(seconds)
    begin, taken = chance.uniform(0.1, 0.5), chance.uniform(0.6, 1.1)
    share = smooth(np.clip((np.arange(len(moves.way)) / FPS - begin) / taken, 0.0, 1.0))
    moves.pitch = pitch * share
    moves.way[:, 1] = -pelvis * share
    moves.way[:, 2] = 0.10 * share * (pitch < 0.0)
    moves.paws[:, :2, 2] += 0.12 * share[:, None] * (pitch < 0.0)
    moves.paws[:, 2:, 2] += 0.14 * share[:, None] * (pelvis > 0.3)
    return moves


def jumping(chance: np.random.Generator) -> Moves:
    """Crouch, fly, land."""
    moves = standing(2.6)
    time = np.arange(len(moves.way)) / FPS
    height, far, begin = chance.uniform(0.25, 0.45), chance.uniform(0.4, 1.0), 0.7
    air = 2.0 * np.sqrt(2.0 * height / 9.81)
    share = np.clip((time - begin) / air, 0.0, 1.0)
    flight = 4.0 * share * (1.0 - share)
    for middle in (begin - 0.15, begin + air + 0.1):
        moves.way[:, 1] -= 0.13 * np.exp(-(((time - middle) / 0.13) ** 2))
    moves.way[:, 1] += height * flight
    moves.way[:, 2] = far * share
    moves.pitch = 0.5 * (share - 0.5) * (flight > 0.0)
    moves.paws[..., 1] += (1.15 * height * flight)[:, None]
    moves.paws[..., 2] += (far * share)[:, None]
    return moves


def smooth(share: Array) -> Array:
    return share * share * (3.0 - 2.0 * share)


# ---- The dataset: kinds of clips, each with the sentences that say what it shows.
def clips_of(kind: str, chance: np.random.Generator) -> tuple[Moves, tuple[str, ...]]:
    """One clip and its sentences; what is not in the sentence is left to chance."""
    gait, _, course = kind.partition(", ")
    side = {"left": 1.0, "right": -1.0}.get(course.split()[-1] if course else "", 0.0)
    if gait in ("walks", "trots"):
        speed = chance.uniform(0.5, 0.75) if gait == "walks" else chance.uniform(1.3, 1.7)
        turn = side * chance.uniform(0.7, 1.1)
        moves = going(chance.uniform(3.2, 4.8), speed, turn, WALK if gait == "walks" else TROT)
        again = {"walks": "is walking", "trots": "is trotting"}[gait]
        end = f"in a circle to the {course.split()[-1]}" if side else "straight ahead"
        return moves, (f"a dog {gait} {end}", f"the dog {again} {end}")
    if gait == "wags":
        moves = standing(chance.uniform(2.6, 4.0))
        time = np.arange(len(moves.way)) / FPS
        moves.wag = chance.uniform(0.5, 0.8) * np.sin(2.0 * np.pi * chance.uniform(2.0, 3.0) * time)
        return moves, ("a dog stands and wags its tail", "the dog is wagging its tail")
    if gait == "looks":
        moves = standing(chance.uniform(2.6, 3.6))
        time = np.arange(len(moves.way)) / FPS
        share = np.clip((time - chance.uniform(0.2, 0.6)) / 0.6, 0.0, 1.0)
        moves.look = side * chance.uniform(0.5, 0.8) * smooth(share)
        return moves, (f"a dog looks to the {course}", f"the dog turns its head to the {course}")
    if gait == "sits":
        moves = lowering(chance.uniform(2.6, 3.6), chance, 0.30, -0.75)
        return moves, ("a dog sits down", "the dog is sitting down on its hind legs")
    if gait == "lies":
        moves = lowering(chance.uniform(2.6, 3.6), chance, 0.33, 0.0)
        return moves, ("a dog lies down", "the dog lays itself on the floor")
    if gait == "bows":
        moves = lowering(chance.uniform(2.6, 3.6), chance, 0.02, 0.45)
        return moves, ("a dog bows and wants to play", "the dog stretches its front legs and bows")
    return jumping(chance), ("a dog jumps", "the dog leaps forward")


KINDS = (
    *("walks, ahead", "walks, left", "walks, right", "trots, ahead", "trots, left", "trots, right"),
    *("wags", "looks, left", "looks, right", "sits", "lies", "bows", "jumps"),
)


def make_dataset(folder: Path, clips_of_each: int = CLIPS_OF_EACH) -> Dataset:
    """Writes the dataset: of every kind one clip in eight goes to val."""
    chance = np.random.default_rng(0)
    clips, features = [], {}
    for kind in KINDS:
        for number in range(clips_of_each):
            moves, captions = clips_of(kind, chance)
            name = f"{kind.replace(', ', '-')}-{number:02}"
            features[name] = motion_to_features(
                pose(moves), DOG, uniform=False, facing="body"
            ).astype(np.float32)
            frames = len(features[name])
            split = "val" if number % 8 == 7 else "train"
            clips.append(
                Clip(name, split, captions, ("formula",) * len(captions), kind, 0, frames + 1,
                     frames, "dog", "CC0-1.0", "docs/examples/dog.py", False)
            )  # fmt: skip
    mean, std = statistics((features[clip.id] for clip in clips if clip.split == "train"), DOG)
    std = np.maximum(std, 1e-3)  # a column that never moves
    dataset = Dataset("dog", DOG, tuple(clips), features, mean, std, licence="CC0-1.0")
    write_dataset(dataset, folder)
    return dataset


if __name__ == "__main__":
    made = make_dataset(Path(sys.argv[1]))
    seconds = sum(clip.frames for clip in made.clips) / FPS
    print(f"{len(made.clips)} clips, {seconds / 60:.0f} minutes, in {sys.argv[1]}")
