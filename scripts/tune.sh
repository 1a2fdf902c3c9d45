#!/bin/sh
# tune.sh OPEN_MPI_VENV MPICH_VENV [measure] [grade]: the tables that come with the package, by which algorithm="auto"
# chooses. Without a step, both.
#
# measure: each library on 2, 4 and 8 ranks of this machine, ranks without MPI, and one process alone, into the package's
# file; tables of other shapes stay in it as they are. grade: all of it anew, at sizes between those, to see how good the
# choice is. Each takes 25 minutes at most, on a machine with nothing else to do. ROUNDS=3 SECONDS_EACH=10 for a quick
# trial, TABLES=file to write elsewhere, LOAD=100 to go on although the machine is busy.
set -eu
open_mpi=$1 mpich=$2
shift 2
steps=${*:-measure grade}
tables=${TABLES:-hpctrain/collectives/tuning/defaults.json}
rounds=${ROUNDS:-15} seconds=${SECONDS_EACH:-150}

load=$(cut -d ' ' -f 1 /proc/loadavg)
if awk "BEGIN { exit !($load > ${LOAD:-0.5}) }"; then
    echo "This machine is busy (load $load): what is measured now is wrong. Wait, or say LOAD=100 to go on." >&2
    exit 1
fi

# everywhere OPTIONS...: the bench in every shape; goes on where a grade is bad, and says so at the end.
everywhere() {
    for ranks in 2 4 8; do
        for venv in "$open_mpi" "$mpich"; do
            echo "== $ranks ranks, $venv"
            bench "$venv" "$venv/bin/mpirun" -n "$ranks" "$venv/bin/python" -- "$@"
        done
        echo "== $ranks ranks without MPI"
        bench "$open_mpi" "$open_mpi/bin/python" -m hpctrain.local -n "$ranks" -- "$@"
    done
    echo "== one process"
    bench "$open_mpi" "$open_mpi/bin/python" -- "$@"
}

# bench VENV LAUNCHER... -- OPTIONS...
bench() {
    venv=$1
    shift
    launcher=""
    while [ "$1" != -- ]; do
        launcher="$launcher $1"
        shift
    done
    shift
    # shellcheck disable=SC2086 - no path here has spaces
    PATH="$venv/bin:$PATH" $launcher -m hpctrain.bench collectives --repeats "$rounds" --max-seconds "$seconds" "$@" ||
        bad="$bad
  $launcher"
}

for step in $steps; do
    bad=""
    case $step in
        measure) everywhere --out "$tables" ;;
        grade) everywhere --grade "$tables" --sizes 12:192M ;;
        *) echo "tune.sh: there is no step $step: say measure, grade or nothing" >&2; exit 2 ;;
    esac
    [ -z "$bad" ] || { echo "tune.sh: the step $step found something wrong, or slow, with:$bad" >&2; exit 1; }
done
