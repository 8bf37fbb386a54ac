#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The zip in a whole Blender, inside .ci/real_blender: validated, installed, used, upgraded, removed; then
# installed and used in its window by the scripts named: window, session, many_calls.
set -euo pipefail
blender --version | head -1
newer=$(ls /work/t2m_blender-*.zip) older=/work/older.zip
version=${newer##*-} version=${version%.zip}
python3 - "$newer" "$older" "$version" <<'PYTHON'
import sys
import zipfile

newer, older, version = sys.argv[1:]
with zipfile.ZipFile(newer) as source, zipfile.ZipFile(older, "w") as target:
    for entry in source.infolist():
        data = source.read(entry)
        if entry.filename == "blender_manifest.toml":
            data = data.replace(f'"{version}"'.encode(), b'"0.0.1"')
        target.writestr(entry, data)
PYTHON
blender -b --command extension validate "$newer"
journey() {
  blender -b --python-exit-code 1 --python /clone/tests/install/journey.py -- "$@" 2>&1 | tee /work/said
  if grep -q Traceback /work/said; then return 1; fi
}
journey "install=$older" version=0.0.1 use=numpy write=numpy disable enable set_runtime=numpy \
  "install=$newer" "version=$version" has_runtime=numpy use=numpy
journey has_runtime=numpy use=numpy uninstall  # another day: the settings are still there

# A person at the window, without a network. Each script leaves with status 0 if it held; nothing may be
# raised on the way, also not where Blender only prints it.
Xvfb -displayfd 3 -screen 0 1600x900x24 +extension GLX 3>/work/display >/dev/null 2>&1 &
screen=$!
trap 'kill $screen || true' EXIT
for _ in $(seq 50); do [ -s /work/display ] && break; sleep 0.2; done
DISPLAY=:$(cat /work/display)
export DISPLAY
in_window() {
  export BLENDER_USER_RESOURCES=/work/user-of-$1
  mkdir -p "$BLENDER_USER_RESOURCES"
  timeout 900 unshare --net blender --enable-event-simulate --window-geometry 0 0 1600 900 \
    --python "/clone/tests/install/$1" -- "$newer" /work 2>&1 | tee /work/said
  if grep -q Traceback /work/said; then return 1; fi
}
for script in "$@"; do in_window "$script.py"; done
for picture in /work/*.png; do
  colours=$(identify -format %k "$picture")
  echo "$picture has $colours colours"
  [ "$colours" -gt 200 ] # it is not black
done
