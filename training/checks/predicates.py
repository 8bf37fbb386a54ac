# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of the joints for an action: directions and sizes, nothing learnt.

Every predicate takes a `Seen` and says yes or no; those with a side take it too. Each is made so
that it holds for at least nine in ten real clips of its action and for at most a quarter of other
real clips (`training/checks/suite.json` names the clips, `tests/training/test_checks.py` counts).
Heights of the hips are shares of their height when standing; the rest is metres and seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.checks.seen import FPS, Array, Seen, seconds, swings

_OTHER = {"left": "right", "right": "left"}


def starts_naturally(seen: Seen) -> bool:
    """The motion begins upright on the floor: not sitting, squatting or on a ladder."""
    return bool(0.8 < np.median(seen.root[:5]) < 1.15)


def is_plausible(seen: Seen) -> bool:
    """Nothing breaks: no joint flies, nothing is far under the floor, the hips stay in reach."""
    steps = np.linalg.norm(np.diff(seen.joints, axis=0), axis=-1).max(axis=1) * FPS
    low = seen.joints[..., 1].min(axis=1)
    return bool(
        np.percentile(steps, 99) < 14.0 and np.percentile(low, 2) > -0.08
        and seen.root.min() > 0.05 and np.percentile(seen.root, 98) < 2.6
    )  # fmt: skip


def walks(seen: Seen) -> bool:
    """The hips travel forward over a metre at a walker's speed, with alternating feet."""
    f = seen.facts
    return _goes_ahead(seen) and f.displacement > 1.0 and 0.3 < f.speed < 2.0 and not f.jumps


def runs(seen: Seen) -> bool:
    """The hips travel forward faster than anybody walks."""
    f = seen.facts
    return _goes_ahead(seen) and f.distance > 2.0 and f.speed > 2.2


def jogs(seen: Seen) -> bool:
    """Forward faster than a walk, slower than a sprint."""
    f = seen.facts
    return _goes_ahead(seen) and f.distance > 1.8 and 1.6 < f.speed < 4.2


def walks_backward(seen: Seen) -> bool:
    """The hips travel at least 60 cm to where the back faces, most of the time."""
    f = seen.facts
    return f.displacement > 0.6 and abs(f.heading) > 140 and f.heading_spread > 0.8 and not f.jumps


def jumps(seen: Seen) -> bool:
    """Both feet leave the floor together for 0.15 s, the hips rise and come down again."""
    clear = (seen.feet > 0.06).all(axis=1)
    for start, end in _runs(clear):
        if end - start < 3 or end == len(clear):
            continue
        height = seen.joints[:, 0, 1]
        before = height[max(0, start - 8) : start + 1].min()
        after = height[end : end + 8].min()
        top = height[start:end].max()
        level = (seen.travel[end - 1] - seen.travel[start]) / ((end - start) / FPS)
        if top - max(before, after) > 0.12 and np.linalg.norm(level) < 2.6:
            return True
    return False


def jumps_forward(seen: Seen) -> bool:
    """A jump that carries the body at least 30 cm ahead."""
    f = seen.facts
    return jumps(seen) and float(seen.travel[:, 1].max()) > 0.3 and abs(f.turn) < 100


def sits_down(seen: Seen) -> bool:
    """From standing the hips come down, behind the feet, and stay there to the end."""
    end = seen.root[-round(0.4 * FPS) :]
    ankles = (seen.joint("left_ankle") + seen.joint("right_ankle")) / 2
    behind = ankles[-round(0.4 * FPS) :, 2].mean()
    return bool(
        seen.root.max() > 0.82 and end.max() < 0.75 and end.min() > 0.3
        and np.ptp(end) < 0.1 and behind > 0.1
    )  # fmt: skip


def stands_up(seen: Seen) -> bool:
    """From low hips to standing, and stays so."""
    last = round(0.2 * FPS)
    return bool(seen.root[: round(0.3 * FPS)].max() < 0.8 and seen.root[-last:].min() > 0.85)


def squats(seen: Seen) -> bool:
    """The hips go from standing to low, with both feet on the floor, and over the feet."""
    low = seen.root < 0.66
    if not low.any() or low.mean() > 0.9 or seen.root.max() < 0.82:
        return False
    down = seen.feet[low].max(axis=1) < 0.15
    ankles = (seen.joint("left_ankle") + seen.joint("right_ankle"))[low, 2] / 2
    wide = np.linalg.norm(seen.joint("left_ankle") - seen.joint("right_ankle"), axis=-1)[low]
    upright = _upright(seen)[low]
    return bool(
        down.mean() > 0.7 and ankles.mean() < 0.3 and wide.mean() < 0.75 and upright.mean() > 0.35
    )


def raises_both_arms(seen: Seen) -> bool:
    """Both wrists are over the head at the same time for 0.25 s."""
    return seconds(_up(seen, "left") & _up(seen, "right")) >= 0.25


def raises_arm(seen: Seen, side: str) -> bool:
    """One wrist is over the head for 0.25 s, the other one is not."""
    return seconds(_up(seen, side) & ~_up(seen, _OTHER[side])) >= 0.25


def climbs(seen: Seen) -> bool:
    """The hips are over standing height by 25 cm for half a second, with no flight."""
    return seconds(seen.joints[:, 0, 1] > seen.joints[:, 0, 1].min() + 0.35) >= 0.5 and bool(
        np.percentile(seen.root, 95) > 1.25 and not seen.facts.jumps
    )


def dances(seen: Seen) -> bool:
    """Steps to and fro: the feet go on, the hips turn back again and again, the arms take part."""
    f = seen.facts
    path = seen.travel - _smooth(seen.travel, 41)
    to_and_fro = swings(path[:, 0], 0.06) + swings(path[:, 1], 0.06)
    arms = (seen.speed("left_wrist").mean() + seen.speed("right_wrist").mean()) / 2
    rate = to_and_fro / f.seconds
    return bool(
        rate > 0.7 and f.steps / f.seconds > 0.8 and arms > 0.3 and f.speed < 1.3
        and f.displacement / f.seconds < 0.3
    )  # fmt: skip


def kicks(seen: Seen, side: str) -> bool:
    """A foot swings fast up to half a metre or more, ahead or aside, while the other one stands."""
    return _kick(seen, side) > max(0.5, _kick(seen, _OTHER[side]) + 0.15)


def waves(seen: Seen, side: str) -> bool:
    """A wrist over its elbow and as high as the chest goes to and fro; the other hand does not."""
    mine, other = _waving(seen, side), _waving(seen, _OTHER[side])
    return mine >= 2 and mine > other


def punches(seen: Seen, side: str) -> bool:
    """A fist shoots out ahead at chest height, faster than the other one."""
    mine, other = _punch(seen, side), _punch(seen, _OTHER[side])
    return mine > 1.9 and mine > 1.1 * other


def throws(seen: Seen, side: str | None = None) -> bool:
    """A hand that was drawn back at shoulder height or above whips forward."""
    if side is None:
        return max(_throw(seen, "left"), _throw(seen, "right")) > 2.4
    return _throw(seen, side) > 2.4 and _throw(seen, side) > 1.2 * _throw(seen, _OTHER[side])


def picks_up(seen: Seen) -> bool:
    """A hand goes down to the shins and comes up again; the body stands at the end."""
    wrists = seen.joints[:, [20, 21], 1]
    low = wrists.min(axis=1)
    down = int(low.argmin())
    return bool(
        low[down] < 0.48
        and seen.joints[down, 12, 1] < 1.05
        and wrists[down:].max(axis=1).max() > 0.62
        and (seen.root[-3:].mean() > 0.72 or seen.root[down:].max() > 0.85)
        and seen.root[: down + 1].max() > 0.75
        and abs(seen.facts.turn) < 100
        and seen.feet.max() < 0.3
    )


def turns(seen: Seen, side: str) -> bool:
    """The body turns by 50 degrees or more without going anywhere."""
    f = seen.facts
    turn = np.degrees(seen.yaw[-1] - seen.yaw[0]) * (1 if side == "left" else -1)
    return bool(turn > 50 and f.displacement < 0.7 and f.distance < 2.0 and not f.jumps)


def turns_around(seen: Seen) -> bool:
    """The body turns by 120 degrees or more, either way."""
    return bool(np.ptp(np.degrees(seen.yaw)) > 120)


def circles(seen: Seen, side: str) -> bool:
    """The path closes round: the body turns by most of a circle while walking on, one way."""
    f = seen.facts
    turn = np.degrees(seen.yaw[-1] - seen.yaw[0]) * (1 if side == "left" else -1)
    return bool(turn > 200 and f.distance > 2.0 and f.displacement < 0.65 * f.distance)


def walks_and_turns(seen: Seen, side: str) -> bool:
    """Forward over 80 cm, and the body turns by 40 to 200 degrees to that side."""
    f = seen.facts
    turn = np.degrees(seen.yaw[-1] - seen.yaw[0]) * (1 if side == "left" else -1)
    return bool(40 < turn < 200 and f.distance > 0.8 and f.steps >= 2)


def sidesteps(seen: Seen, side: str) -> bool:
    """The hips travel half a metre to one side of where the body faces."""
    f = seen.facts
    heading = f.heading if side == "left" else -f.heading
    return f.displacement > 0.5 and 55 < heading < 125 and f.heading_spread > 0.7


def walks_then_sits(seen: Seen) -> bool:
    """Over 60 cm on foot, standing; then the hips come down and stay."""
    upright = seen.root > 0.82
    if not upright.any() or not sits_down(seen):
        return False
    last = int(np.flatnonzero(upright)[-1])
    return float(np.linalg.norm(seen.travel[: last + 1], axis=-1).max()) > 0.6


def does_jumping_jacks(seen: Seen) -> bool:
    """Both arms go up and down twice or more while the feet go apart and together."""
    wrists = np.minimum(seen.joint("left_wrist")[:, 1], seen.joint("right_wrist")[:, 1])
    apart = np.abs(seen.joint("left_ankle")[:, 0] - seen.joint("right_ankle")[:, 0])
    return swings(wrists, 0.5) >= 2 and swings(apart, 0.15) >= 2


def stands_still(seen: Seen) -> bool:
    """Upright in one place, the feet where they are."""
    f = seen.facts
    return bool(
        f.displacement < 0.2 and f.distance < 0.6 and seen.root.min() > 0.85 and f.steps < 2
    )


def hops(seen: Seen, side: str) -> bool:
    """One foot leaves the floor again and again while the other one stays up."""
    mine, other = seen.feet[:, 0 if side == "left" else 1], seen.feet[:, 1 if side == "left" else 0]
    return bool(
        (other > 0.1).mean() > 0.6 and swings(mine, 0.05) >= 3 and (mine < 0.06).mean() > 0.2
    )


Predicate = Callable[..., bool]
PREDICATES: dict[str, Predicate] = {
    p.__name__: p
    for p in (
        walks, runs, jogs, walks_backward, jumps, jumps_forward, sits_down, stands_up, squats,
        raises_both_arms, raises_arm, climbs, dances, kicks, waves, punches, throws, picks_up,
        turns, turns_around, circles, walks_and_turns, sidesteps, walks_then_sits,
        does_jumping_jacks, stands_still, hops,
    )
}  # fmt: skip


def _goes_ahead(seen: Seen) -> bool:
    f = seen.facts
    feet = seen.joint("left_ankle")[:, 2] - seen.joint("right_ankle")[:, 2]
    return bool(
        abs(f.heading) < 40 and f.heading_spread > 0.7 and f.steps >= 2 and f.lowest > 0.65
        and swings(feet, 0.15) >= 1
    )  # fmt: skip


def _up(seen: Seen, side: str) -> NDArray[np.bool_]:
    return np.asarray(seen.joint(f"{side}_wrist")[:, 1] > seen.joint("head")[:, 1])


def _upright(seen: Seen) -> Array:
    trunk = seen.joint("neck") - seen.joint("pelvis")
    return np.asarray(trunk[:, 1] / np.linalg.norm(trunk, axis=-1))


def _kick(seen: Seen, side: str) -> float:
    """The height of the highest kick of a foot; 0 where there is none."""
    ankle, hip = seen.joint(f"{side}_ankle"), seen.joint("pelvis")
    out = ankle[:, [0, 2]] - hip[:, [0, 2]]
    reach = np.linalg.norm(out, axis=-1)
    speed = np.pad(seen.speed(f"{side}_ankle"), (5, 0), mode="edge")
    fast = np.lib.stride_tricks.sliding_window_view(speed, 6).max(axis=1)
    stands = seen.feet[:, 1 if side == "left" else 0] < 0.15
    ahead = (reach > 0.3) & (out[:, 1] > -0.35 * reach) & (fast > 1.8) & stands
    return float(ankle[ahead, 1].max()) if ahead.any() else 0.0


def _waving(seen: Seen, side: str) -> int:
    """How often a raised hand turns back."""
    wrist, elbow = seen.joint(f"{side}_wrist"), seen.joint(f"{side}_elbow")
    raised = (wrist[:, 1] > elbow[:, 1] + 0.05) & (wrist[:, 1] > seen.joint("spine3")[:, 1])
    best = 0
    for start, end in _runs(raised):
        if end - start >= 8:
            hand = (wrist - seen.joint("neck"))[start:end]
            best = max(best, swings(hand[:, 0], 0.06), swings(hand[:, 2], 0.1))
    return best


def _punch(seen: Seen, side: str) -> float:
    """The greatest speed ahead of a fist that gets far out at chest height."""
    wrist = seen.joint(f"{side}_wrist") - seen.joint("spine3") * [1.0, 0.0, 1.0]
    ahead = wrist[:, 2]
    velocity = np.gradient(ahead) * FPS
    best = 0.0
    for t in range(2, len(ahead) - 2):
        top = ahead[t] >= ahead[max(0, t - 4) : t + 5].max() - 1e-9
        height = seen.joint("pelvis")[t, 1] + 0.12 < wrist[t, 1] < seen.joint("head")[t, 1] + 0.3
        far = ahead[t] - ahead[max(0, t - 12) : t + 1].min() > 0.18
        if top and far and ahead[t] > 0.36 and height:
            best = max(best, float(velocity[max(0, t - 6) : t + 1].max()))
    return best


def _throw(seen: Seen, side: str) -> float:
    """The greatest speed of a hand within 0.5 s after it was drawn back high."""
    wrist = seen.joint(f"{side}_wrist")
    shoulder = seen.joint(f"{side}_shoulder")
    drawn = (wrist[:, 1] > shoulder[:, 1] - 0.05) & (wrist[:, 2] < shoulder[:, 2] + 0.12)
    velocity = np.gradient(_smooth(wrist[:, [1, 2]], 3), axis=0) * FPS
    best = 0.0
    for t in np.flatnonzero(drawn):
        window = slice(t, t + 10)
        forward = velocity[window, 1]
        moved = wrist[window, 2].max() - wrist[t, 2]
        if moved > 0.3:
            best = max(best, float(forward.max()))
    return best


def _smooth(values: Array, width: int) -> Array:
    half = width // 2
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    kernel = np.full(width, 1.0 / width)
    return np.stack([np.convolve(padded[:, c], kernel, "valid") for c in range(values.shape[1])], 1)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
