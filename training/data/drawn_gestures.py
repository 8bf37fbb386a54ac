# SPDX-License-Identifier: GPL-3.0-or-later
"""The gestures that are drawn: waves, raised and stretched arms, claps, punches, throws.

Each function draws one, with numbers of its own within what is natural; `side` is the arm's, where
the gesture has one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.data.gestures import OTHER, Gesture, Key

Draw = Callable[[np.random.Generator, str], Gesture]


def wave(random: np.random.Generator, side: str) -> Gesture:
    """A hand waved beside or above the head."""
    upper = (random.uniform(55, 100), random.uniform(-20, 45))
    lean, swing = random.uniform(-5, 12), random.uniform(20, 38)
    period, cycles = random.uniform(0.45, 0.8), int(random.integers(2, 6))
    rise, fall = random.uniform(0.5, 0.9), random.uniform(0.5, 0.9)

    def fore(tilt: float) -> tuple[float, float]:
        angle = tilt + lean
        return (100.0 if angle >= 0 else -80.0, 90.0 - abs(angle))

    keys = [Key(0.0, upper, fore(0.0), 0.0)]
    time = rise
    for number in range(2 * cycles):
        shift = 4.0 if number % 2 else -4.0
        tilt = swing if number % 2 == 0 else -swing
        keys.append(Key(time, (upper[0] + shift, upper[1]), fore(tilt)))
        time += period / 2
    keys.append(Key(time, upper, fore(0.0)))
    if random.random() < 0.7:
        keys.append(Key(time + fall, upper, fore(0.0), 0.0))
    return Gesture(f"waves with the {side} hand", f"waving with the {side} hand", {side: keys})


def wave_both(random: np.random.Generator, side: str) -> Gesture:
    """Both raised hands waved, towards each other and apart."""
    keys = next(iter(wave(random, "left").keys.values()))
    return Gesture("waves with both hands", "waving with both hands", {"left": keys, "right": keys})


def raise_arm(random: np.random.Generator, side: str) -> Gesture:
    """An arm raised over the head, held there, and mostly lowered."""
    return Gesture(
        f"raises the {side} arm", f"raising the {side} arm", {side: _raised(random, random)}
    )


def raise_both_arms(random: np.random.Generator, side: str) -> Gesture:
    """Both arms raised over the head, nearly together."""
    seed = int(random.integers(1 << 31))
    keys = {s: _raised(np.random.default_rng(seed), random) for s in ("left", "right")}
    return Gesture("raises both arms", "raising both arms", keys)


def _raised(common: np.random.Generator, own: np.random.Generator) -> list[Key]:
    rise, hold, fall = common.uniform(0.6, 1.2), common.uniform(0.4, 1.8), common.uniform(0.6, 1.1)
    through = (common.choice([15.0, 85.0]), common.uniform(-10, 15))
    lowers = common.random() < 0.65
    top = (common.uniform(60, 95), common.uniform(68, 86) + own.uniform(-4, 4))
    tip = (top[0], min(top[1] + common.uniform(-8, 6), 89.0))
    keys = [Key(0.0, through, through, 0.0), Key(0.5 * rise, through, through, 0.85)]
    keys += [Key(rise, top, tip), Key(rise + hold, top, tip)]
    if lowers:
        end = rise + hold + fall
        keys += [Key(end - 0.5 * fall, through, through, 0.85), Key(end, through, through, 0.0)]
    return keys


def spread_arms(random: np.random.Generator, side: str) -> Gesture:
    """Both arms stretched out to the sides."""
    keys = _stretched(random, (random.uniform(82, 96), random.uniform(-8, 10)))
    return Gesture(
        "stretches both arms out to the sides",
        "stretching both arms out to the sides",
        {"left": keys, "right": keys},
    )


def point(random: np.random.Generator, side: str) -> Gesture:
    """One arm stretched out ahead."""
    keys = _stretched(random, (random.uniform(-4, 18), random.uniform(-8, 14)))
    return Gesture(
        f"points forward with the {side} hand",
        f"pointing forward with the {side} hand",
        {side: keys},
    )


def reach_forward(random: np.random.Generator, side: str) -> Gesture:
    """Both arms stretched out ahead."""
    keys = _stretched(random, (random.uniform(0, 10), random.uniform(-8, 10)))
    return Gesture(
        "holds both arms out in front",
        "holding both arms out in front",
        {"left": keys, "right": keys},
    )


def _stretched(random: np.random.Generator, pose: tuple[float, float]) -> list[Key]:
    rise, hold, fall = random.uniform(0.5, 1.0), random.uniform(0.5, 2.0), random.uniform(0.5, 1.0)
    tip = (pose[0] - random.uniform(0, 8), pose[1] + random.uniform(0, 6))
    keys = [Key(0.0, pose, tip, 0.0), Key(rise, pose, tip), Key(rise + hold, pose, tip)]
    if random.random() < 0.7:
        keys.append(Key(rise + hold + fall, pose, tip, 0.0))
    return keys


def clap(random: np.random.Generator, side: str) -> Gesture:
    """Both hands clapped before the chest."""
    upper = (random.uniform(15, 30), random.uniform(-62, -45))
    period, cycles = random.uniform(0.32, 0.6), int(random.integers(3, 9))
    high = random.uniform(10, 35)
    closed, open_ = (-48.0, high), (random.uniform(-8, 8), high)
    rise, fall = random.uniform(0.4, 0.7), random.uniform(0.4, 0.8)
    keys = [Key(0.0, upper, open_, 0.0)]
    time = rise
    for number in range(2 * cycles):
        keys.append(Key(time, upper, closed if number % 2 else open_))
        time += period / 2
    keys.append(Key(time + fall, upper, open_, 0.0))
    return Gesture("claps", "clapping", {"left": keys, "right": keys})


def punch(random: np.random.Generator, side: str) -> Gesture:
    """Straight punches out of a guard, one arm only."""
    guard_upper, guard_fore = (random.uniform(15, 35), -62.0), (-20.0, random.uniform(55, 70))
    out = (random.uniform(-6, 4), random.uniform(-6, 10))
    twist = random.uniform(22, 38)
    rise, period = random.uniform(0.35, 0.6), random.uniform(0.55, 0.9)
    hit = random.uniform(0.1, 0.16)
    count = int(random.integers(1, 4))
    guard = [Key(0.0, guard_upper, guard_fore, 0.0), Key(rise, guard_upper, guard_fore)]
    mine = list(guard)
    time = rise + random.uniform(0.1, 0.3)
    for _ in range(count):
        mine.append(Key(time, guard_upper, guard_fore, twist=-6.0))
        mine.append(Key(time + hit, out, (out[0] - 4.0, out[1]), twist=twist))
        mine.append(Key(time + hit + 0.08, out, (out[0] - 4.0, out[1]), twist=twist))
        time += period
    end = time + random.uniform(0.3, 0.6)
    mine += [Key(time, guard_upper, guard_fore), Key(end, guard_upper, guard_fore, 0.0)]
    other = [*guard, Key(time, guard_upper, guard_fore), Key(end, guard_upper, guard_fore, 0.0)]
    return Gesture(
        f"punches with the {side} hand",
        f"punching with the {side} hand",
        {side: mine, OTHER[side]: other},
    )


def throw(random: np.random.Generator, side: str) -> Gesture:
    """An overhand throw."""
    back_upper, back_fore = (random.uniform(110, 130), random.uniform(5, 25)), (160.0, 55.0)
    high_upper, high_fore = (70.0, random.uniform(20, 40)), (130.0, 75.0)
    out = (random.uniform(-5, 8), random.uniform(-5, 20))
    down = (random.uniform(-35, -20), random.uniform(-50, -30))
    wind, hold = random.uniform(0.5, 0.8), random.uniform(0.05, 0.2)
    fling, follow = random.uniform(0.18, 0.26), random.uniform(0.2, 0.35)
    twist = random.uniform(22, 36)
    t = wind + hold
    mine = [
        Key(0.0, back_upper, back_fore, 0.0),
        Key(wind, back_upper, back_fore, twist=-twist),
        Key(t, high_upper, high_fore, twist=-0.8 * twist),
        Key(t + fling, out, (out[0], out[1] - 5.0), twist=0.8 * twist),
        Key(t + fling + follow, down, down, twist=twist),
        Key(t + fling + follow + 0.7, down, down, 0.0),
    ]
    aim = (random.uniform(5, 25), random.uniform(-15, 10))
    low = (30.0, -60.0)
    other = [
        Key(0.0, aim, aim, 0.0), Key(wind, aim, aim, 0.9), Key(t + fling, low, (10.0, -20.0), 0.7),
        Key(t + fling + follow + 0.6, low, low, 0.0),
    ]  # fmt: skip
    return Gesture(
        f"throws something with the {side} hand",
        f"throwing something with the {side} hand",
        {side: mine, OTHER[side]: other},
    )
