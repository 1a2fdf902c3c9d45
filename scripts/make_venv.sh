#!/bin/sh
# make_venv.sh DIRECTORY PYTHON...: an empty virtual environment, made by the first of these Pythons that can make it.
set -eu
venv=$1
shift

# Written for any Python, however old: it has to say so.
check='
import sys
if sys.version_info < (3, 11):
    sys.exit("Python %d.%d is too old" % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("it cannot make virtual environments (no module ensurepip)")
'

tried=""
for python in "$@"; do
    if ! found=$(command -v "$python"); then
        continue
    fi
    if problem=$("$found" -c "$check" 2>&1); then
        echo "Making $venv with $found"
        exec "$found" -m venv --clear "$venv"
    fi
    tried="$tried
  $found: $(echo "$problem" | tail -n 1)"
done

cat >&2 <<END
hpctrain needs Python 3.11 or newer with its venv module, and there is none here.${tried:-
  (looked for: $*)}
Debian, Ubuntu: apt install python3 python3-venv; a cluster: module load python;
elsewhere: make train PYTHON=/path/to/python3
END
exit 1
