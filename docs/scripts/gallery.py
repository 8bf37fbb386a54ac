# SPDX-License-Identifier: GPL-3.0-or-later
"""The gallery: `python docs/scripts/gallery.py` writes docs/gallery.md and docs/gallery/*.webp.

Nothing is selected: the first prompt of every check of the suite, two prompts without sense, and
the same seed for all. The page says of each whether its check passes. Needs `bpy` and Pillow.
"""

from __future__ import annotations

import argparse
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# a script of a checkout, not a package
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.scripts.gallery_items import Item, items
from docs.scripts.stage import Pose, View, draw_path, poses, render
from t2m_blender.engine.generate import GeneratedMotion, generate, load_model
from training.checks.seen import Seen

DOCS = Path(__file__).resolve().parents[1]
MOMENTS = 7
STRIP, MAP = 1150, 290  # pixels: width of the poses side by side, and of the path beside them
_FRONT = View(yaw=0.58, pitch=0.17)
_ABOVE = View(yaw=0.58, pitch=0.95)
_LINE, _GAP = 22, 4  # pixels for the seconds under the poses, and between the two pictures
_APART = 0.6  # metres between the poses that the map shows
_INK, _PAPER = (226, 229, 235), (28, 30, 35)


def picture(made: GeneratedMotion) -> Image.Image:
    """The poses side by side, their travel taken out, and beside them the path from above."""
    found = poses(made, MOMENTS)
    strip = _strip(found)
    above = _map(made, found, strip.height - _LINE)
    whole = Image.new("RGB", (STRIP + _GAP + MAP, strip.height), _PAPER)
    whole.paste(strip, (0, 0))
    whole.paste(above, (STRIP + _GAP, 0))
    return whole


def _strip(found: list[Pose]) -> Image.Image:
    """Poses on a line, as far apart as the widest two need."""
    right = np.array(_FRONT.right)
    across = [pose.points @ right - right[:2] @ np.array(pose.ground) for pose in found]
    gaps = [a.max() - b.min() for a, b in pairwise(across)]
    gap = max(1.05, max(gaps) + 0.10)
    ends = max(0.5, -across[0].min() + 0.1), max(0.5, across[-1].max() + 0.1)
    width = ends[0] + gap * (len(found) - 1) + ends[1]
    places = ends[0] + gap * np.arange(len(found))
    for pose, place in zip(found, places.tolist(), strict=True):
        shift = (place - width / 2) * _FRONT.right - pose.ground.to_3d()
        pose.body.location = shift
    top = max(1.85, *(pose.points[:, 2].max() for pose in found)) + 0.12
    low, high = -0.30, top * np.cos(_FRONT.pitch)
    pixels = STRIP / width
    image = render(
        _FRONT,
        _FRONT.up * float((low + high) / 2),
        width,
        (STRIP, round((high - low) * pixels)),
    )
    sheet = Image.new("RGB", (STRIP, image.height + _LINE), _PAPER)
    sheet.paste(image, (0, 0))
    for pose, place in zip(found, places.tolist(), strict=True):
        _write(sheet, f"{pose.moment:.1f} s", (place * pixels, image.height + _LINE / 2))
    return sheet


def _map(made: GeneratedMotion, found: list[Pose], height: int) -> Image.Image:
    """The poses where they were, those that do not hide each other, and the path."""
    kept: list[Pose] = []
    for pose in reversed(found):
        if all((pose.ground - other.ground).length >= _APART for other in kept):
            kept.append(pose)
    for pose in found:
        pose.body.location = (0.0, 0.0, 0.0)
        pose.body.hide_render = pose not in kept
    points = np.concatenate([pose.points for pose in found])
    spans = [points @ np.array(axis) for axis in (_ABOVE.right, _ABOVE.up)]
    middle = [float(span.min() + span.max()) / 2 for span in spans]
    size = [float(np.ptp(span)) + 0.4 for span in spans]
    width = max(3.0, size[0], size[1] * MAP / height)
    draw_path(made, 0.005 * width)
    image = render(_ABOVE, _ABOVE.right * middle[0] + _ABOVE.up * middle[1], width, (MAP, height))
    sheet = Image.new("RGB", (MAP, height + _LINE), _PAPER)
    sheet.paste(image, (0, 0))
    way = np.linalg.norm(np.diff(made.finished.joints[::4, 0][:, [0, 2]], axis=0), axis=-1).sum()
    _write(sheet, f"a way of {way:.1f} m", (MAP / 2, height + _LINE / 2))
    return sheet


def _write(image: Image.Image, text: str, middle: tuple[float, float]) -> None:
    font = ImageFont.load_default(14)
    ImageDraw.Draw(image).text(middle, text, fill=_INK, font=font, anchor="mm")


def page(rows: list[tuple[Item, GeneratedMotion]], seed: int) -> str:
    """docs/gallery.md."""
    text = [
        "# Gallery",
        "",
        f"What the embedded model makes, seed {seed} for every prompt, at its sampling and length.",
        "Nothing is selected: the first prompt of each [prompt check](prompt-checks.md), and two",
        "without sense. One seed is one try; how often each check passes over many is in the",
        "[model card](model-card.md).",
        "",
        "Poses are evenly spaced in time, with their travel taken out; the path is beside them, on",
        "squares of one metre. Left limbs are blue, right ones orange.",
        "",
        "`python docs/scripts/gallery.py` makes this page. The model's sha256 begins with "
        f"`{rows[0][1].model_sha256[:16]}`.",
        "",
    ]
    passed = [item.check.passes(_seen(made)) for item, made in rows if item.check]
    text += [f"{sum(passed)} of these {len(passed)} tries pass their check.", ""]
    for item, made in rows:
        said = f"seed {seed}, {made.motion.frames / made.motion.fps:.1f} s"
        if item.check:
            said += ", passes" if item.check.passes(_seen(made)) else ", **does not pass**"
        text += [f"**{item.prompt}** · {said}", "", f"![{item.prompt}](gallery/{item.file})", ""]
    return "\n".join(text)


def _seen(made: GeneratedMotion) -> Seen:
    return Seen.of(made.motion.joints)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=DOCS, help="folder (docs)")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="files, with commas between; no page is written")
    options = parser.parse_args()
    model = load_model(options.model)
    wanted = [item for item in items() if not options.only or item.file in options.only.split(",")]
    folder = options.output / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for item in wanted:
        made = generate(item.prompt, model=model, seed=options.seed)
        picture(made).save(folder / item.file, quality=82, method=6)
        rows.append((item, made))
        print(f"{len(rows)} of {len(wanted)}: {item.file}", flush=True)
    if not options.only:
        text = page(rows, options.seed)
        (options.output / "gallery.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the wheel of Blender 4.2 crashes at exit
