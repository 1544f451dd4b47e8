#!/bin/sh
# A SLURM cluster of one node, this Debian machine, to try `sweep.py` and validation/slurm.py on. As root; it
# overwrites /etc/slurm/slurm.conf. Before: apt-get install slurmctld slurmd slurm-client munge
set -e
mkdir -p /run/munge /var/log/slurm /var/spool/slurmctld /var/spool/slurmd /var/log/munge /var/lib/munge
[ -f /etc/munge/munge.key ] || (dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key 2>/dev/null)
chown -R munge: /etc/munge /run/munge /var/log/munge /var/lib/munge; chmod 400 /etc/munge/munge.key; chmod 755 /run/munge
su -s /bin/sh munge -c /usr/sbin/munged || true
H=$(hostname -s)
mkdir -p /etc/slurm
cat > /etc/slurm/slurm.conf <<C
ClusterName=one
SlurmctldHost=$H(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
MailProg=/bin/true
NodeName=$H NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=normal Nodes=$H Default=YES MaxTime=1-0 State=UP
C
slurmctld; sleep 1; slurmd; sleep 3; sinfo
