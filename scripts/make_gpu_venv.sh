#!/bin/sh
# make_gpu_venv.sh DIRECTORY PYTHON: a virtual environment over another Python, whose packages it sees.
#
# torch and CuPy for the GPUs of a machine are large, and often there already: in a module, or in an environment that
# somebody made for its driver. `venv --system-site-packages` would do, were that Python not often a venv itself.
set -eu
venv=$1
python=$2

"$python" -m venv --clear --without-pip "$venv"
"$python" - "$venv/bin/python" <<'END'
import site
import subprocess
import sys
from pathlib import Path

ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
own = subprocess.run([sys.argv[1], "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
# Python runs a line that begins with "import". PREFIXES is where packages look for the libraries of others (NCCL).
lines = [f"import site; site.PREFIXES.append({sys.prefix!r})"]
lines += [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages()]
Path(own, "python_below.pth").write_text("\n".join(lines) + "\n")
END
"$venv/bin/python" -m pip --version >/dev/null || {
    echo "$python has no pip, which adds what it lacks: python -m ensurepip, or another Python: GPU_PYTHON=..." >&2
    exit 1
}
