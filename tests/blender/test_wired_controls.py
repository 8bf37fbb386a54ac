# SPDX-License-Identifier: GPL-3.0-or-later

"""Control rigs of no known family: their controls are found by what constraints tie to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="these tests need the bpy wheel (pip install bpy)")

from rigs import everything, solve

from benchmarks import zoo
from benchmarks.zoo_measures import as_generated, measure
from t2m_blender.blender.action import action_curves
from t2m_blender.blender.armature import armature_to_rig, rig_to_armature
from t2m_blender.blender.placement import place_motion
from t2m_blender.blender.rig_keys import PlacementOptions
from t2m_blender.blender.wiring import wiring_of
from t2m_blender.engine.errors import InputError
from t2m_blender.engine.motion import Motion
from t2m_blender.retarget.default_rig import default_rig
from t2m_blender.retarget.rig import Bone, Rig


@pytest.fixture
def mixamo(scene, shared: Path) -> Rig:
    return zoo.read_rig(shared / "data" / "rigs" / "mixamo.json")


@pytest.fixture
def motion(clip: Motion) -> Motion:
    return Motion(clip.joints[40:90], 20.0)


def nameless(rig: Rig, joints: dict[str, str]) -> zoo.Specimen:
    """The rig as an armature whose names say nothing, not wired yet."""
    names = {bone.name: f"x{number:03d}" for number, bone in enumerate(rig.bones)}
    bones = [replace(b, name=names[b.name], parent=names.get(b.parent)) for b in rig.bones]
    armature = rig_to_armature(Rig("rig", tuple(bones)), bpy.context)
    return zoo.Specimen("rig", "as it is", armature, {j: names[b] for j, b in joints.items()})


def doubled(rig: Rig, *, hung: bool) -> Rig:
    """A skeleton of controls and one that deforms; that hangs on the controls or on itself."""
    bones = []
    for bone in rig.bones:
        control, parent = f"c {bone.name}", bone.parent and f"c {bone.parent}"
        bones.append(replace(bone, name=control, parent=parent, deform=False))
    for bone in rig.bones:
        parent = f"c {bone.name}" if hung else bone.parent
        bones.append(replace(bone, parent=parent, connected=bone.connected and not hung))
    return Rig("rig", tuple(bones))


def reaching(bone: Bone, rig: Rig, joints: dict[str, str]) -> Bone:
    """A thigh or shin whose tail is at the next joint, where solvers take the end to be."""
    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle")):
            if bone.name == joints[f"{side}_{upper}"]:
                return replace(bone, tail=rig.by_name[joints[f"{side}_{lower}"]].head)
    return bone


def moved(bone: Bone, name: str, away: tuple[float, float, float]) -> Bone:
    """A free copy of a bone in another place."""
    matrix = bone.matrix.copy()
    matrix[:3, 3] += away
    return Bone(name, None, bone.head + away, bone.tail + away, matrix, deform=False)


def assert_moves(specimen: zoo.Specimen, motion: Motion, *, off_deg: float = 0.1) -> None:
    found = measure(specimen, motion, "walk")
    assert found.misplaced == 0 and found.limbs_deg < off_deg
    assert found.path < 0.02 and found.swapped == 0 and found.jumps == 0
    assert found.slide_mm < 5.0


@pytest.mark.parametrize(
    ("kind", "space"),
    [("COPY_TRANSFORMS", "WORLD"), ("COPY_ROTATION", "WORLD"), ("COPY_ROTATION", "LOCAL")],
)
def test_bones_that_copy_controls(mixamo, motion, kind, space) -> None:
    specimen = nameless(doubled(mixamo, hung=False), zoo.truth("mixamo"))
    armature, count = specimen.armature, len(mixamo.bones)
    posed = {bone.name: bone for bone in armature.pose.bones}
    for number in range(count):
        held, control = f"x{count + number:03d}", f"x{number:03d}"
        kinds = [(kind, space)] + [("COPY_LOCATION", "WORLD")] * (number == 0)
        for made in kinds:
            constraint = posed[held].constraints.new(made[0])
            constraint.target, constraint.subtarget = armature, control
            constraint.owner_space = constraint.target_space = made[1]
    assert_moves(specimen, motion)
    keyed = {curve.data_path.split('"')[1] for curve in action_curves(armature)}
    assert keyed and all(int(name[1:]) < count for name in keyed)


def test_bones_that_each_hang_on_their_control(mixamo, motion) -> None:
    assert_moves(nameless(doubled(mixamo, hung=True), zoo.truth("mixamo")), motion)


@pytest.mark.parametrize("pole", [False, True], ids=["no pole", "pole"])
def test_legs_by_inverse_kinematics_alone(mixamo, motion, pole) -> None:
    """Keys on the bones themselves, but the legs follow controls at the feet."""
    joints = zoo.truth("mixamo")
    bones = [reaching(bone, mixamo, joints) for bone in mixamo.bones]
    for side in ("left", "right"):
        foot, knee = (mixamo.by_name[joints[f"{side}_{joint}"]] for joint in ("ankle", "knee"))
        bones.append(replace(foot, name=f"{side} foot", parent=None, deform=False))
        bones.append(moved(knee, f"{side} pole", (0.0, -0.5, 0.0)))
    specimen = nameless(Rig("rig", tuple(bones)), joints)
    names = [bone.name for bone in specimen.armature.data.bones]
    for side, number in (("left", len(names) - 4), ("right", len(names) - 2)):
        end, knee_pole = (f"x{number + k:03d}" for k in range(2))
        solve(specimen.armature, specimen.joints[f"{side}_knee"], end, knee_pole if pole else "")
        foot = specimen.armature.pose.bones[specimen.joints[f"{side}_ankle"]]
        turn = foot.constraints.new("COPY_ROTATION")
        turn.target, turn.subtarget = specimen.armature, end
    assert_moves(specimen, motion, off_deg=3.0 if pole else 0.1)
    said: list[str] = []
    place_motion(bpy.context, as_generated(motion, "walk"), on_warning=said.append)
    assert said == []
    with pytest.raises(InputError, match="No IK controls with a pole target were found for the ha"):
        place_motion(
            bpy.context, as_generated(motion, "walk"), options=PlacementOptions(ik={"hands"})
        )


def test_a_rig_without_controls_to_be_found_is_refused(mixamo, motion) -> None:
    """Its bones copy an object each: nothing is changed."""
    specimen = nameless(mixamo, zoo.truth("mixamo"))
    empty = bpy.data.objects.new("empty", None)
    bpy.context.scene.collection.objects.link(empty)
    for bone in specimen.armature.pose.bones:
        bone.constraints.new("COPY_TRANSFORMS").target = empty
    before = everything()
    with pytest.raises(InputError, match="no controls that turn it joint by joint were found"):
        place_motion(bpy.context, as_generated(motion, "walk"))
    assert everything() == before


def test_a_rig_that_another_armature_moves_says_so(mixamo, motion) -> None:
    leader = nameless(mixamo, zoo.truth("mixamo")).armature
    follower = nameless(mixamo, zoo.truth("mixamo")).armature
    for bone in follower.pose.bones:
        copy = bone.constraints.new("COPY_TRANSFORMS")
        copy.target, copy.subtarget = leader, bone.name
    with pytest.raises(InputError, match=f'Select "{leader.name}", which it follows'):
        place_motion(bpy.context, as_generated(motion, "walk"))


def test_controls_that_do_not_move_it_alone_are_said(mixamo, motion) -> None:
    """Some controls are held back by what does not show in the wiring."""
    specimen = nameless(doubled(mixamo, hung=True), zoo.truth("mixamo"))
    said: list[str] = []
    place_motion(bpy.context, as_generated(motion, "walk"), on_warning=said.append)
    assert said == []
    for joint in ("left_hip", "right_hip", "left_shoulder", "right_shoulder"):
        control = specimen.armature.pose.bones[specimen.joints[joint]].parent
        limit = control.constraints.new("LIMIT_ROTATION")
        limit.use_limit_x, limit.min_x, limit.max_x = True, 1.5, 1.6
    place_motion(bpy.context, as_generated(motion, "walk"), on_warning=said.append)
    assert len(said) == 1 and "degrees off the motion" in said[0]


def test_what_drivers_make_of_a_property(scene) -> None:
    """Sums, curves and expressions are computed; what reads something else stays as it is."""
    armature = rig_to_armature(default_rig(), bpy.context)
    armature["ik"] = 0.25
    armature.id_properties_ui("ik").update(min=0.0, max=2.0)
    posed = armature.pose.bones
    posed["head"]["ik"] = True
    asked = {
        "spine1": ("SCRIPTED", "1 - ik if ik < 2 else max(0, 0.5)", '["ik"]'),
        "spine2": ("SUM", "", 'pose.bones["head"]["ik"]'),
        "spine3": ("SCRIPTED", "sin(ik)", '["ik"]'),
        "neck": ("SCRIPTED", "ik", "location.x"),
    }
    for name, (kind, expression, path) in asked.items():
        tie = posed[name].constraints.new("COPY_ROTATION")
        tie.target, tie.subtarget, tie.influence = armature, "pelvis", 0.75
        driven = tie.driver_add("influence")
        driven.driver.type, driven.driver.expression = kind, expression
        variable = driven.driver.variables.new()
        variable.name = "ik"
        variable.targets[0].id, variable.targets[0].data_path = armature, path
    reversal = armature.animation_data.drivers.find(
        'pose.bones["spine2"].constraints["Copy Rotation"].influence'
    ).modifiers
    reversal = reversal[0] if len(reversal) else reversal.new("GENERATOR")
    reversal.coefficients = (1.0, -1.0)
    for name in ("spine3", "neck"):
        armature.animation_data.drivers.find(
            f'pose.bones["{name}"].constraints["Copy Rotation"].influence'
        ).mute = name == "neck"
    wiring = wiring_of(armature, armature_to_rig(armature))
    assert wiring.limits == {("", "ik"): (0.0, 2.0), ("head", "ik"): (0.0, 1.0)}

    def shares(name: str) -> list[float]:
        (tie,) = wiring.ties[name]
        settings = [{("", "ik"): v, ("head", "ik"): v} for v in (0.0, 0.5, 1.0, 2.0)]
        return [tie.share(setting) for setting in settings]

    assert shares("spine1") == pytest.approx([1.0, 0.5, 0.0, 0.5])
    assert shares("spine2") == pytest.approx([1.0, 0.5, 0.0, 0.0])
    now = posed["spine3"].constraints[0].influence
    assert shares("spine3") == pytest.approx([now] * 4)
    assert shares("neck") == [0.75] * 4
