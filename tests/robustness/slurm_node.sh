#!/bin/bash
# A Slurm of one node on this machine, as root, with Debian's packages and nothing outside of one folder:
#
#     apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge
#     tests/robustness/slurm_node.sh start DIR      # says which SLURM_CONF to export
#     tests/robustness/slurm_node.sh stop DIR
#
# Two partitions: jobs of `high` push jobs of `low` back into the queue. The node pretends to have two GPUs.
# tests/robustness/slurm_study.py puts a study through it.
set -euo pipefail
what=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
host=$(hostname -s)

stop() {
    for name in slurmd slurmctld munged; do
        if [ -s "$dir/$name.pid" ]; then
            kill "$(cat "$dir/$name.pid")" 2>/dev/null || true
            rm -f "$dir/$name.pid"
        fi
    done
}

if [ "$what" = stop ]; then
    stop
    exit
fi

rm -rf "$dir/state" "$dir/spool"  # a Slurm of an earlier start remembers faults of its node
mkdir -p "$dir/state" "$dir/spool"
chmod 755 "$dir"
if [ ! -s "$dir/munge.key" ]; then
    (umask 077 && head -c 128 /dev/urandom > "$dir/munge.key")
fi
munged --force --socket="$dir/munge.socket" --key-file="$dir/munge.key" --pid-file="$dir/munged.pid" \
    --seed-file="$dir/munge.seed" --log-file="$dir/munged.log"
# cred_expire: a job that is requeued waits as long as a credential is good, two minutes by default
cat > "$dir/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=10
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=10
SchedulerParameters=sched_interval=5,bf_interval=5
ReturnToService=2
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) Gres=gpu:2 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=high Nodes=$host PriorityTier=10 PreemptMode=OFF State=UP
END
printf "Name=gpu File=%s\n" /dev/null /dev/zero > "$dir/gres.conf"  # any two devices
export SLURM_CONF=$dir/slurm.conf
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF"
for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
        sinfo
        echo "export SLURM_CONF=$SLURM_CONF"
        exit
    fi
    sleep 1
done
tail -n 5 "$dir"/slurm*.log
stop
exit 1
