# SPDX-License-Identifier: GPL-3.0-or-later
"""What an animator sees, on motions whose numbers are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t2m_blender.engine.features import motion_to_features
from t2m_blender.engine.motion import Motion
from t2m_blender.engine.quality import (
    cleanness,
    floor_penetration,
    foot_skate_ratio,
    foot_slide,
    jitter,
)
from t2m_blender.engine.skeleton import HUMANML3D, KIT
from training.motion_quality import (
    features_to_motion,
    joint_error,
    limb_length_error,
    limb_lengths,
    root_error_after,
    root_path_error,
)


def standing(frames: int, fps: float = 20.0) -> np.ndarray:
    """[T, J, 3] of someone who stands with the lowest joint on the floor."""
    pose = HUMANML3D.rest_pose - [0.0, HUMANML3D.rest_pose[:, 1].min(), 0.0]
    return np.repeat(pose[None], frames, axis=0)


@pytest.mark.parametrize("fps", [20.0, 30.0, 60.0])
def test_foot_skate(fps: float) -> None:
    still = standing(41)
    assert foot_skate_ratio(Motion(still, fps)) == 0.0

    def sliding(speed: float, height: float = 0.0) -> float:
        joints = still.copy()
        joints[..., 0] += speed * np.arange(41)[:, None] / fps
        joints[..., 1] += height
        return foot_skate_ratio(Motion(joints, fps))

    assert sliding(0.6) == 1.0
    assert sliding(0.4) == 0.0
    assert sliding(0.6, height=0.06) == 0.0
    joints = still.copy()  # one toe slides, in a quarter of the steps
    joints[:11, HUMANML3D.left_feet[1], 2] += np.arange(11) * 0.8 / fps
    joints[11:, HUMANML3D.left_feet[1], 2] += 10 * 0.8 / fps
    assert foot_skate_ratio(Motion(joints, fps)) == 10 / 40
    assert foot_skate_ratio(Motion(still[:1], fps)) == 0.0


def test_jitter_is_the_third_derivative() -> None:
    time = np.arange(30) / 20.0
    joints = standing(30)
    joints[..., 2] += (time**3)[:, None]
    assert abs(jitter(Motion(joints, 20.0)) - 6.0) < 0.02  # float32 positions
    assert jitter(Motion(standing(30), 20.0)) < 1e-3
    assert jitter(Motion(joints[:3], 20.0)) == 0.0


def test_floor_penetration() -> None:
    joints = standing(10)
    assert floor_penetration(Motion(joints, 20.0)) == 0.0
    joints[5:, :, 1] -= 0.02
    assert abs(floor_penetration(Motion(joints, 20.0)) - 0.01) < 1e-6


def test_limb_lengths() -> None:
    joints = standing(10)
    assert HUMANML3D.bone_lengths is not None
    np.testing.assert_allclose(
        limb_lengths(Motion(joints, 20.0))[3], HUMANML3D.bone_lengths, atol=1e-6
    )
    assert limb_length_error(Motion(joints, 20.0), HUMANML3D.bone_lengths) < 1e-6
    grown = Motion(1.1 * joints, 20.0)
    assert abs(limb_length_error(grown, HUMANML3D.bone_lengths) - 0.1) < 1e-5


def test_errors_of_a_rebuilt_motion() -> None:
    real = Motion(standing(40), 20.0)
    moved = Motion((standing(36) + [0.3, 0.0, 0.4]).astype(np.float32), 20.0)
    assert abs(joint_error(real, moved) - 0.5) < 1e-6
    assert abs(root_path_error(real, moved) - 0.5) < 1e-6
    assert abs(root_error_after(1.0, real, moved) - 0.5) < 1e-6
    assert root_error_after(1.8, real, moved) is None
    raised = Motion((standing(36) + [0.0, 0.2, 0.0]).astype(np.float32), 20.0)
    assert root_path_error(real, raised) == 0.0


def test_without_turning_and_travel_only_postures_count(parity: Path) -> None:
    with np.load(parity / "humanml3d_012314.npz") as file:
        features = file["features"]
    other = features.copy()
    other[:, 0] += 0.02
    other[:, 1:3] *= 1.5
    real, astray = (features_to_motion(f, HUMANML3D) for f in (features, other))
    assert joint_error(real, astray) > 0.3
    real, astray = (features_to_motion(f, HUMANML3D, still=True) for f in (features, other))
    assert joint_error(real, astray) == 0.0


def test_kit_is_measured_in_metres(parity: Path) -> None:
    with np.load(parity / "features_kit.npz") as file:
        features = file["features"]
    motion = features_to_motion(features, KIT)
    assert 0.5 < motion.joints[:, 0, 1].mean() < 1.3
    assert motion.fps == 12.5
    lengths = np.median(limb_lengths(motion), axis=0)
    assert limb_length_error(motion, lengths) < 0.01
    assert 0.0 <= foot_skate_ratio(motion) <= 1.0


def test_real_motion_is_plausible(parity: Path) -> None:
    with np.load(parity / "humanml3d_012314.npz") as file:
        joints = file["joints"].astype(np.float64)
    features = motion_to_features(joints, HUMANML3D).astype(np.float32)
    motion = features_to_motion(features, HUMANML3D)
    assert HUMANML3D.bone_lengths is not None
    assert limb_length_error(motion, HUMANML3D.bone_lengths) < 1e-3
    assert floor_penetration(motion) < 1e-4
    assert foot_skate_ratio(motion) < 0.3


def test_planted_feet_that_slide() -> None:
    joints = standing(21)
    joints[..., 0] += 0.3 * np.arange(21)[:, None] / 20.0
    down = np.ones((21, 4), dtype=np.float32)
    assert foot_slide(Motion(joints, 20.0)) == 0.0, "contacts are not known"
    assert abs(foot_slide(Motion(joints, 20.0, contacts=down)) - 0.3) < 1e-4
    down[10:] = 0.0
    joints[10:] = joints[10]
    assert abs(foot_slide(Motion(joints, 20.0, contacts=down)) - 0.3) < 1e-4


def test_a_capture_is_cleaner_than_its_noisy_sunken_copy(parity: Path) -> None:
    with np.load(parity / "humanml3d_012314.npz") as data:
        real = data["joints"]
    clean = cleanness(Motion(real, 20.0))
    noise = np.random.default_rng(0).normal(0.0, 0.01, real.shape)
    noisy = cleanness(Motion(real + noise, 20.0))
    sunken = cleanness(Motion(real - [0.0, 0.1, 0.0], 20.0))
    assert clean == 1.0
    assert 0.6 < noisy < 0.9 and 0.6 < sunken < 0.9
    assert cleanness(Motion(real + noise - [0.0, 0.1, 0.0], 20.0)) < min(noisy, sunken)
