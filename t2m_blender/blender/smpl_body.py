# SPDX-License-Identifier: GPL-3.0-or-later
"""A skinned SMPL, SMPL-H or SMPL-X body from the user's model file, and its pose parameters.

Main thread only.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
import numpy as np
from bpy.props import FloatVectorProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..engine.errors import InputError, T2MError
from ..engine.files import new_file
from ..retarget.smpl import SmplModel, pose_parameters, read_smpl, smpl_rig
from ..retarget.solve import FIGURE_TO_MOTION
from .action import action_curves
from .armature import (
    add_skin,
    armature_to_rig,
    rig_to_armature,
    scaled_rig,
    units_a_metre,
)
from .posing import pose_bones
from .selection import scene_rate
from .task import report_error
from .translations import rpt

MODEL, BETAS = "t2m_smpl_model", "t2m_smpl_betas"
"""Custom properties of the armature: the model's file and the shape that it was given."""


def make_body(context: bpy.types.Context, path: Path, betas: np.ndarray) -> bpy.types.Object:
    """A new armature with the model's skin, in its T-pose on the floor, selected and active.

    Args:
        context: In Object Mode (or with no active object).
        path: Of the model file.
        betas: Shape coefficients; fewer than the model has leave the rest at 0.

    Raises:
        InputError: The file is no body model, or Blender is in another mode.
    """
    if context.mode != "OBJECT":
        raise InputError("Switch to Object Mode first: a new body cannot be made in this mode.")
    model = read_smpl(path)
    size = units_a_metre(context.scene)
    rig = scaled_rig(smpl_rig(model, betas, model.kind.upper()), size)
    armature = rig_to_armature(rig, context)
    vertices, _ = model.shaped(betas)
    vertices = (vertices - [0.0, vertices[:, 1].min(), 0.0]) @ FIGURE_TO_MOTION * size
    mesh = bpy.data.meshes.new(f"{armature.name} Body")
    mesh.from_pydata(vertices.tolist(), [], model.faces.tolist())
    mesh.polygons.foreach_set("use_smooth", [True] * len(model.faces))
    mesh.update()
    add_skin(mesh, armature, dict(zip(model.names, _weighted(model.weights), strict=True)))
    armature[MODEL], armature[BETAS] = str(path), [float(beta) for beta in betas]
    return armature


def _weighted(weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each bone the vertices that follow it, and how much."""
    followers = [np.flatnonzero(column > 1e-6) for column in weights.T]
    return [(who, weights[who, bone]) for bone, who in enumerate(followers)]


def write_parameters(context: bpy.types.Context, armature: bpy.types.Object, path: Path) -> int:
    """Saves what the body does in its current Action as AMASS does; returns the number of frames.

    One frame for each of the scene's, from the Action's first to its last.

    Raises:
        InputError: The armature is no body made here, has no Action, or its model file is gone.
        OutputError: The file cannot be written.
    """
    if not isinstance(armature.get(MODEL), str):
        raise InputError(f'"{armature.name}" was not made from an SMPL model file; select one.')
    if armature.animation_data is None or armature.animation_data.action is None:
        raise InputError(f'"{armature.name}" has no Action whose parameters could be saved.')
    model = read_smpl(Path(armature[MODEL]))
    betas = np.array(armature[BETAS], dtype=np.float64)
    content = _parameters(context, armature, model, betas)
    content["mocap_framerate"] = np.array(scene_rate(context.scene))
    content["gender"] = np.array("neutral")
    with new_file(path) as file:
        np.savez_compressed(file, **content)
    return len(content["poses"])


def _parameters(
    context: bpy.types.Context, armature: bpy.types.Object, model: SmplModel, betas: np.ndarray
) -> dict[str, np.ndarray]:
    rig = armature_to_rig(armature)
    data = armature.animation_data
    first, last = (round(frame) for frame in data.action.frame_range)
    frames = np.arange(first, last + 1, dtype=np.float64)
    slot = getattr(data, "action_slot", None)
    curves = action_curves(armature)
    posed, world = pose_bones(context.scene, armature, rig, data.action, slot, curves, frames)
    world = world.copy()
    world[:, :3] /= units_a_metre(context.scene)
    return pose_parameters(model, betas, rig, posed, world)


class T2M_OT_add_smpl_body(bpy.types.Operator, ImportHelper):
    """Add a body from your own SMPL, SMPL-H or SMPL-X model file (.npz or .pkl)"""

    bl_idname = "t2m.add_smpl_body"
    bl_label = "Add SMPL Body"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    filename_ext = ""
    filter_glob: StringProperty(default="*.npz;*.pkl", options={"HIDDEN"})  # type: ignore[valid-type]
    betas: FloatVectorProperty(  # type: ignore[valid-type]
        name="Shape",
        description="The first ten shape coefficients (betas); 0 is the mean body",
        size=10,
        soft_min=-3.0,
        soft_max=3.0,
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            armature = make_body(context, Path(self.filepath), np.array(self.betas))
        except T2MError as error:
            return report_error(self, error)
        self.report({"INFO"}, rpt('"{}" is ready: type a prompt and generate', armature.name))
        return {"FINISHED"}


class T2M_OT_save_smpl_parameters(bpy.types.Operator, ExportHelper):
    """Save the pose parameters of the selected SMPL body's Action, as AMASS does"""

    bl_idname = "t2m.save_smpl_parameters"
    bl_label = "Save SMPL Parameters"

    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})  # type: ignore[valid-type]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.object is not None and MODEL in context.object

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            frames = write_parameters(context, context.object, Path(self.filepath))
        except T2MError as error:
            return report_error(self, error)
        self.report({"INFO"}, rpt("{} frames saved", frames))
        return {"FINISHED"}


def _draw_add(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(T2M_OT_add_smpl_body.bl_idname, text="SMPL Body (.npz, .pkl)")


def _draw_save(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(T2M_OT_save_smpl_parameters.bl_idname, text="SMPL Parameters (.npz)")


def register() -> None:
    bpy.types.VIEW3D_MT_armature_add.append(_draw_add)
    bpy.types.TOPBAR_MT_file_export.append(_draw_save)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(_draw_save)
    bpy.types.VIEW3D_MT_armature_add.remove(_draw_add)
