# SPDX-License-Identifier: GPL-3.0-or-later
"""The constraints of an armature, and the drivers of their influence, as a `Wiring`. Main thread
only; nothing is changed or played.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import bpy

from ..retarget.rig import Rig
from ..retarget.wiring import Property, Settings, Tie, Wiring

_KINDS: dict[str, Any] = {
    "COPY_TRANSFORMS": "copy",
    "COPY_ROTATION": "turn",
    "COPY_LOCATION": "place",
    "CHILD_OF": "carried",
    "ARMATURE": "carried",
    "DAMPED_TRACK": "aim",
    "TRACK_TO": "aim",
    "LOCKED_TRACK": "aim",
    "STRETCH_TO": "aim",
    "SPLINE_IK": "aim",
    "IK": "solved",
}
_LOCAL = {"LOCAL", "LOCAL_WITH_PARENT", "LOCAL_OWNER_ORIENT"}
_IN_PART = 0.5  # of what replaces the bone's own only in part
_PROPERTY = re.compile(r'(?:pose\.bones\["((?:[^"\\]|\\.)*)"\])?\["((?:[^"\\]|\\.)*)"\]')
_FOLDS = {"SUM": sum, "MIN": min, "MAX": max, "AVERAGE": lambda values: sum(values) / len(values)}
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "int": int,
    "float": float,
}


def wiring_of(armature: bpy.types.Object, rig: Rig) -> Wiring:
    """What ties the bones of an armature together, as its properties are set now.

    Args:
        armature: With a pose.
        rig: All of its bones.
    """
    drivers = armature.animation_data.drivers if armature.animation_data else ()
    driven = {curve.data_path: curve for curve in drivers if not curve.mute}
    ties: dict[str, list[Tie]] = {}
    followed = set()
    for bone in armature.pose.bones:
        for constraint in bone.constraints:
            if constraint.type in _KINDS and constraint.is_valid:
                other = getattr(constraint, "target", None)
                if other and other != armature and other.type == "ARMATURE":
                    followed.add(other.name)
                for name, tie in _ties(armature, bone, constraint, driven):
                    ties.setdefault(name, []).append(tie)
    properties = {p for some in ties.values() for tie in some for p in tie.properties}
    shaped = {bone.name for bone in armature.pose.bones if bone.custom_shape}
    return Wiring(
        rig,
        {name: tuple(some) for name, some in ties.items()},
        frozenset(shaped or rig.by_name),
        {key: float(property_owner(armature, key[0])[key[1]]) for key in properties},
        {key: _limits(property_owner(armature, key[0]), key[1]) for key in properties},
        tuple(sorted(followed)),
    )


def property_owner(armature: bpy.types.Object, bone: str) -> Any:
    """What has a custom property: a pose bone, or the armature object for ""."""
    return armature.pose.bones.get(bone) if bone else armature


def _ties(
    armature: bpy.types.Object,
    bone: bpy.types.PoseBone,
    constraint: Any,
    driven: Mapping[str, bpy.types.FCurve],
) -> list[tuple[str, Tie]]:
    """What a constraint does, and to which bones."""
    kind = _KINDS[constraint.type]
    local = {constraint.owner_space, constraint.target_space} & _LOCAL
    if local and kind == "copy":
        kind = "turn"
    share, properties = _share(armature, constraint, driven)
    if not _replaces(constraint):
        share = _times(share, _IN_PART)
    if local:  # what follows a control's own channels in part stays as that is posed
        share = _full_or_none(share)
    if kind == "solved":
        ends = [(constraint.target, constraint.subtarget)]
        if constraint.pole_target:
            ends.append((constraint.pole_target, constraint.pole_subtarget))
        tie = Tie(kind, _own(armature, ends), share, properties, not constraint.use_tail)
        chain = [bone, *bone.parent_recursive]
        return [(part.name, tie) for part in chain[: constraint.chain_count or len(chain)]]
    if constraint.type == "ARMATURE":
        return [
            (bone.name, Tie(kind, _own(armature, [at]), _times(share, weight), properties))
            for weight, *at in (
                (target.weight, target.target, target.subtarget) for target in constraint.targets
            )
            if weight > 0.0
        ]
    at = [(constraint.target, getattr(constraint, "subtarget", ""))]
    tail = getattr(constraint, "head_tail", 0.0) > 0.0
    return [(bone.name, Tie(kind, _own(armature, at), share, properties, tail))]


def _own(armature: bpy.types.Object, targets: list[Any]) -> tuple[str, ...]:
    """The bones of this armature among targets."""
    bones = armature.data.bones
    return tuple(bone for owner, bone in targets if owner == armature and bone in bones)


def _replaces(constraint: Any) -> bool:
    """Whether at full influence nothing of the bone's own is left."""
    if getattr(constraint, "mix_mode", "REPLACE") != "REPLACE":
        return False
    return constraint.type not in ("COPY_ROTATION", "COPY_LOCATION") or all(
        getattr(constraint, f"use_{axis}") and not getattr(constraint, f"invert_{axis}")
        for axis in "xyz"
    )


def _times(share: Callable[[Settings], float], factor: float) -> Callable[[Settings], float]:
    return lambda settings: factor * share(settings)


def _full_or_none(share: Callable[[Settings], float]) -> Callable[[Settings], float]:
    return lambda settings: 1.0 if share(settings) >= 0.99 else 0.0


def _share(
    armature: bpy.types.Object, constraint: Any, driven: Mapping[str, bpy.types.FCurve]
) -> tuple[Callable[[Settings], float], tuple[Property, ...]]:
    """The influence of a constraint by properties; 0 where it is switched off."""
    path = constraint.path_from_id()
    influence, by = _value(armature, driven.get(f"{path}.influence"), constraint.influence)
    muted, too = _value(armature, driven.get(f"{path}.mute"), float(constraint.mute))

    def share(settings: Settings) -> float:
        return 0.0 if muted(settings) >= 0.5 else min(max(influence(settings), 0.0), 1.0)

    return share, (*by, *too)


def _value(
    armature: bpy.types.Object, curve: bpy.types.FCurve | None, now: float
) -> tuple[Callable[[Settings], float], tuple[Property, ...]]:
    """What a driver gives by the properties that it reads; as it is now where it reads others."""
    names = _read_properties(armature, curve) if curve is not None else None
    if not names:
        return lambda settings: now, ()
    driver = curve.driver
    shapes = len(curve.keyframe_points) or len(curve.modifiers)
    tree = ast.parse(driver.expression.strip(), mode="eval") if driver.type == "SCRIPTED" else None

    def value(settings: Settings) -> float:
        values = {name: settings[key] for name, key in names.items()}
        try:
            given = _computed(tree.body, values) if tree else _FOLDS[driver.type](values.values())
        except (TypeError, KeyError, ZeroDivisionError):
            return now
        return float(curve.evaluate(given) if shapes else given)

    return value, tuple(names.values())


def _read_properties(
    armature: bpy.types.Object, curve: bpy.types.FCurve
) -> dict[str, Property] | None:
    """Variable -> custom property of the armature's bones; None where one reads something else."""
    found: dict[str, Property] = {}
    for variable in curve.driver.variables:
        target = variable.targets[0]
        match = _PROPERTY.fullmatch(target.data_path)
        if variable.type != "SINGLE_PROP" or target.id != armature or match is None:
            return None
        bone, name = (bpy.utils.unescape_identifier(text or "") for text in match.groups())
        owner = property_owner(armature, bone)
        if owner is None or not isinstance(owner.get(name), int | float):
            return None
        found[variable.name] = (bone, name)
    return found if curve.driver.type in (*_FOLDS, "SCRIPTED") else None


def _computed(node: ast.expr, values: Mapping[str, float]) -> Any:
    """An expression of numbers, names, arithmetic and comparison; nothing is run.

    Raises:
        KeyError, TypeError: There is something else in it.
    """
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left, kind, right):
            return _OPERATORS[type(kind)](_computed(left, values), _computed(right, values))
        case ast.UnaryOp(kind, operand):
            return _OPERATORS[type(kind)](_computed(operand, values))
        case ast.Compare(left, [kind], [right]):
            return _OPERATORS[type(kind)](_computed(left, values), _computed(right, values))
        case ast.BoolOp(kind, parts):
            found = [_computed(part, values) for part in parts]
            return all(found) if isinstance(kind, ast.And) else any(found)
        case ast.IfExp(test, body, orelse):
            return _computed(body if _computed(test, values) else orelse, values)
        case ast.Call(ast.Name(id=name), args, []):
            return _FUNCTIONS[name](*(_computed(part, values) for part in args))
    raise TypeError(f"{type(node).__name__} is not computed")


def _limits(owner: Any, name: str) -> tuple[float, float]:
    """The least and greatest value of a custom property; 0 and 1 where it has no such limits."""
    if isinstance(owner[name], bool):
        return 0.0, 1.0
    limits = owner.id_properties_ui(name).as_dict()
    low, high = float(limits.get("min", 0.0)), float(limits.get("max", 1.0))
    return (low, high) if -1000.0 < low < high < 1000.0 else (0.0, 1.0)
