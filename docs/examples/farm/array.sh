#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A batch over the machines of a cluster, as an array of Slurm jobs:
#
#   sbatch --array=1-8 array.sh prompts.jsonl /farm/out            (8 machines)
#   python -m t2m_blender --batch prompts.jsonl -o /farm/out       (afterwards, anywhere: one manifest)
#
# What fails or is killed is made by the same two lines once more: finished rows are skipped.
#SBATCH --cpus-per-task=2 --mem=2G --time=02:00:00 --output=t2m-%a.log
set -uo pipefail
batch=$1 out=$2
shift 2 # further options, such as --format blend,fbx --rig hero.blend:Armature
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-2}
mkdir -p "$out"
python -m t2m_blender --batch "$batch" -o "$out" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
status=$?
[ "$status" -eq 3 ] && exit 0 # bad rows are in the manifest; the job itself is done
exit "$status"
