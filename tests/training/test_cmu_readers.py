# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from t2m_blender.engine.errors import InputError
from t2m_blender.engine.rotations import quaternion_rotate
from training.data.amc import perform_amc, read_amc, read_asf
from training.data.bvh import perform_bvh, read_bvh

ASF = """:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name thigh
    direction 0 -1 0
    length 2
    axis 0 0 90 XYZ
    dof rx ry rz
  end
  begin
    id 2
    name shin
    direction 0 -1 0
    length 1
    axis 0 0 0 XYZ
    dof rx
  end
:hierarchy
  begin
    root thigh
    thigh shin
  end
"""
AMC = """#!OML:ASF
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 90 0
thigh 0 0 0
shin 90
2
root 1 2 3 0 0 0
thigh 90 0 0
shin -1.5e+001
"""
BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Knee
  {
    OFFSET 0 -2 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: .0083333
1 2 3 0 90 0 0 0 90
1 2 3 90 0 0 0 0 0
"""


def test_amc_poses_by_hand() -> None:
    skeleton = read_asf(ASF)
    performance = perform_amc(skeleton, read_amc(AMC, skeleton))
    np.testing.assert_allclose(performance.joint("thigh"), [[1, 2, 3], [1, 2, 3]])
    # Frame 1: the root turns to +x, the shin swings 90 degrees about the thigh's x, now -z: it
    # points from (0,-1,0) about +x to (0,0,-1), and the root carries that to (-1,0,0).
    np.testing.assert_allclose(performance.joint("shin")[0], [1, 0, 3], atol=1e-12)
    np.testing.assert_allclose(performance.tip("shin")[0], [0, 0, 3], atol=1e-12)
    # Frame 2: the thigh's own x axis is the world's y (axis 0 0 90): it turns about its own length.
    np.testing.assert_allclose(performance.joint("shin")[1], [1, 0, 3], atol=1e-12)
    turned = quaternion_rotate(performance.rotation("thigh")[1], np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(turned, [1, 0, 0], atol=1e-12)


def test_bvh_poses_by_hand() -> None:
    source = read_bvh(BVH)
    performance = perform_bvh(source, source.values)
    np.testing.assert_allclose(performance.joint("Knee"), [[1, 0, 3], [3, 2, 3]], atol=1e-12)
    np.testing.assert_allclose(performance.tip("Knee"), [[0, 0, 3], [4, 2, 3]], atol=1e-12)
    assert source.frame_time == pytest.approx(1 / 120, rel=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("shin 90\n", "", "frame 1 has no line for bone 'shin'"),
        ("shin -1.5e+001\n", "", "frame 2 has no line for bone 'shin'"),
        ("shin 90", "shin nan", "frame 1 holds NaN"),
        ("shin 90", "shin abc", "value that is no number"),
        ("shin 90", "shin 90 1", "has 2 values, not 1"),
        ("shin 90", "foot 90", "bone 'foot'"),
        ("\n2\n", "\n3\n", "followed by frame 3"),
        (AMC[AMC.index("1\nroot") :], "", "no frames"),
        (":DEGREES", ":RADIANS", "DEGREES"),
    ],
)
def test_bad_amc_is_named(old: str, new: str, message: str) -> None:
    assert old in AMC
    with pytest.raises(InputError, match=message):
        read_amc(AMC.replace(old, new, 1), read_asf(ASF))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("length 2\n", "\n", "no 'length' line"),
        ("direction 0 -1 0", "direction 0 x 0", "expected 3 numbers"),
        ("thigh shin", "thigh foot", "differ in: foot, shin"),
        (":hierarchy", ":other", "no :hierarchy"),
        ("dof rx ry rz", "dof rx ry l", "unknown dof"),
        ("angle deg", "angle rad", "radians"),
    ],
)
def test_bad_asf_is_named(old: str, new: str, message: str) -> None:
    assert old in ASF
    with pytest.raises(InputError, match=message):
        read_asf(ASF.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1 2 3 90 0 0 0 0 0", "1 2 3 nan 0 0 0 0 0", "frame 2 holds NaN"),
        ("1 2 3 90 0 0 0 0 0", "1 2 3 90 0 0 0 0", "2 frames of 9 channels need 18"),
        ("1 2 3 90 0 0 0 0 0", "1 2 3 90 0 0 0 0 q", "no number"),
        ("Frames: 2", "Frames: 0", "no frames"),
        ("Frames: 2", "Frame: 2", "'Frames:'"),
        ("    End Site", "    End Site {", "hierarchy"),
        ("Xrotation\n  JOINT", "Wrotation\n  JOINT", "unknown channels"),
        ("HIERARCHY", "", "no BVH file"),
    ],
)
def test_bad_bvh_is_named(old: str, new: str, message: str) -> None:
    assert old in BVH
    with pytest.raises(InputError, match=message):
        read_bvh(BVH.replace(old, new, 1))
