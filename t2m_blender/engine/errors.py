# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error of ours: one or two sentences, what is wrong and what to do next."""

from __future__ import annotations


class T2MError(Exception):
    """An error meant for the user; its message needs no traceback to be useful."""


class InputError(T2MError):
    """A prompt, number, motion or file given by the user cannot be used."""


class CheckpointError(T2MError):
    """A model file is missing, damaged or of another kind."""


class OutputError(T2MError):
    """A result cannot be written where it was asked for."""


class RuntimeMissingError(T2MError):
    """A library that this step needs is not installed."""


class Cancelled(T2MError):
    """The user stopped the work; nothing was changed."""


class OutOfMemory(T2MError):
    """The memory of the device is full."""
