"""A real Slurm of one node, started by hand and stopped again: munged, slurmctld and slurmd, on loopback alone.

python tests/cluster/slurm_node.py start     leaves it running, to try a profile on it
python tests/cluster/slurm_node.py stop
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# `srun` within a job finds it nowhere else
CONFIGURATION = Path("/etc/slurm/slurm.conf")
GRES = CONFIGURATION.with_name("gres.conf")
STATE = Path("/var/lib/defectbench-slurm")
MUNGE = Path("/run/munge/munged.pid")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scancel", "squeue", "srun")
PATIENCE_S = 60
MADE = "# made by tests/cluster/slurm_node.py"
TEXT = """{made}
ClusterName=defectbench
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={state}/ctld
SlurmdSpoolDir={state}/d
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=2
SlurmdParameters=config_overrides
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:fake:1
PartitionName=main Nodes={host} Default=YES State=UP MaxTime=INFINITE
"""


def why_not():
    """What is in the way of a Slurm here; empty where nothing is."""
    if os.geteuid():
        return "Slurm is started by root alone"
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        return f"{missing[0]} is missing: apt-get install --no-install-recommends slurm-wlm munge"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text().startswith(MADE):
        return f"{CONFIGURATION} is somebody's own"
    if _runs(STATE / "slurmctld.pid"):
        return "one runs already; stop it: python tests/cluster/slurm_node.py stop"
    return ""


def start(memory_mb=16000):
    """Start the daemons and wait until the node takes jobs."""
    stop()
    host = socket.gethostname()
    for name in ("ctld", "d"):
        (STATE / name).mkdir(parents=True)
    made = {"made": MADE, "host": host, "state": STATE, "cpus": os.cpu_count()}
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(TEXT.format(**made, memory_mb=memory_mb))
    GRES.write_text(f"NodeName={host} Name=gpu Type=fake File=/dev/null\n")
    for folder in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
        subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", folder], check=True)
    if not _runs(MUNGE):
        subprocess.run(["runuser", "-u", "munge", "--", "/usr/sbin/munged"], check=True)
    for daemon in ("slurmctld", "slurmd"):
        subprocess.run([f"/usr/sbin/{daemon}"], check=True)
    _wait_until(lambda: "idle" in _said("sinfo", "--noheader", "--format=%t"))


def stop():
    """End the daemons that were started here, by the numbers that they noted, and remove their files."""
    for name in ("slurmd", "slurmctld"):
        pid_file = STATE / f"{name}.pid"
        if _runs(pid_file):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
            _wait_until(lambda file=pid_file: not _runs(file))
    if STATE.exists() and _runs(MUNGE):
        os.kill(int(MUNGE.read_text()), signal.SIGTERM)
    shutil.rmtree(STATE, ignore_errors=True)
    if CONFIGURATION.exists() and CONFIGURATION.read_text().startswith(MADE):
        CONFIGURATION.unlink()
        GRES.unlink(missing_ok=True)


@contextmanager
def slurm_node():
    """A Slurm while the block runs."""
    try:
        start()
        yield
    finally:
        stop()


def _runs(pid_file):
    with suppress(OSError, ValueError):
        command = Path(f"/proc/{int(pid_file.read_text())}/comm").read_text().strip()
        return command == pid_file.stem
    return False


def _said(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def _wait_until(is_so):
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"Slurm does not come up; see {STATE}/*.log")
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1:] == ["stop"]:
        stop()
    elif reason := why_not():
        sys.exit(reason)
    else:
        start()
