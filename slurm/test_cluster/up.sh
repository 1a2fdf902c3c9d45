#!/usr/bin/env bash
# up.sh DIRECTORY: a throw-away Slurm of one node, this machine, for tests. As root; needs no systemd.
#
#   slurm/test_cluster/up.sh /tmp/slurm
#   export SLURM_CONF=/tmp/slurm/slurm.conf
#   srun --mpi=pmix -n 2 python -m hpctrain.train
#   slurm/test_cluster/down.sh /tmp/slurm
#
# Debian's packages for it: slurmctld slurmd slurm-client munge libpmix-dev. (libpmix2 alone lacks libpmix.so, the name
# by which Slurm looks for it.) All its files are in DIRECTORY, the key and the socket of its own munged too, and it
# listens on the loopback interface alone. It declares 8 CPUs, whatever the machine has. DIRECTORY must be new or empty,
# with a short name: the path of a socket has at most 107 characters.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

mkdir -p "$1"
dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SLURM_CONF="$dir/slurm.conf"

if [ -n "$(ls -A "$dir")" ]; then
    echo "up.sh: $dir is not empty" >&2
    exit 2
fi
trap 'tail -n 20 "$dir"/*.log >&2; "$here/down.sh" "$dir"' ERR

# The first port from $1 upwards that nobody listens on.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}
node=$(uname -n | cut -d. -f1)
controller_port=$(free_port $((20000 + RANDOM % 10000))) # below those that Linux gives to outgoing connections
node_port=$(free_port $((controller_port + 1)))

mkdir "$dir/state" "$dir/spool"
sed -e "s|@DIR@|$dir|; s|@NODE@|$node|; s|@CONTROLLER_PORT@|$controller_port|; s|@NODE_PORT@|$node_port|" \
    "$here/slurm.conf.in" >"$dir/slurm.conf"
# This version does nothing until it is asked to. Left to choose, slurmd may want systemd or writable control groups.
echo "CgroupPlugin=cgroup/v1" >"$dir/cgroup.conf"
# Where the machine has a munged of its own PMIx would use it, and the PMIx in Open MPI's wheel cannot.
echo "PMIxEnv=PMIX_MCA_psec=native" >"$dir/mpi.conf"

(umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
# --force: only warn that other users cannot enter the directory. There are none here.
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --seed-file="$dir/munged.seed" --log-file="$dir/munged.log" 2>"$dir/munged-start.log"
slurmctld
slurmd

for _ in {1..600}; do
    if [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; then
        exit 0
    fi
    sleep 0.1
done
echo "up.sh: the node did not become idle within a minute" >&2
false
