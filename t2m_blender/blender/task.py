# SPDX-License-Identifier: GPL-3.0-or-later
"""The only thread, queue and timer: long work beside Blender, its end on the main thread.

A `Job` has two halves. `work` runs in a thread and knows no bpy; `finish` is given its result on
the main thread, from a timer, in a window again. Blender's data may change in between (undo, a
deletion, another file): `finish` looks everything up anew, and what cannot be finished now is kept
until it can. Loading a file or disabling the add-on stops the work and forgets it. Where Blender
has no window there is no timer: `run` does both halves at once.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, ClassVar

import bpy

from .. import version
from ..engine.errors import Cancelled, InputError, T2MError
from .translations import rpt, translated

OnProgress = Callable[[int, int], None]
IsCancelled = Callable[[], bool]

_INTERVAL = 0.1  # seconds between looks at the queue
_STOPPING = 30.0  # seconds that a step of the work may take before it hears that it should stop


@dataclass(frozen=True, kw_only=True)
class Job:
    """Long work.

    Attributes:
        title: What is being done, for the panel and the undo history.
        work: Called in the thread with (on_progress, is_cancelled).
        finish: Called on the main thread with what `work` returned; says what was done. It changes
            nothing if it raises.
        scene: Name of the one that it is about.
    """

    title: str
    work: Callable[[OnProgress, IsCancelled], Any]
    finish: Callable[[bpy.types.Context, Any], str]
    scene: str


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What the panel says about the last work.

    Attributes:
        text: A sentence or two.
        details: For a report of an error; empty where all went well.
    """

    text: str
    details: str = ""


@dataclass(eq=False)
class Running:
    """Work that goes on.

    Attributes:
        job: What it is.
        done, most: Its steps.
        stopping: Whether it has been told to stop.
    """

    job: Job
    done: int = 0
    most: int = 0
    began: float = field(default_factory=time.monotonic)
    stopping: Event = field(default_factory=Event)
    outcomes: SimpleQueue[tuple[Any, Exception | None]] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._run, name=f"t2m {self.job.title}", daemon=True)

    def _run(self) -> None:
        try:
            self.outcomes.put((self.job.work(self._tell, self.stopping.is_set), None))
        except Exception as error:  # noqa: BLE001 - told on the main thread
            self.outcomes.put((None, error))

    def _tell(self, done: int, most: int) -> None:
        self.done, self.most = done, most

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.done / self.most if self.most else 0.0


class Session:
    """What goes on in this Blender: at most one job, what was said last, what waits to be placed.

    Attributes:
        running: The job of the thread.
        notice: Of the last one.
        waiting: A job whose result could not be finished, with that result.
    """

    running: ClassVar[Running | None] = None
    notice: ClassVar[Notice | None] = None
    waiting: ClassVar[tuple[Job, Any] | None] = None


def start(job: Job) -> None:
    """Begins a job beside Blender.

    Raises:
        InputError: Another one is going on.
    """
    _check_idle()
    Session.notice = None
    Session.running = Running(job)
    Session.running.thread.start()
    if not bpy.app.timers.is_registered(_look):
        bpy.app.timers.register(_look, first_interval=_INTERVAL)


def run(context: bpy.types.Context, job: Job) -> str:
    """Does a job at once and says what was done.

    Raises:
        T2MError: Of its halves.
        InputError: Another one is going on.
    """
    _check_idle()
    Session.notice = None
    said = job.finish(context, job.work(lambda done, most: None, lambda: False))
    Session.notice = Notice(text=said)
    return said


def cancel() -> None:
    """Tells the work to stop; it does so within a token."""
    if Session.running is not None:
        Session.running.stopping.set()


def finish_waiting(context: bpy.types.Context) -> str:
    """Tries again to finish what could not be finished.

    Raises:
        T2MError: It still cannot; it goes on waiting.
    """
    if Session.waiting is None:
        raise InputError("Nothing waits to be placed.")
    job, result = Session.waiting
    said = job.finish(context, result)
    Session.waiting, Session.notice = None, Notice(text=said)
    return said


def forget_waiting() -> None:
    """Throws away what could not be finished."""
    Session.waiting = Session.notice = None


def stop() -> None:
    """Stops the work, waits for its end and forgets everything."""
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    running, Session.running = Session.running, None
    Session.notice = Session.waiting = None
    if running is not None:
        running.stopping.set()
        running.thread.join(_STOPPING)


def details_of(error: BaseException) -> str:
    """All that a report of an error needs."""
    return "\n".join(
        (
            f"Text to Motion {version()}, Blender {bpy.app.version_string}, Python "
            f"{sys.version.split()[0]} on {sys.platform}",
            "".join(traceback.format_exception(error)),
        )
    )


def notice_of(error: Exception) -> Notice:
    """What the panel says about an error: ours are sentences, others are a mistake of ours."""
    if isinstance(error, Cancelled):
        return Notice(text=rpt("Cancelled; nothing was changed."))
    if isinstance(error, T2MError):
        return Notice(text=translated(str(error)), details=details_of(error))
    unexpected = rpt(
        "Something unexpected happened ({}): press Copy Details and report them. Nothing was "
        "changed.",
        type(error).__name__,
    )
    return Notice(text=unexpected, details=details_of(error))


def report_error(operator: bpy.types.Operator, error: T2MError) -> set[str]:
    """Says an error where Blender reports, and in the panel with details to copy; what `execute`
    returns then.
    """
    Session.notice = notice_of(error)
    operator.report({"ERROR"}, Session.notice.text)
    redraw()
    return {"CANCELLED"}


def _check_idle() -> None:
    if Session.running is not None:
        raise InputError(
            f"{Session.running.job.title} is still going on; wait for it or cancel it."
        )


def _look() -> float | None:
    """The timer: shows how far the work is, and finishes it."""
    running = Session.running
    if running is None:
        return None
    redraw()
    try:
        result, error = running.outcomes.get_nowait()
    except Empty:
        return _INTERVAL
    Session.running = None  # from here on the panel may draw what comes out
    if error is None and running.stopping.is_set():
        error = Cancelled()
    if error is not None:
        Session.notice = notice_of(error)
        return None
    try:
        with _in_window(running.job.scene):
            said = running.job.finish(bpy.context, result)
            bpy.ops.ed.undo_push(message=running.job.title)
        Session.notice = Notice(text=said)
    except Exception as failure:  # noqa: BLE001 - the result waits and the error is told
        Session.waiting = (running.job, result)
        Session.notice = notice_of(failure)
    return None


def _in_window(scene: str) -> AbstractContextManager[Any]:
    """The context of a 3D view that shows the scene, or of any window."""
    windows = bpy.context.window_manager.windows
    window = next((window for window in windows if window.scene.name == scene), None)
    if window is None:
        raise InputError(f'No window shows the scene "{scene}" any more. Open it and place again.')
    for area in window.screen.areas:
        if area.type == "VIEW_3D":
            region = next(region for region in area.regions if region.type == "WINDOW")
            return bpy.context.temp_override(window=window, area=area, region=region)
    return bpy.context.temp_override(window=window)


def redraw() -> None:
    """Draws the sidebars of the 3D views anew."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


@bpy.app.handlers.persistent
def _stop_before_load(*_: object) -> None:
    stop()


def register() -> None:
    bpy.app.handlers.load_pre.append(_stop_before_load)


def unregister() -> None:
    bpy.app.handlers.load_pre.remove(_stop_before_load)
    stop()
