#!/usr/bin/env bash
# host.sh DIRECTORY off|on NODE: the power of one host of the Slurm that `up.sh DIRECTORY NODES` started. Off: all its
# processes are gone at once, and nobody is told. On: its daemon starts, slurmd or the controller's.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

dir=$(cd "$1" && pwd)
power=$2
name=$3
namespace=$(awk -v name="$name" '$1 == name { print $2 }' "$dir/hosts")
if [ -z "$namespace" ]; then
    echo "host.sh: $dir has no host $name" >&2
    exit 2
fi
case $power in
off)
    while processes=$(ip netns pids "$namespace") && [ -n "$processes" ]; do
        kill -KILL $processes 2>/dev/null || true # it may have ended by itself
        sleep 0.05
    done
    ;;
on)
    export SLURM_CONF="$dir/slurm.conf"
    enter=(nsenter --net="/run/netns/$namespace")
    if [ "$name" = controller ]; then
        "${enter[@]}" slurmctld
    else
        rm -rf "${dir:?}/spool/$name"
        mkdir "$dir/spool/$name"
        "${enter[@]}" unshare --uts sh -c 'hostname "$1" && exec slurmd -N "$1"' slurmd "$name"
    fi
    ;;
*)
    echo "host.sh: $power is neither off nor on" >&2
    exit 2
    ;;
esac
