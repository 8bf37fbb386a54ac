# SPDX-License-Identifier: GPL-3.0-or-later
"""Animation files as a dataset: a folder of .glb, .gltf, .fbx, .bvh, or the Actions of a .blend.

Blender reads the files (the `bpy` wheel, imported only here and only when it is needed) and the
retargeter reads the motion off their rigs. What the clips show comes from a table
(`training.data.clip_table`) or, in a .blend, from a custom property of the Action.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from t2m_blender.engine.errors import InputError, RuntimeMissingError
from t2m_blender.engine.skeleton import HUMANML3D, Skeleton
from t2m_blender.retarget.read_back import NamedMotion
from training.data.clip_table import ClipTable, Wanted, read_clip_table
from training.data.cycles import repeated, travelling
from training.data.dataset import Clip, Dataset, Skipped, statistics, write_dataset
from training.data.floor import standing_features
from training.data.mirror import mirrored_clip, mirrored_motion

Progress = Callable[[int, int], None]

SUFFIXES = (".glb", ".gltf", ".fbx", ".bvh")
# The title of the deed or of its legal code, or the SPDX identifier: a whole line of a file.
_CC0 = re.compile(
    r"(?:SPDX-License-Identifier: ?)?CC0-1\.0"
    r"|(?:Creative Commons )?CC0 1\.0 Universal(?: \(CC0 1\.0\))?(?: Public Domain Dedication)?"
    r"|Creative Commons Zero v1\.0 Universal",
    re.IGNORECASE,
)
SHORTEST = 0.4  # seconds: at 20 fps 8 frames, 7 of features; a token is made of 4
_FINER = 6  # clips are read so many times finer than the skeleton's rate, to repeat them exactly


@dataclass(frozen=True)
class ClipOptions:
    """How the clips of a source are kept.

    Attributes:
        mirror: add mirrored copies.
        shortest: seconds under which a clip is left out.
        val, test: shares of the clips that go to these splits, chosen by their names.
        licence: of every clip of which the table does not say; None looks for a licence file
            beside the files.
    """

    mirror: bool = True
    shortest: float = 1.0
    val: float = 0.0
    test: float = 0.0
    licence: str | None = None

    def __post_init__(self) -> None:
        if min(self.val, self.test) < 0.0 or not self.val + self.test < 1.0:
            raise InputError(
                f"The shares of val and test are {self.val} and {self.test}; they must be 0 or "
                "more and together less than 1."
            )
        if not self.shortest >= SHORTEST:
            raise InputError(
                f"Clips cannot be as short as {self.shortest:g} s: a token stands for 0.2 s, and "
                f"less than two of them is no motion. Give --shortest {SHORTEST} or more."
            )

    def split(self, name: str) -> str:
        """The split of a clip: always the same for the same name."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
        if number < self.test:
            return "test"
        return "val" if number < self.test + self.val else "train"


def prepare_clips(
    source: Path,
    output: Path,
    *,
    captions: Path | None = None,
    options: ClipOptions | None = None,
    skeleton: Skeleton = HUMANML3D,
    on_progress: Progress | None = None,
) -> Dataset:
    """Makes the animation files of a folder, and of the folders in it, into a dataset.

    Args:
        source: the folder.
        output: the new dataset folder.
        captions: a table, see `training.data.clip_table`; without one, no clip has a caption.
        options: what is kept, and how.
        skeleton: the target.
        on_progress: called with (files done, files in all).

    Returns:
        What was written.

    Raises:
        InputError: there is nothing to read, or nothing of it can be used.
        OutputError: output cannot be written.
        RuntimeMissingError: Blender's Python module is not installed.
    """
    if not source.is_dir():
        raise InputError(f"{source} is no folder; give one with {', '.join(SUFFIXES)} files.")
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{source} holds no {', '.join(SUFFIXES)} file.")
    return _prepare("clips", source, files, output, captions, options, skeleton, on_progress)


def prepare_actions(
    source: Path,
    output: Path,
    *,
    captions: Path | None = None,
    options: ClipOptions | None = None,
    skeleton: Skeleton = HUMANML3D,
    on_progress: Progress | None = None,
) -> Dataset:
    """Makes the Actions of a .blend file into a dataset.

    An Action's caption is its custom property `t2m_prompt` or `caption`; a table's come first.
    Otherwise as `prepare_clips`.
    """
    if source.suffix.lower() != ".blend":
        raise InputError(f"{source} is no .blend file; for a folder of clips, prepare clips.")
    if not source.is_file():
        raise InputError(f"There is no file {source}.")
    return _prepare(
        "actions", source.parent, [source], output, captions, options, skeleton, on_progress
    )


def _prepare(
    name: str,
    root: Path,
    files: list[Path],
    output: Path,
    captions: Path | None,
    options: ClipOptions | None,
    skeleton: Skeleton,
    on_progress: Progress | None,
) -> Dataset:
    table = read_clip_table(captions) if captions else ClipTable({})
    source = _Source(root, table, options or ClipOptions(), skeleton)
    source.skipped += table.faults
    for done, path in enumerate(files):
        if on_progress:
            on_progress(done, len(files))
        source.add(path)
    if on_progress:
        on_progress(len(files), len(files))
    source.skipped += [
        Skipped(row, "is in the table, but no file has it", expected=False)
        for row in table.without_clip()
    ]
    if not source.clips:
        told = "; ".join(f"{s.item}: {s.reason}" for s in source.skipped[:3])
        raise InputError(f"No clip of {root} can be used ({told or 'it holds none'}).")
    trained = [source.features[clip.id] for clip in source.clips if clip.split == "train"]
    licences = sorted({clip.licence for clip in source.clips})
    dataset = Dataset(
        name,
        skeleton,
        tuple(source.clips),
        source.features,
        *statistics(trained, skeleton),
        licence="; ".join(licences),
        skipped=tuple(source.skipped),
        notes=tuple(
            f"{file}: kept without a caption (for the VQ-VAE only): {', '.join(names)}"
            for file, names in source.bare.items()
        ),
    )
    write_dataset(dataset, output)
    return dataset


class _Source:
    """The clips of a folder while they are gathered."""

    def __init__(
        self, root: Path, table: ClipTable, options: ClipOptions, skeleton: Skeleton
    ) -> None:
        self.root, self.table, self.options, self.skeleton = root, table, options, skeleton
        self.clips: list[Clip] = []
        self.features: dict[str, NDArray[np.float32]] = {}
        self.skipped: list[Skipped] = []
        self.bare: dict[str, list[str]] = {}  # file -> clips without a caption

    def add(self, path: Path) -> None:
        """All clips of one file."""
        file = path.relative_to(self.root).as_posix()
        why = self.table.skipped_file(file)
        if why:
            self.skipped.append(Skipped(file, why, expected=True))
            return

        def fault(item: str, reason: str) -> None:
            wanted = self.table.clip(file, item)
            expected = wanted is not None and bool(wanted.skip)
            reason = wanted.skip if wanted and expected else reason
            self.skipped.append(Skipped(f"{file}: {item}", reason, expected))

        try:
            found = read_file(path, fps=_FINER * self.skeleton.fps, on_skip=fault)
        except InputError as error:
            self.skipped.append(Skipped(file, str(error), expected=False))
            return
        for motion in sorted(found, key=lambda motion: motion.name):
            wanted = self.table.clip(file, motion.name) or Wanted()
            captions = wanted.captions or {1: []}
            if wanted.skip:
                self.skipped.append(Skipped(f"{file}: {motion.name}", wanted.skip, expected=True))
                continue
            for times, texts in captions.items():
                self._add_clip(path, file, motion, wanted, times, texts)

    def _add_clip(
        self,
        path: Path,
        file: str,
        motion: NamedMotion,
        wanted: Wanted,
        times: int,
        texts: list[str],
    ) -> None:
        origins = ["table"] * len(texts)
        if not texts and motion.caption is not None:
            texts, origins = [motion.caption], ["action"]
        item = f"{file}: {motion.name}" + (f" x{times}" if times > 1 else "")
        seconds = motion.seconds * times
        if seconds < self.options.shortest:
            reason = f"shorter than {self.options.shortest:g} s"
            self.skipped.append(Skipped(item, reason, expected=True))
            return
        try:
            joints = self._joints(motion, wanted, times)
            array = standing_features(joints, self.skeleton)
            reflected = mirrored_motion(joints, self.skeleton) if self.options.mirror else None
            copy = None if reflected is None else standing_features(reflected, self.skeleton)
        except InputError as error:
            self.skipped.append(Skipped(item, str(error), expected=False))
            return
        clip = Clip(
            id=self._new_id(file, motion.name, times),
            split=wanted.split or self.options.split(f"{file}/{motion.name}"),
            captions=tuple(texts),
            caption_origins=tuple(origins),
            source=f"{file}: {motion.name}",
            start_frame=0,
            end_frame=len(joints),
            frames=len(array),
            subject=f"{path.parent.name or self.root.name} {motion.preset}",
            licence=wanted.licence or self.options.licence or licence_beside(path, self.root),
            origin=file,
            mirrored=False,
        )
        self.clips.append(clip)
        self.features[clip.id] = array
        if copy is not None:
            other = mirrored_clip(clip)
            self.clips.append(other)
            self.features[other.id] = copy
        if not texts:
            self.bare.setdefault(file, []).append(motion.name)

    def _joints(self, motion: NamedMotion, wanted: Wanted, times: int) -> NDArray[np.float64]:
        fine = motion.motion.joints.astype(np.float64)
        fine = repeated(fine, times, self.skeleton)
        if wanted.travel:
            fine = travelling(fine, self.skeleton, fps=motion.motion.fps)
        return fine[::_FINER]

    def _new_id(self, file: str, name: str, times: int) -> str:
        """Lower case, so that the M of mirrored copies cannot be mistaken."""
        plain = f"{Path(file).with_suffix('').as_posix()}.{name}" + (
            f".x{times}" if times > 1 else ""
        )
        plain = re.sub(r"[^a-z0-9._-]+", "_", plain.replace("/", ".").lower())
        number, unique = 2, plain
        while unique in self.features:
            unique, number = f"{plain}-{number}", number + 1
        return unique


def read_file(
    path: Path, *, fps: float, on_skip: Callable[[str, str], None]
) -> Iterable[NamedMotion]:
    """The motions of one file, read by Blender.

    Raises:
        RuntimeMissingError: Blender's Python module is not installed.
        InputError: the file cannot be used.
    """
    try:
        from t2m_blender.blender.read_file import read_motions
    except ModuleNotFoundError as error:
        if error.name not in ("bpy", "mathutils"):
            raise
        raise RuntimeMissingError(
            "Reading animation files needs Blender's Python module: pip install bpy (on Python "
            "3.11)."
        ) from None
    return read_motions(path, fps=fps, on_skip=on_skip)


def licence_beside(path: Path, root: Path) -> str:
    """What the licence file beside an animation file, or above it up to the root, says."""
    for folder in (path.parent, *path.parent.parents):
        for licence in sorted(folder.glob("[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]*")):
            if not licence.is_file():
                continue
            text = licence.read_text(encoding="utf-8", errors="replace")
            if _is_cc0(text):
                return "CC0-1.0"
            first = next((line.strip() for line in text.splitlines() if line.strip()), "")
            return f"{first[:60]} ({licence.name})" if first else "unknown"
        if folder == root:
            break
    return "unknown"


def _is_cc0(text: str) -> bool:
    """Whether one of its lines is the deed's title or its SPDX identifier, and nothing more."""
    return any(_CC0.fullmatch(" ".join(line.split()).strip("*#=- ")) for line in text.splitlines())
