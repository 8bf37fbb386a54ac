# SPDX-License-Identifier: GPL-3.0-or-later
# One part of CI at a time; `make` alone lists them. `make all` is what CI runs.
PARTS = tests style types blender-4.2 blender-5.0 real-5.2 real-4.3 outdated

help:
	@echo "make all | $(PARTS) | zip | lock"

all:
	.ci/run

$(PARTS):
	.ci/run $@

zip:
	python build.py

lock:
	.ci/lock

.PHONY: help all zip lock $(PARTS)
