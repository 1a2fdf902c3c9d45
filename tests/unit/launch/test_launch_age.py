import subprocess
import sys


def test_a_process_knows_its_age() -> None:
    script = (
        "import time; time.sleep(0.3)\n"
        "from hpctrain.launch.age import process_age_seconds\n"
        "first = process_age_seconds(); time.sleep(0.2); print(first, process_age_seconds() - first)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, waited = map(float, done.stdout.split())
    assert 0.3 <= first < 60
    assert 0.2 <= waited < 60
