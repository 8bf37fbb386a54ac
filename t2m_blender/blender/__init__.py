# SPDX-License-Identifier: GPL-3.0-or-later
"""The only room that imports bpy. Everything here is for the main thread only."""
