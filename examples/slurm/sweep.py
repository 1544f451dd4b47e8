"""A sweep whose networks run as SLURM jobs: `python sweep.py map.zarr --jobs 40`, where it may stay.

The sweep asks SLURM for jobs of eight workers (through dask-jobqueue), hands them tasks, and writes every finished task
itself; the jobs need no access to the store. Stopped by anything, it is started again with the same words and does only
what is missing.
"""

import argparse

import numpy as np
from dask.distributed import Client
from dask_jobqueue.slurm import SLURMCluster

import largen as ln
from largen.runtime.workers import ONE_THREAD


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", help="the result, NAME.zarr or NAME.nc")
    parser.add_argument("--jobs", type=int, default=4, help="most jobs at once")
    parser.add_argument("--workers", type=int, default=8, help="workers of one job, one core each")
    parser.add_argument("--memory", default="16GB", help="of one job")
    parser.add_argument("--walltime", default="04:00:00")
    parser.add_argument("--lifetime", default="225m", help="after which a worker hands its tasks over and leaves")
    parser.add_argument("--stagger", default="5m", help="by which their lifetimes differ, at most")
    parser.add_argument("--partition", default=None)
    parser.add_argument("--points", type=int, default=64)
    parser.add_argument("--script", action="store_true", help="only print what would be submitted")
    return parser.parse_args()


def main() -> None:
    """Start the jobs and sweep."""
    given = arguments()
    cluster = SLURMCluster(
        queue=given.partition,
        cores=given.workers,
        processes=given.workers,
        memory=given.memory,
        walltime=given.walltime,
        job_script_prologue=[f"export {name}={str(value)!r}" for name, value in ONE_THREAD.items()],
        # Workers leave before SLURM ends their job, a few at a time, and new jobs take their place.
        worker_extra_args=["--lifetime", given.lifetime, "--lifetime-stagger", given.stagger],
        log_directory="slurm-logs",
    )
    if given.script:
        print(cluster.job_script())
        return
    cluster.adapt(minimum_jobs=1, maximum_jobs=given.jobs)
    with cluster, Client(cluster) as client:
        found = ln.sweep(
            ln.SpikingNetwork(),
            ln.Grid({"probability[e,i]": np.linspace(0.5, 1.0, given.points)}),
            run=("limit", "network"),
            times=np.round(np.arange(10_001) * 0.1, 9),  # ms
            bin_width=10.0,
            realisations=8,
            observables=["rate", "synchrony"],
            store=given.store,
            client=client,
            progress=True,
        )
    print(found["status"].to_series().value_counts().to_string())


if __name__ == "__main__":
    main()
