"""Every benchmark of speed in one run, the peers included; writes docs/speed-peers.md and its picture.

Command:  python -m benchmarks [--fast] [--brian PYTHON] [--nest PYTHON] [--out FILE]
          [-k WORDS --keep FILE]
Needs:    pip install -e '.[bench]' pytest-benchmark; Brian2 and NEST are given by a Python that imports them. Brian2
          needs NumPy below 2.4: `--brian make` installs it into an environment of its own, ~/.cache/largen/brian2.
Run time: about 15 minutes of CPU time on one core and 6 GB of memory; with --fast less than 2 minutes.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent


def with_brian() -> str:
    """Python of an environment with Brian2, made on first use."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "largen" / "brian2"
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing Brian2 into {folder} ...", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "brian2>=2.9", "numpy<2.4"], check=True)
    return str(python)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="small cases only; nothing is written without --out")
    parser.add_argument("--brian", metavar="PYTHON", help="a Python with Brian2, or `make`")
    parser.add_argument("--nest", metavar="PYTHON", help="a Python with NEST")
    parser.add_argument("--out", type=Path, help="where to write the table, by default docs/speed-peers.md")
    parser.add_argument("--keep", type=Path, help="a file of lines kept between runs in parts (with -k)")
    parser.add_argument("-k", metavar="WORDS", help="only the benchmarks whose names match, as in pytest")
    given = parser.parse_args()
    out = given.out or (None if given.fast or given.k else HERE.parent / "docs" / "speed-peers.md")
    brian = with_brian() if given.brian == "make" else given.brian
    options = {"--out": out, "--keep": given.keep, "--brian": brian, "--nest": given.nest, "-k": given.k}
    # One core, and strict on nothing but its own failures: warnings of peers are theirs.
    environment = os.environ | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(HERE / "speed"),
        "-q",
        "-s",
        "-W",
        "ignore",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--benchmark-timer=time.process_time", "--benchmark-columns=min,median,rounds", "--benchmark-sort=name"]
    command += [f"{name}={value}" for name, value in options.items() if value and name != "-k"]
    command += (["-k", given.k] if given.k else []) + (["--fast"] if given.fast else [])
    return subprocess.run(command, cwd=HERE.parent, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
