# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that are found, and the one that is loaded.

Looked for in the extension itself, in the user's own folder of the extension, and in the folder
named in the preferences. Main thread only, but for `loaded`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import numpy as np

from ..engine.errors import CheckpointError, InputError, OutputError
from ..engine.skeleton import HUMANML3D, skeleton_from_json

if TYPE_CHECKING:
    from ..engine.model import TextToMotion

DEFAULT = "default"
_PACKAGE = __package__.rpartition(".")[0]
_EMBEDDED = Path(__file__).resolve().parents[1] / "models"


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A model file.

    Attributes:
        path: Where it is.
        licence: What it says of itself.
        size: Bytes.
        skeleton: Name of the one that it moves.
    """

    path: Path
    licence: str
    size: int
    skeleton: str


@lru_cache(maxsize=1)
def found() -> Mapping[str, FoundModel]:
    """Name -> model file, the embedded one first; read once, until `look_again`."""
    from ..engine.checkpoint import read_tensors

    models: dict[str, FoundModel] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.safetensors")):
            try:
                _, metadata = read_tensors(path)
                content = json.loads(metadata["config"])
                licence = str(content["licence"])
                skeleton = skeleton_from_json(content["skeleton"]).name
            except (CheckpointError, InputError, KeyError, TypeError, ValueError):
                continue  # a text encoder, or somebody else's file
            if "gpt" in content and path.stem not in models:
                models[path.stem] = FoundModel(
                    path=path, licence=licence, size=path.stat().st_size, skeleton=skeleton
                )
    return models


def look_again() -> None:
    """The folders may hold something else now."""
    found.cache_clear()


def folders() -> list[Path]:
    """Where models are looked for."""
    from .preferences import model_folder

    named = model_folder()
    return [_EMBEDDED, own_folder(), *([named] if named is not None else [])]


def own_folder(*, create: bool = False) -> Path:
    """The user's own folder of models, which updates of the extension leave alone.

    Raises:
        OutputError: It is to be created, and cannot be.
    """
    try:
        try:
            folder = bpy.utils.extension_path_user(_PACKAGE, path="models", create=create)
        except ValueError:  # not installed as an extension: a checkout, or the bpy module
            name = f"{_PACKAGE.rpartition('.')[2]}/models"
            folder = bpy.utils.user_resource("DATAFILES", path=name, create=create)
    except OSError as error:
        raise OutputError(f"The folder for your models cannot be made ({error}).") from error
    return Path(folder)


def import_model(path: Path) -> str:
    """Copies a model file into the user's own folder and returns its name.

    Raises:
        CheckpointError: It is no model of ours, or damaged.
        InputError: There is one of that name.
        OutputError: It cannot be copied.
    """
    from ..engine.checkpoint import read_checkpoint

    if path.suffix != ".safetensors":
        raise InputError(
            f"{path.name} is not a .safetensors file. Published T2M-GPT files (.pth) become one by "
            "'python -m training import-official'."
        )
    read_checkpoint(path)
    if path.stem in found():
        raise InputError(f'There is a model named "{path.stem}"; rename the file first.')
    folder = own_folder(create=True)
    try:
        unfinished = folder / f"{path.name}.part"
        shutil.copyfile(path, unfinished)
        unfinished.replace(folder / path.name)
    except OSError as error:
        raise OutputError(f"{path.name} cannot be copied to {folder} ({error}).") from error
    look_again()
    return path.stem


def path_of(name: str) -> str:
    """What `loaded` is asked for: a name in the list, or a path.

    Raises:
        InputError: There is no such model.
    """
    model = found().get(name)
    if model is not None:
        return str(model.path)
    if Path(name).suffix == ".safetensors":
        return name
    known = ", ".join(f'"{model}"' for model in found())
    raise InputError(f'There is no model named "{name}"; choose {known}.')


def moves_people(name: str) -> bool:
    """Whether a model of the list moves people, and not what else one has trained it for."""
    model = found().get(name)
    return model is not None and model.skeleton == HUMANML3D.name


@lru_cache(maxsize=1)
def loaded(path: str, runtime: str, device: str) -> TextToMotion:
    """A model, read from disk the first time only; in any thread.

    Raises:
        T2MError: See `engine.model.load_model`.
    """
    from ..engine.generate import load_model

    model = load_model(path, runtime=runtime, device=device)
    _last[:] = [model]
    return model


_last: list[TextToMotion] = []  # the one in `loaded`, to be asked about without loading


def unload() -> None:
    """Frees the memory; the next press reads the model again."""
    loaded.cache_clear()
    _last.clear()


def held(model: TextToMotion) -> int:
    """Bytes of the weights that a model has in memory, and not in its file."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    waiting: list[object] = [model]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            while isinstance(item.base, np.ndarray):
                item = item.base
            found[id(item)] = item.nbytes if item.base is None else 0
        elif hasattr(item, "data_ptr"):  # of PyTorch
            found[item.data_ptr()] = item.nbytes
        elif isinstance(item, Mapping):
            waiting.extend(vars(item).values() if hasattr(item, "__dict__") else item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif hasattr(item, "__dict__") and not isinstance(item, type):
            waiting.extend(vars(item).values())
    return sum(found.values())


def last_loaded() -> TextToMotion | None:
    """The model in memory, if there is one."""
    return _last[0] if _last else None


def computing() -> tuple[str, ...]:
    """What computes the motion, and why, a few words each; more is known after the first press."""
    from ..engine.pytorch import torch_state

    model = last_loaded()
    if model is None:
        return "The fastest runtime here", torch_state()
    return model.runtime.name, *model.choice.reason.split("; ")
