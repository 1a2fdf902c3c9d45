import subprocess
import sys

import pytest


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 2, 75])
def test_leaving_is_in_order(code: int) -> None:
    done = run(
        "import atexit, logging, sys\n"
        "from hpctrain.launch.process import leave\n"
        "atexit.register(lambda: print('called at exit'))\n"
        "sys.stdout.write('unfinished line, ')\n"
        f"leave({code})\n"
    )
    assert done.returncode == code
    assert done.stdout == "unfinished line, called at exit\n"


def test_kept_memory_is_used_again() -> None:
    """Without it, every large array is taken from the system anew, and each of its pages costs a fault."""
    script = (
        "import resource\n"
        "import numpy as np\n"
        "from hpctrain.launch.process import keep_freed_memory\n"
        "{}\n"
        "np.ones(10_000_000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): np.ones(10_000_000)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    returned, kept = (int(run(script.format(call)).stdout) for call in ("", "keep_freed_memory()"))
    assert kept < returned / 10
