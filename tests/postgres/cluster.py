"""A private PostgreSQL: a cluster in a folder that goes away, as an unprivileged user, on a free port of loopback."""
import glob
import os
import shutil
import socket
import subprocess
import tempfile


def programs():
    """The folder of the newest version's programs; None: it is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-postgres-")
        self.data, self.bin, self.port = self.dir + "/data", programs(), None
        self.owner = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
        os.chmod(self.dir, 0o755)
        os.mkdir(self.data)
        if self.owner:
            shutil.chown(self.data, "nobody")
        self.run("initdb", "-D", self.data, "-U", "sluice", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync")

    def run(self, program, *args, check=True):
        r = subprocess.run([*self.owner, f"{self.bin}/{program}", *args], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check and r.returncode:
            raise SystemExit(f"{program} ended with {r.returncode}: {r.stdout}")
        return r.returncode == 0

    def start(self):
        """Again: on the same port. For the first time another program may take the port between question and answer."""
        for last in range(5):
            port = self.port or free_port()
            options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c shared_buffers=32MB"
            if self.run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.data + "/log", "-o", options, "start", check=last == 4):
                self.port, self.url = port, f"postgres://sluice@127.0.0.1:{port}/postgres"
                return

    def stop(self, how="fast"):
        self.run("pg_ctl", "-D", self.data, "-w", "-m", how, "stop")

    def sql(self, text):
        r = subprocess.run(["psql", "-qXAt", self.url, "-c", text], capture_output=True, text=True)
        if r.returncode:
            raise SystemExit(f"psql: {r.stderr}")
        return r.stdout.strip()

    def drop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
