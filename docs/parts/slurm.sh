#!/bin/bash
# A SLURM array with one part per task: sbatch --array=1-32 slurm.sh SOURCE OUT [OPTION...]
# After it, publish the set: sbatch --dependency=afterany:JOBID slurm.sh SOURCE OUT [OPTION...]
#SBATCH --cpus-per-task=8
#SBATCH --requeue
set -euo pipefail
part=()
if [ -n "${SLURM_ARRAY_TASK_ID-}" ]; then
  part=(--part "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))/$SLURM_ARRAY_TASK_COUNT")
fi
exec headrace prep "$@" "${part[@]}" --workers "${SLURM_CPUS_PER_TASK:-1}"
