# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders in the layouts of the published HumanML3D and KIT-ML, made of the real data at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from t2m_blender.engine.features import features_to_joints, motion_to_features
from t2m_blender.engine.rotations import quaternion_from_axis_angle, quaternion_rotate
from t2m_blender.engine.skeleton import HUMANML3D
from training.data.dataset import statistics
from training.data.mirror import mirrored_joints

TURNING = "000019"  # stands for a clip that turns past 180 degrees


def turning_joints(parity: Path, turns: float = -2.5) -> np.ndarray:
    """Clip 012314 [170, 22, 3] on a carousel."""
    with np.load(parity / "humanml3d_012314.npz") as file:
        joints = file["joints"].astype(np.float64)
    angle = np.linspace(0.0, 2.0 * np.pi * turns, len(joints))
    turn = quaternion_from_axis_angle(np.array([0.0, 1.0, 0.0]), angle)
    return quaternion_rotate(turn[:, None], joints)


def write_humanml3d(folder: Path, shared: Path) -> dict[str, np.ndarray]:
    """Five good clips with their mirrored copies, in all splits; returns id -> features.

    012314 is real; 000002 is the parity performer; 000003 and 000022 are parts of 012314; TURNING
    turns. Captions are those of the real ids; 000003 also has one about its first 2.5 seconds.
    """
    data = shared / "data"
    (folder / "new_joint_vecs").mkdir(parents=True)
    (folder / "texts").mkdir()
    with np.load(data / "parity" / "humanml3d_012314.npz") as file:
        real = file["features"]
    with np.load(data / "parity" / "features_humanml3d.npz") as file:
        performer = file["features"]
    turning = motion_to_features(turning_joints(data / "parity"), HUMANML3D, facing="published")
    arrays = {
        "012314": real,
        "000002": performer[:120],
        "000003": real[40:140],
        TURNING: turning,
        "000022": real[100:],
    }
    for name, array in list(arrays.items()):
        joints = features_to_joints(array.astype(np.float64), HUMANML3D)
        copy = motion_to_features(
            mirrored_joints(joints, HUMANML3D), HUMANML3D, uniform=False, facing="published"
        )
        arrays["M" + name] = copy
    captions = json.loads((data / "humanml3d" / "captions.json").read_text())
    for name, array in arrays.items():
        np.save(folder / "new_joint_vecs" / f"{name}.npy", array.astype(np.float32))
        sentences = captions[name.removeprefix("M")]["captions"]
        if name.startswith("M"):
            sentences = [f"mirrored: {sentence}" for sentence in sentences]
        lines = [f"{sentence}#a/DET man/NOUN#0.0#0.0" for sentence in sentences]
        if name == "000003":
            lines.append("a man lifts something#a/DET man/NOUN lift/VERB#0.0#2.5")
        (folder / "texts" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    splits = {"train": ["012314", "000002", TURNING], "val": ["000003"], "test": ["000022"]}
    for split, names in splits.items():
        rows = names + ["M" + name for name in names]
        (folder / f"{split}.txt").write_text("\n".join(rows) + "\n")
    mean, std = statistics(arrays.values(), HUMANML3D)
    np.save(folder / "Mean.npy", mean)
    np.save(folder / "Std.npy", std)
    index = (data / "humanml3d" / "index.csv").read_text().splitlines()
    kept = [row for row in index if row[-10:-4] in arrays]
    (folder / "index.csv").write_text("\n".join([index[0], *kept]) + "\n")
    return arrays


def write_kit(folder: Path, parity: Path) -> None:
    """Three clips of KIT's skeleton: 59, 40 and 23 frames, the last too short."""
    (folder / "new_joint_vecs").mkdir(parents=True)
    (folder / "texts").mkdir()
    with np.load(parity / "features_kit.npz") as file:
        features = file["features"]
    parts = {"00001": features, "00002": features[10:50], "00003": features[:23]}
    for split, name in zip(("train", "val", "test"), parts, strict=True):
        np.save(folder / "new_joint_vecs" / f"{name}.npy", parts[name])
        (folder / "texts" / f"{name}.txt").write_text("a person stops#a/DET person/NOUN#0.0#0.0\n")
        (folder / f"{split}.txt").write_text(name + "\n")
