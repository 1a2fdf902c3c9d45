#!/usr/bin/env bash
# up.sh DIRECTORY [NODES]: a throw-away Slurm on this machine, for tests. As root; needs no systemd.
#
#   slurm/test_cluster/up.sh /tmp/slurm 4
#   export SLURM_CONF=/tmp/slurm/slurm.conf
#   sbatch --nodes=4 --ntasks-per-node=2 slurm/train.sbatch
#   slurm/test_cluster/host.sh /tmp/slurm off node3
#   slurm/test_cluster/down.sh /tmp/slurm
#
# With NODES the nodes are node1, node2, ...: network namespaces with a name and an address of their own, joined by a
# bridge, that see the same files. Without it there is one node, this machine.
#
# Debian's packages for it: slurmctld slurmd slurm-client munge libpmix-dev iproute2. (libpmix2 alone lacks libpmix.so,
# the name by which Slurm looks for it.) All its files are in DIRECTORY, those of its own munged too. It listens on the
# loopback interface alone, or on the bridge. It declares 8 CPUs a node, whatever the machine has.
# DIRECTORY must be new or empty, with a short name: the path of a socket has at most 107 characters.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

mkdir -p "$1"
dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
num_nodes=${2:-0}
export SLURM_CONF="$dir/slurm.conf"

if [ -n "$(ls -A "$dir")" ]; then
    echo "up.sh: $dir is not empty" >&2
    exit 2
fi
touch "$dir/hosts" "$dir/links"
trap 'tail -n 20 "$dir"/*.log >&2; "$here/down.sh" "$dir"' ERR

# The first port from $1 upwards that nobody listens on.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}
# The hosts: a line "name namespace address" for each in the file "hosts", and what joins them in the file "links".
make_hosts() {
    local number=$((RANDOM % 16384)) last=1 bridge subnet host namespace
    bridge=hpct$number
    subnet=10.$((192 + number / 256)).$((number % 256))
    ip link add "$bridge" type bridge
    echo "$bridge" >>"$dir/links"
    ip address add "$subnet.1/24" dev "$bridge"
    ip link set "$bridge" up
    for host in controller $(seq --format=node%g "$num_nodes"); do
        last=$((last + 1))
        namespace=$bridge-$host
        ip netns add "$namespace"
        echo "$host $namespace $subnet.$last" >>"$dir/hosts"
        ip link add "$bridge-$last" type veth peer name eth0 netns "$namespace"
        ip link set "$bridge-$last" master "$bridge" up
        ip -n "$namespace" address add "$subnet.$last/24" dev eth0
        ip -n "$namespace" link set lo up
        ip -n "$namespace" link set eth0 up
    done
}
controller_port=$(free_port $((20000 + RANDOM % 10000))) # below those that Linux gives to outgoing connections
node_port=$(free_port $((controller_port + 1)))
this=$(uname -n | cut -d. -f1)
if [ "$num_nodes" -gt 0 ]; then
    make_hosts
    controller_address=$(awk '$1 == "controller" { print $3 }' "$dir/hosts")
    nodes=$(awk '$1 != "controller" { print "NodeName=" $1, "NodeHostname=" $1, "NodeAddr=" $3 }' "$dir/hosts")
    bind="" # to all addresses of a host, which has no other, and whose name nobody resolves
else
    controller_address=127.0.0.1
    nodes="NodeName=$this NodeAddr=127.0.0.1"
    bind="CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"
fi

mkdir "$dir/state" "$dir/spool"
sed -e "s|@DIR@|$dir|; s|@CONTROLLER@|$this($controller_address)|; s|@BIND@|$bind|" \
    -e "s|@FIRST_JOB@|$((RANDOM * 1000 + 1))|" \
    -e "s|@CONTROLLER_PORT@|$controller_port|; s|@NODE_PORT@|$node_port|" "$here/slurm.conf.in" >"$dir/slurm.conf"
while read -r node; do
    echo "$node CPUs=8"
done <<<"$nodes" >>"$dir/slurm.conf"
# This version does nothing until it is asked to. Left to choose, slurmd may want systemd or writable control groups.
echo "CgroupPlugin=cgroup/v1" >"$dir/cgroup.conf"
# Where the machine has a munged of its own PMIx would use it, and the PMIx in Open MPI's wheel cannot.
echo "PMIxEnv=PMIX_MCA_psec=native" >"$dir/mpi.conf"

(umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
# --force: only warn that other users cannot enter the directory. There are none here.
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --seed-file="$dir/munged.seed" --log-file="$dir/munged.log" 2>"$dir/munged-start.log"
if [ "$num_nodes" -gt 0 ]; then
    while read -r host _; do
        "$here/host.sh" "$dir" on "$host" </dev/null
    done <"$dir/hosts"
else
    mkdir "$dir/spool/$this"
    slurmctld
    slurmd
fi

all_are_idle() { [ "$(sinfo --noheader --partition=main --format=%T 2>/dev/null)" = idle ]; }
for _ in {1..600}; do
    if all_are_idle; then
        exit 0
    fi
    sleep 0.1
done
echo "up.sh: the nodes did not become idle within a minute" >&2
false
