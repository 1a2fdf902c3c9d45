#!/usr/bin/env bash
# down.sh DIRECTORY: end the jobs of the Slurm that up.sh started there, and then that Slurm. Its logs stay.
set -euo pipefail

dir=$(cd "$1" && pwd)
export SLURM_CONF="$dir/slurm.conf"

# The process of a daemon; false where there is none.
pid_of() {
    local pid
    pid=$(cat "$dir/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
}
has_ended() { ! pid_of "$1" >/dev/null; }
no_job_is_left() {
    local jobs
    jobs=$(squeue --noheader) && [ -z "$jobs" ]
}
# Until "$@" is so, for a minute.
wait_until() {
    for _ in {1..600}; do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "down.sh: still not so after a minute: $*" >&2
    return 1
}

# Jobs first: without slurmd nobody ends them. A job stays in the queue until all its processes have ended.
if pid_of slurmctld >/dev/null && pid_of slurmd >/dev/null; then
    scancel --user=root
    wait_until no_job_is_left
fi
for daemon in slurmctld slurmd munged; do
    if pid=$(pid_of "$daemon"); then kill "$pid"; fi
done
for daemon in slurmctld slurmd munged; do
    wait_until has_ended "$daemon"
done
