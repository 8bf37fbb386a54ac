# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepares datasets and trains the models of t2m_blender: `python -m training --help`."""
