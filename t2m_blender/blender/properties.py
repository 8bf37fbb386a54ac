# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel asks for; kept with the scene. Takes are kept with the armature they are for."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import models


class T2M_PG_next_prompt(bpy.types.PropertyGroup):
    """What the character does after that."""

    prompt: StringProperty(  # type: ignore[valid-type]
        name="Then",
        description="What the character does next, in an English sentence",
    )
    exact: BoolProperty(  # type: ignore[valid-type]
        name="Exact Length",
        description="This part lasts exactly so long; otherwise it ends when the action is done",
    )
    seconds: FloatProperty(  # type: ignore[valid-type]
        name="Seconds", description="How long this part lasts", min=0.2, soft_max=10.0, default=3.0
    )


class T2M_PG_take(bpy.types.PropertyGroup):
    """One of several motions to choose from."""

    action: PointerProperty(  # type: ignore[valid-type]
        name="Action", description="What the take plays", type=bpy.types.Action
    )
    cleanness: FloatProperty(  # type: ignore[valid-type]
        name="Cleanness",
        description="How little feet slide and sink and joints jitter; 1 is as in captured motion",
        min=0.0,
        max=1.0,
    )
    slide: FloatProperty(  # type: ignore[valid-type]
        name="Slide", description="How fast planted feet slide, metres a second", min=0.0
    )
    picture: StringProperty(  # type: ignore[valid-type]
        name="Picture", description="Some of its poses, drawn", options={"HIDDEN"}
    )


class Habits:
    """Fields of the panel that one sets once: the preferences hold them for new scenes too."""

    seed_locked: BoolProperty(  # type: ignore[valid-type]
        name="Lock Seed",
        description="Every press uses this seed; unlocked, each press is a new take",
        default=True,
    )
    takes: IntProperty(  # type: ignore[valid-type]
        name="Takes",
        description="How many variations are made at once, to choose from",
        min=1,
        soft_max=8,
        max=64,
        default=1,
    )
    closeness: EnumProperty(  # type: ignore[valid-type]
        name="Follow the Prompt",
        description="How closely the motion keeps to the words",
        items=(
            ("LOOSE", "Loosely", "More natural, less literal"),
            ("NORMAL", "Normally", "As the model was tuned"),
            ("CLOSE", "Closely", "More literal, sometimes stiffer"),
        ),
        default="NORMAL",
    )
    variety: EnumProperty(  # type: ignore[valid-type]
        name="Variety",
        description="How much takes differ",
        translation_context="T2M",  # Blender's own "Normal" stands on a surface
        items=(
            ("CALM", "Little", "The likeliest way of doing it"),
            ("NORMAL", "Normal", "As the model was tuned"),
            ("WILD", "Much", "Rarer ways too, and more mistakes"),
        ),
        default="NORMAL",
    )
    use_numbers: BoolProperty(  # type: ignore[valid-type]
        name="Own Numbers",
        description="Give guidance and temperature themselves, instead of the words above",
    )
    guidance: FloatProperty(  # type: ignore[valid-type]
        name="Guidance",
        description="1 takes the text as it is, more follows it more closely",
        min=0.0,
        soft_max=8.0,
        default=1.0,
    )
    temperature: FloatProperty(  # type: ignore[valid-type]
        name="Temperature",
        description="0 always takes the likeliest, 1 draws as the model has learnt",
        min=0.0,
        soft_max=1.5,
        default=0.6,
    )
    where: EnumProperty(  # type: ignore[valid-type]
        name="Put It",
        description="Where the motion goes; the Action that was there before is kept",
        items=(
            ("START", "New Action", "A new Action from the scene's first frame", "ACTION", 0),
            ("PLAYHEAD", "At the Playhead", "A new Action from the current frame", "PLAY", 1),
            ("STRIP", "NLA Strip", "A strip of the NLA at the current frame", "NLA", 2),
        ),
        default="START",
    )
    model: StringProperty(  # type: ignore[valid-type]
        name="Model",
        description="Which model makes the motion",
        default=models.DEFAULT,
        search=lambda self, context, text: [
            name for name in models.found() if text.lower() in name.lower()
        ],
    )


class T2M_PG_settings(Habits, bpy.types.PropertyGroup):
    """The panel's fields."""

    prompt: StringProperty(  # type: ignore[valid-type]
        name="Prompt",
        description="What the character does, in an English sentence",
        default="a person walks forward and waves",
    )
    next_prompts: CollectionProperty(  # type: ignore[valid-type]
        name="Next Prompts", description="What comes after that", type=T2M_PG_next_prompt
    )
    seed: IntProperty(  # type: ignore[valid-type]
        name="Seed",
        description="The same prompt and seed give the same motion; another seed, another take",
        min=0,
        default=0,
    )
    length: EnumProperty(  # type: ignore[valid-type]
        name="Length",
        description="Who decides how long the motion is",
        items=(
            ("FREE", "Automatic", "The motion ends when the action is done"),
            ("SECONDS", "Seconds", "The motion is exactly so many seconds long"),
            ("FRAMES", "Frames", "The motion is exactly so many frames long"),
            ("RANGE", "Fit the Frame Range", "From where it begins to the scene's last frame"),
        ),
        default="FREE",
    )
    seconds: FloatProperty(  # type: ignore[valid-type]
        name="Seconds",
        description="How long the motion is",
        min=0.5,
        soft_max=10.0,
        default=4.0,
        precision=2,
        step=50,
    )
    frames: IntProperty(  # type: ignore[valid-type]
        name="Frames",
        description="How many frames the motion has",
        min=2,
        soft_max=500,
        default=96,
    )
    loop: BoolProperty(  # type: ignore[valid-type]
        name="Loop",
        description="The last pose is the first one again, and the Action plays over and over",
    )
    track: StringProperty(  # type: ignore[valid-type]
        name="Track", description="Track of the NLA that the strip goes on; empty for a new one"
    )
    blend_in: FloatProperty(  # type: ignore[valid-type]
        name="Blend In", description="Frames over which the strip fades in", min=0.0, soft_max=30.0
    )
    blend_out: FloatProperty(  # type: ignore[valid-type]
        name="Blend Out",
        description="Frames over which the strip fades out",
        min=0.0,
        soft_max=30.0,
    )


def _edited_prompt(action: bpy.types.Action) -> str:
    return str(action.get("t2m_edited_prompt", action.get("t2m_prompt", "")))


def _edit_prompt(action: bpy.types.Action, prompt: str) -> None:
    action["t2m_edited_prompt"] = prompt


def register() -> None:
    bpy.types.Scene.t2m = PointerProperty(type=T2M_PG_settings)
    bpy.types.Object.t2m_takes = CollectionProperty(
        type=T2M_PG_take, override={"LIBRARY_OVERRIDABLE", "USE_INSERTION"}
    )
    bpy.types.Object.t2m_take_index = IntProperty(
        name="Take", description="The take that is looked at", override={"LIBRARY_OVERRIDABLE"}
    )
    bpy.types.Object.t2m_own_action = PointerProperty(
        name="Own Action",
        description="What plays when no take does",
        type=bpy.types.Action,
        override={"LIBRARY_OVERRIDABLE"},
    )
    bpy.types.Object.t2m_own_slot = StringProperty(
        name="Own Slot", description="Of that Action", override={"LIBRARY_OVERRIDABLE"}
    )
    bpy.types.Action.t2m_prompt_edit = StringProperty(
        name="Prompt",
        description="Edit the sentence and press Regenerate",
        get=_edited_prompt,
        set=_edit_prompt,
    )


def unregister() -> None:
    del bpy.types.Action.t2m_prompt_edit
    del bpy.types.Object.t2m_own_slot
    del bpy.types.Object.t2m_own_action
    del bpy.types.Object.t2m_take_index
    del bpy.types.Object.t2m_takes
    del bpy.types.Scene.t2m


CLASSES = (T2M_PG_next_prompt, T2M_PG_take, T2M_PG_settings)
