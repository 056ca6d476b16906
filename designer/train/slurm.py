"""A ready batch script for a SLURM cluster: a task a machine, which finds the others by SLURM's variables.

Three minutes before its time is over, or when it is preempted, SLURM signals the trainers; they write a checkpoint and
end, and the script asks for the job to be queued again, where it resumes. Imports no torch.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from designer.train.launch import AGAIN
from designer.train.run import RunFolder

NOTICE = 180
"""Seconds before the end of its time that a job is told."""


def batch_script(
    run: RunFolder, nodes: int = 1, time: str = "24:00:00", partition: str = "", account: str = "",
    more: Sequence[str] = (),
) -> str:  # fmt: skip
    """The script, for `sbatch`.

    Args:
        run: its folder, which all machines see.
        nodes: machines.
        time: limit as SLURM writes it.
        partition: to queue in; the cluster's own choice if empty.
        account: to charge.
        more: further options of sbatch, such as `--mem=64G`.
    """
    settings = run.document().training
    folder = run.path.resolve()
    options = [
        f"--job-name={run.path.name}",
        f"--nodes={nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={settings.devices * (settings.workers + 1)}",
        f"--time={time}",
        f"--signal=USR1@{NOTICE}",
        "--requeue",
        "--open-mode=append",
        f"--output={folder}/slurm-%j.log",
    ]
    if settings.device != "cpu":
        options.insert(3, f"--gpus-per-node={settings.devices}")
    options += [f"--partition={partition}"] if partition else []
    options += [f"--account={account}"] if account else []
    head = "\n".join(f"#SBATCH {option}" for option in (*options, *more))
    trainer = shlex.join([sys.executable, "-P", "-m", "designer.train", "--run", str(folder), "--resume"])
    return f"""#!/bin/bash
# Trains {run.document().name} with Netwright. The document was frozen into the run folder when this was written.
{head}

srun {trainer}
code=$?
# {AGAIN}: SLURM's signal ended it after a checkpoint. Queued again, it goes on from there.
if [ "$code" -eq {AGAIN} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
