# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender armatures and our Rig values, both ways; the add-on's own figure. Main thread only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..engine.skeleton import HUMANML3D, Skeleton
from ..retarget.default_rig import default_rig
from ..retarget.rig import Bone, Rig
from .mannequin import BodyMesh, mannequin

# Linear colours of the body's shells and joints.
_COLOURS = {
    "T2M Shell": ((0.86, 0.80, 0.70, 1.0), 0.45),
    "T2M Joint": ((0.035, 0.045, 0.060, 1.0), 0.35),
}


def armature_to_rig(armature: bpy.types.Object) -> Rig:
    """The armature object at rest, whatever its pose and mode (edit mode as last left)."""
    bones = [_rest_bone(bone, armature.pose) for bone in _parents_first(armature.data.bones)]
    return Rig(armature.name, tuple(bones), np.array(armature.matrix_world, dtype=np.float64))


def _rest_bone(bone: bpy.types.Bone, pose: bpy.types.Pose | None) -> Bone:
    """A bone at rest; how it may be posed is known as soon as the armature has been in a scene."""
    channels = pose.bones.get(bone.name) if pose else None
    said = {}
    if channels is not None:
        in_four = channels.lock_rotations_4d and channels.lock_rotation_w
        said = {
            "rotation_mode": channels.rotation_mode,
            "locked_location": tuple(channels.lock_location),
            "locked_rotation": (bool(in_four), *channels.lock_rotation),
        }
    return Bone(
        name=bone.name,
        parent=bone.parent.name if bone.parent else None,
        head=np.array(bone.head_local, dtype=np.float64),
        tail=np.array(bone.tail_local, dtype=np.float64),
        matrix=np.array(bone.matrix_local, dtype=np.float64),
        deform=bone.use_deform,
        connected=bone.use_connect,
        inherit_rotation=bone.use_inherit_rotation,
        local_location=bone.use_local_location,
        **said,
    )


def make_default_armature(context: bpy.types.Context) -> bpy.types.Object:
    """A new figure at the world's origin: 22 bones in a T-pose with a skinned body.

    It becomes the only selected and the active object. Needs Object Mode (or no active object).
    """
    armature = rig_to_armature(new_figure(context.scene), context)
    body = _body_object(mannequin(default_rig()), armature)
    body.data.transform(Matrix.Scale(units_a_metre(context.scene), 4))
    if _local_view(context):
        body.local_view_set(context.space_data, True)
    return armature


def new_figure(scene: bpy.types.Scene, *, skeleton: Skeleton = HUMANML3D) -> Rig:
    """The add-on's own rig of a skeleton, as large as that is in the units of the scene."""
    return scaled_rig(default_rig(skeleton), units_a_metre(scene))


def scaled_rig(rig: Rig, scale: float) -> Rig:
    """The rig with everything so many times as large."""
    if scale == 1.0:
        return rig
    larger = np.diag([scale, scale, scale, 1.0])
    bones = [
        replace(
            bone,
            head=scale * bone.head,
            tail=scale * bone.tail,
            matrix=larger @ bone.matrix @ np.linalg.inv(larger),
        )
        for bone in rig.bones
    ]
    return Rig(rig.name, tuple(bones), rig.matrix_world)


def units_a_metre(scene: bpy.types.Scene) -> float:
    """How many units of the scene make one metre."""
    units = scene.unit_settings
    return 1.0 if units.system == "NONE" else 1.0 / units.scale_length


def rig_to_armature(rig: Rig, context: bpy.types.Context) -> bpy.types.Object:
    """A new armature object with the rig's bones at rest, selected and active.

    Needs Object Mode (or no active object).
    """
    data = bpy.data.armatures.new(rig.name)
    armature = bpy.data.objects.new(rig.name, data)
    _visible_collection(context).objects.link(armature)
    if _local_view(context):
        armature.local_view_set(context.space_data, True)
    for selected in list(context.view_layer.objects.selected):
        selected.select_set(False)
    context.view_layer.objects.active = armature
    armature.select_set(True)
    # Named, because a context without a window has no active object.
    with context.temp_override(active_object=armature, object=armature):
        bpy.ops.object.mode_set(mode="EDIT")
        try:
            _make_bones(data, rig)
        finally:
            bpy.ops.object.mode_set(mode="OBJECT")
    armature.matrix_world = rig.matrix_world.T.tolist()
    data.display_type = "STICK"
    armature.show_in_front = True
    return armature


def remove_armature(armature: bpy.types.Object) -> None:
    """Takes a figure out of the file again: body, materials, bones and all."""
    data = armature.data
    for body in list(armature.children):
        mesh, materials = body.data, [slot.material for slot in body.material_slots]
        bpy.data.objects.remove(body)
        if mesh and not mesh.users:
            bpy.data.meshes.remove(mesh)
        for material in materials:
            if material and not material.users:
                bpy.data.materials.remove(material)
    bpy.data.objects.remove(armature)
    if not data.users:
        bpy.data.armatures.remove(data)


def _local_view(context: bpy.types.Context) -> bool:
    """Whether the viewport at hand shows chosen objects only, which a new one must join."""
    return bool(getattr(context.space_data, "local_view", None))


def _visible_collection(context: bpy.types.Context) -> bpy.types.Collection:
    """The active collection, or the scene's own where nothing new would be seen in that."""
    layer = context.view_layer.active_layer_collection
    if layer.is_visible and not layer.exclude and layer.collection.is_editable:
        return layer.collection
    return context.scene.collection


def _make_bones(data: bpy.types.Armature, rig: Rig) -> None:
    for bone in rig.bones:
        made = data.edit_bones.new(bone.name)
        made.head, made.tail = bone.head.tolist(), bone.tail.tolist()
        made.align_roll(bone.matrix[:3, 2].tolist())
        made.use_deform = bone.deform
        if bone.parent is not None:
            made.parent = data.edit_bones[bone.parent]
            made.use_connect = bone.connected


def _parents_first(bones: bpy.types.ArmatureBones) -> list[bpy.types.Bone]:
    ordered = [bone for bone in bones if bone.parent is None]
    for bone in ordered:
        ordered.extend(bone.children)
    return ordered


def _body_object(body: BodyMesh, armature: bpy.types.Object) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(f"{armature.name} Body")
    mesh.from_pydata(body.vertices.tolist(), [], body.faces)
    for name, (colour, roughness) in _COLOURS.items():
        mesh.materials.append(_material(name, colour, roughness))
    mesh.polygons.foreach_set("material_index", body.materials)
    mesh.polygons.foreach_set("use_smooth", [True] * len(body.faces))
    mesh.update()
    return add_skin(mesh, armature, body.weights)


def add_skin(
    mesh: bpy.types.Mesh,
    armature: bpy.types.Object,
    weights: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> bpy.types.Object:
    """An object with this mesh that follows the bones, in the armature's collections.

    Args:
        mesh: In armature space.
        armature: Whose bones it follows.
        weights: Bone -> vertices and how much each of them follows it.
    """
    made = bpy.data.objects.new(mesh.name, mesh)
    for bone, (numbers, shares) in weights.items():
        group = made.vertex_groups.new(name=bone)
        for share in np.unique(shares):
            group.add(numbers[shares == share].tolist(), float(share), "REPLACE")
    made.parent = armature
    modifier = made.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    for collection in armature.users_collection:
        collection.objects.link(made)
    return made


def _material(name: str, colour: tuple[float, ...], roughness: float) -> bpy.types.Material:
    """The material of that name, shared by all figures of the file."""
    existing = bpy.data.materials.get(name)
    if existing is not None:
        return existing
    material = bpy.data.materials.new(name)
    material.diffuse_color = colour
    material.roughness = roughness
    if material.node_tree is None:
        material.use_nodes = True
    for node in material.node_tree.nodes:
        if node.type == "BSDF_PRINCIPLED":
            node.inputs["Base Color"].default_value = colour
            node.inputs["Roughness"].default_value = roughness
    return material
