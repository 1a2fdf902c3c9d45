#!/usr/bin/env bash
# down.sh DIRECTORY: end the jobs of the Slurm that up.sh started there, and then that Slurm. Its logs stay.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SLURM_CONF="$dir/slurm.conf"

# The processes of a daemon, which may be several slurmd.
pids_of() {
    local file pid
    for file in "$dir/$1".pid "$dir/$1".*.pid; do
        pid=$(cat "$file" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
    done
    true
}
has_ended() { [ -z "$(pids_of "$1")" ]; }
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
if ! has_ended slurmctld && ! has_ended slurmd; then
    scancel --user=root
    wait_until no_job_is_left
fi
for daemon in slurmctld slurmd munged; do
    for pid in $(pids_of "$daemon"); do kill "$pid"; done
done
for daemon in slurmctld slurmd munged; do
    wait_until has_ended "$daemon"
done
while read -r name namespace _; do
    "$here/host.sh" "$dir" off "$name" </dev/null
    ip netns delete "$namespace"
done <"$dir/hosts"
while read -r link; do
    ip link delete "$link"
done <"$dir/links"
