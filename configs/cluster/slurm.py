"""Start Dask workers as Slurm jobs and print the address for ``bmepipe batch --dask``.

    pip install dask-jobqueue
    python configs/cluster/slurm.py --jobs 20 &
    bmepipe batch /data/trial -o /data/results --dask tcp://LOGIN-NODE:8786

One case runs in each worker at a time, in a process of its own with one thread, so a job of 4 cores
and 16 GB takes 4 workers. The data and the output must be on a file system that every node sees
under the same path, and bmepipe must be installed in the environment that the jobs use.
"""

from __future__ import annotations

import argparse
import time

from dask_jobqueue import SLURMCluster

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--jobs", type=int, default=4)
parser.add_argument("--queue", help="Slurm partition")
arguments = parser.parse_args()

cluster = SLURMCluster(
    queue=arguments.queue,
    cores=4,  # threads of a job, as many as its processes: one case each
    processes=4,
    memory="16GB",  # a knee study needs less than 3 GB
    walltime="12:00:00",
    scheduler_options={"port": 8786},
)
cluster.scale(jobs=arguments.jobs)
print(cluster.scheduler_address, flush=True)
while True:
    time.sleep(60)
