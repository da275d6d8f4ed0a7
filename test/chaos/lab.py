"""Networks, processes, and a cluster of replicated groups made of them.

Each host has a network of its own on one bridge, and each etcd; clients sit at
the bridge.  What is sent over a cut is lost and nobody is told, as with a
cable: the sender is given a hardware address that nobody has.  All of it is
within a user namespace that "run" makes.

Where that is not possible, all is on loopback addresses and nothing is cut.
"""

import datetime
import glob
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import yaml

from session import Failure, ask, ask_patiently

TOP = pathlib.Path(__file__).resolve().parents[2]
NOBODY = "02:00:00:00:00:ff"
ETCD_PORT, PEER_PORT, API_PORT, SQL_PORT = 2379, 2380, 8008, 5432
WAL_MEGABYTES = 640
PATRONI_TTL = 20        # as in patroni.yml.in
CLIENTS = "clients"


def run(*command, given=None, environment=None):
    done = subprocess.run(command, input=given, capture_output=True, text=True,
                          env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
    return done.stdout


class Network:
    """Networks by name, and the cuts between them."""

    def __init__(self, possible):
        self.possible = possible
        self.addresses = {}
        self._lock = threading.Lock()
        self._cuts = set()
        self._bridge = None
        if possible:
            run("mount", "-t", "tmpfs", "chaos", "/run")
            run("ip", "-batch", "-", given="""link set lo up
                link add chaos0 type bridge
                addr add 10.77.0.1/16 dev chaos0
                link set chaos0 up\n""")
        self.addresses[CLIENTS] = "10.77.0.1" if possible else "127.0.0.1"

    def add(self, name, high, low):
        """A network NAME with the address X.77.HIGH.LOW."""
        address = f"{'10' if self.possible else '127'}.77.{high}.{low}"
        self.addresses[name] = address
        if not self.possible:
            return address
        run("ip", "netns", "add", name)
        run("ip", "-batch", "-", given=f"""
            link add v{high}x{low} type veth peer name e0 netns {name}
            link set v{high}x{low} master chaos0 up\n""")
        run("ip", "-n", name, "-batch", "-", given=f"""
            addr add {address}/16 dev e0
            link set e0 up
            link set lo up\n""")
        return address

    def inside(self, name):
        """Words before a command that is to run there, without rights."""
        drop = ["setpriv", "--inh-caps=-all", "--ambient-caps=-all"]
        if not self.possible:
            return []
        return ["nsenter", f"--net=/run/netns/{name}"] + drop

    def cut(self, pairs):
        """Lose what the first of each pair sends to the second."""
        with self._lock:
            self._change(set(pairs) - self._cuts, "replace")
            self._cuts |= set(pairs)

    def heal(self, pairs=None):
        with self._lock:
            pairs = self._cuts if pairs is None else self._cuts & set(pairs)
            self._change(pairs, "del")
            self._cuts -= set(pairs)

    def _change(self, pairs, verb):
        words = {"replace": f"lladdr {NOBODY} nud permanent", "del": ""}[verb]
        for source in {pair[0] for pair in pairs}:
            device = "chaos0" if source == CLIENTS else "e0"
            batch = "".join(f"neigh {verb} {self.addresses[target]} {words} "
                            f"dev {device}\n"
                            for sender, target in pairs if sender == source)
            where = [] if source == CLIENTS else ["-n", source]
            run("ip", *where, "-batch", "-", given=batch)


def children(pid):
    """Pids of a process's children."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(path.split("/")[2]))
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


# what a log says of crashes, and of PANICs by the process that they end
CRASH = re.compile(rb"TRAP: |Sanitizer|\bPANIC:  |was terminated by signal (\d+)")
# signals by which we, and who shuts down at once, end processes
EXPECTED_SIGNALS = (b"9", b"3")
DISK_FULL = b"No space left on device"


def crashes(lines, forgiven):
    """Those of a log's lines that say that a program has crashed.

    A PANIC because of a full disk, which is one of the faults, is none, nor is
    the signal by which it ends: "forgiven", a set, keeps pids of these.
    """
    found = []
    for line in lines:
        crash = CRASH.search(line)
        if not crash:
            continue
        if crash[0].startswith(b"PANIC") and DISK_FULL in line:
            forgiven.update(re.findall(rb"\[(\d+)\]", line)[:1])
            continue
        pid = re.search(rb"\(PID (\d+)\) was terminated", line)
        if crash[1] in EXPECTED_SIGNALS:
            continue
        if crash[1] == b"6" and pid and pid[1] in forgiven:
            forgiven.discard(pid[1])
            continue
        found.append(line.decode("utf-8", "replace").strip())
    return found


class Daemon:
    """A program of ours in a network, with a directory and a log."""

    def __init__(self, lab, name, directory):
        self.lab, self.name, self.dir = lab, name, directory
        self.log = directory / "daemon.log"
        self.process = None
        # how far the log was looked through, what was found, and see crashes()
        self.looked, self.crashes, self.forgiven = 0, [], set()
        directory.mkdir(parents=True)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def start_program(self, command, environment=None):
        if self.alive() or self.lab.stopping:
            return
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.lab.network.inside(self.name) + command, cwd=self.dir,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
                env={**self.lab.environment, **(environment or {})})

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill(self):
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def look_for_crashes(self):
        """What the log has got of them since this was asked for last."""
        self._look_through_log()
        found, self.crashes = self.crashes, []
        return found

    def _look_through_log(self):
        if not self.log.exists():
            return
        with open(self.log, "rb") as log:
            log.seek(self.looked)
            # what is being written now is for the next time
            text = log.read().rpartition(b"\n")
        self.looked += len(text[0]) + len(text[1])
        self.crashes += crashes(text[0].split(b"\n"), self.forgiven)

    def bound_log(self, most=48 << 20):
        """Begin the log anew, keeping the former one, when it is long."""
        if self.log.exists() and self.log.stat().st_size > most:
            self._look_through_log()
            shutil.copyfile(self.log, self.dir / "daemon.log.old")
            os.truncate(self.log, 0)
            self.looked = 0

    def log_end(self, most=2 << 20):
        """The last lines of the log."""
        with open(self.log, "rb") as log:
            log.seek(max(0, self.log.stat().st_size - most))
            return log.read().decode(errors="replace")


class Etcd(Daemon):
    def __init__(self, lab, number):
        super().__init__(lab, f"etcd{number}", lab.dir / f"etcd{number}")
        self.address = lab.network.add(self.name, 200, number)

    def start(self):
        members = ",".join(f"{etcd.name}=https://{etcd.address}:{PEER_PORT}"
                           for etcd in self.lab.etcd)
        file = self.dir / "etcd.yml"
        self.lab.fill("etcd.yml.in", file, NAME=self.name, DIR=self.dir,
                      LISTEN=self.address, ADDRESS=self.address,
                      PORT=ETCD_PORT, PEER_PORT=PEER_PORT, MEMBERS=members)
        self.start_program(["etcd", "--config-file", str(file)])


class Host(Daemon):
    """A Patroni and its PostgreSQL."""

    def __init__(self, lab, group, index):
        super().__init__(lab, f"group{group}-host{index}",
                         lab.dir / f"group{group}" / f"host{index}")
        self.group, self.index = group, index
        self.address = lab.network.add(self.name, group, index)
        self.data = self.dir / "data"
        self.clock = None
        # a disk of its own for the WAL, which can be full
        self.wal_disk = self.dir / "wal"
        self.wal_disk.mkdir()
        if lab.network.possible:
            run("mount", "-t", "tmpfs", "-o", f"size={WAL_MEGABYTES}m",
                "chaos", str(self.wal_disk))
        # the last host of each group has a clock that can be set
        if index == lab.hosts and lab.clock:
            self.clock = self.dir / "clock"
            self.clock.write_text(" " * 16, encoding="ascii")
            self.set_clock(0)

    def set_clock(self, seconds):
        # in place, and as long as clock.c maps
        with open(self.clock, "r+", encoding="ascii") as file:
            file.write(f"{seconds:+d}".ljust(16))

    def conninfo(self, more=""):
        return self.lab.conninfo([self], "any", more)

    def start(self):
        file = self.dir / "patroni.yml"
        if not file.exists():
            self._configure(file)
        environment = {"LD_PRELOAD": self.lab.clock,
                       "CHAOS_CLOCK": str(self.clock)} if self.clock else None
        self.start_program([self.lab.patroni, str(file)], environment)

    def failsafe_age(self):
        """Seconds since Patroni led without etcd, by its log; None: it has not."""
        times = re.findall(r"^(\S+ [\d:]+),\d+ INFO: continue to run as a leader because failsafe",
                           self.log_end(), re.M)
        if not times:
            return None
        return (datetime.datetime.now() - datetime.datetime.fromisoformat(times[-1])).total_seconds()

    def _configure(self, file):
        lab = self.lab
        lab.fill("patroni.yml.in", file, GROUP=self.group, NAME=self.name,
                 LISTEN=self.address, ADDRESS=self.address, PORT=SQL_PORT,
                 API_PORT=API_PORT, DIR=self.dir, DATA=self.data,
                 NETWORK="10.77.0.0/16" if lab.network.possible else "127.0.0.0/8",
                 BINDIR=lab.bindir, SYNC="quorum", STRICT="true",
                 ETCD=", ".join(f"{etcd.address}:{ETCD_PORT}" for etcd in lab.etcd),
                 WATCHDOG="off", PASSFILE=lab.passfile,
                 AUTH=self.dir / "patroni_auth")
        lab.fill("patroni_auth.in", self.dir / "patroni_auth")
        # small, as nine of them share a machine
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        dcs = settings["bootstrap"]["dcs"]
        dcs["postgresql"]["parameters"]["wal_keep_size"] = "64MB"
        settings["bootstrap"]["initdb"].append({"waldir": f"{self.wal_disk}/pg_wal"})
        postgresql = settings["postgresql"]
        postgresql["basebackup"].append({"waldir": f"{self.wal_disk}/pg_wal"})
        postgresql["parameters"].update({
            "shared_buffers": "32MB", "max_wal_size": "128MB",
            "min_wal_size": "48MB", "cluster_name": self.name,
            "log_min_error_statement": "panic", "log_checkpoints": "off",
            "vecdb.recovery_interval": "1s", **lab.settings})
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")

    def postmaster(self):
        """Its pid, or None; pids are used again, so its directory counts."""
        try:
            with open(self.data / "postmaster.pid", encoding="ascii") as file:
                pid = int(file.readline())
            if os.readlink(f"/proc/{pid}/cwd") != str(self.data.resolve()):
                return None
        except (OSError, ValueError):
            return None
        return pid

    def kill_postgres(self):
        """All of it at once: stopped first, the postmaster cannot tidy up."""
        pid = self.postmaster()
        if pid is None:
            return
        send(pid, signal.SIGSTOP)
        for child in children(pid):
            send(child, signal.SIGKILL)
        send(pid, signal.SIGKILL)

    def kill_host(self):
        self.kill()
        self.kill_postgres()

    def freeze(self):
        """Everything of it; returns what thaws it."""
        pids = [self.process.pid] if self.alive() else []
        for pid in pids:
            send(pid, signal.SIGSTOP)
        pid = self.postmaster()
        if pid is not None:
            send(pid, signal.SIGSTOP)
            pids += [pid] + children(pid)
        for pid in pids:
            send(pid, signal.SIGSTOP)
        return lambda: [send(pid, signal.SIGCONT) for pid in reversed(pids)]

    def api(self, verb, path, body=None, seconds=60):
        """Patroni's REST API: its answer as text; raises when it refuses."""
        request = urllib.request.Request(
            f"https://{self.address}:{API_PORT}{path}", method=verb,
            data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=seconds,
                                        context=self.lab.tls) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read().decode()}") from error

    def facts(self):
        """(role, standbys, timeline), or None when it does not answer."""
        try:
            row = ask(self.conninfo(), """SELECT pg_is_in_recovery(),
                (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'
                    AND sync_state IN ('quorum', 'sync')
                    AND application_name LIKE 'group%'),
                (SELECT timeline_id FROM pg_control_checkpoint())""", 2)[0]
        except Failure:
            return None
        return ("standby" if row[0] == "t" else "primary", int(row[1]), int(row[2]))


class Lab:
    """All of it."""

    def __init__(self, directory, bindir, patroni, groups=3, hosts=3, settings=None):
        self.dir = pathlib.Path(directory)
        self.bindir, self.patroni, self.hosts = bindir, str(patroni), hosts
        self.settings = settings or {}
        self.network = Network(os.environ.get("CHAOS_NETWORKS") == "yes")
        # clock.c, compiled
        self.clock = os.environ.get("CHAOS_CLOCK_LIBRARY")
        self.stopping = False
        self.environment = {
            "PATH": f"{bindir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.dir), "LC_ALL": "C.UTF-8",
            "ETCD_UNSUPPORTED_ARCH": {"x86_64": "amd64", "aarch64": "arm64"}.get(
                os.uname().machine, os.uname().machine)}
        self.passfile = self.dir / "passfile"
        os.environ["PGPASSFILE"] = str(self.passfile)
        for variable in [name for name in os.environ
                         if name.startswith("PG") and name != "PGPASSFILE"]:
            del os.environ[variable]
        self._make_secrets(groups)
        self.etcd = [Etcd(self, number) for number in (1, 2, 3)]
        self.all_hosts = [Host(self, group, index)
                          for group in range(1, groups + 1)
                          for index in range(1, hosts + 1)]
        self.groups = {group: [host for host in self.all_hosts if host.group == group]
                       for group in range(1, groups + 1)}

    def _make_secrets(self, groups):
        """Passwords, and one certificate for all of these addresses."""
        roles = ("postgres", "vecdb_node", "vecdb_replication", "vecdb_rewind")
        self.passwords = {role: secrets.token_hex(16) for role in roles}
        self.passfile.write_text("".join(
            f"*:*:*:{role}:{word}\n" for role, word in self.passwords.items()),
            encoding="ascii")
        self.passfile.chmod(0o600)
        first = "10" if self.network.possible else "127"
        names = [f"IP:{first}.77.{high}.{low}"
                 for high in [*range(1, groups + 1), 200] for low in range(1, 9)]
        (self.dir / "extensions").write_text(
            "subjectAltName = " + ", ".join([*names, "IP:127.0.0.1"]), encoding="ascii")
        environment = dict(self.environment)
        if self.clock:
            # valid for a host whose clock is behind, too
            before = self.dir / "clock"
            before.write_text("-864000".ljust(16), encoding="ascii")
            environment.update(LD_PRELOAD=self.clock, CHAOS_CLOCK=str(before))
        for command in (
                "req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=chaos"
                " -keyout ca.key -out ca.crt",
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
                " -subj /CN=chaos -keyout server.key -out server.csr",
                "x509 -req -in server.csr -days 3650 -CA ca.crt -CAkey ca.key"
                " -set_serial 1 -extfile extensions -out server.crt"):
            words = ["openssl"] + command.split()
            words = [str(self.dir / word) if re.fullmatch(r"[a-z]+\.[a-z]+|extensions", word)
                     else word for word in words]
            run(*words, environment=environment)
        (self.dir / "server.key").chmod(0o600)
        self.tls = ssl.create_default_context(cafile=str(self.dir / "ca.crt"))
        self.tls.load_cert_chain(str(self.dir / "server.crt"), str(self.dir / "server.key"))

    def fill(self, template, file, **values):
        """Fill in a template of docker/ha."""
        values.update(CA=self.dir / "ca.crt", CERT=self.dir / "server.crt",
                      KEY=self.dir / "server.key",
                      **{f"PASSWORD:{role}": word for role, word in self.passwords.items()})
        text = (TOP / "docker/ha" / template).read_text(encoding="utf-8")
        text = re.sub("@([A-Z_]+(?::[a-z_]+)?)@", lambda word: str(values[word[1]]), text)
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")

    def conninfo(self, hosts, attributes="any", more=""):
        return (f"host={','.join(host.address for host in hosts)} port={SQL_PORT}"
                f" user=postgres dbname=vecdb connect_timeout=2"
                f" target_session_attrs={attributes} sslmode=verify-full"
                f" sslrootcert='{self.dir}/ca.crt' {more}")

    def leader_of(self, group, database="vecdb", more=""):
        """libpq's string that finds the primary of a group."""
        return self.conninfo(self.groups[group], "primary", f"dbname={database} {more}")

    def start(self):
        for etcd in self.etcd:
            etcd.start()
        for group in self.groups.values():
            group[0].start()
        for group in self.groups:
            self.wait(lambda group=group: self._answers(group), 60, f"group {group}")
            for host in self.groups[group][1:]:
                host.start()
        for group in self.groups:
            self._prepare(group)
        for group in self.groups:
            self.wait(lambda group=group: self.whole(group) is None, 90,
                      f"standbys of group {group}")
        for host in self.all_hosts:
            known = ask_patiently(self.leader_of(1), "SELECT count(*) FROM vecdb.catalog_host"
                                  f" WHERE host = '{host.address}'")[0][0]
            if known == "0":
                ask_patiently(self.leader_of(1), f"SELECT vecdb.add_host({host.group}, "
                              f"'{host.address}', {SQL_PORT})", 30)

    def _answers(self, group):
        try:
            return ask(self.leader_of(group, "postgres"), "SELECT 1")
        except Failure:
            return False

    def _prepare(self, group):
        """Role, database and extension, and its place in the cluster."""
        ask_patiently(self.leader_of(group, "postgres"),
                      "CREATE ROLE vecdb_node SUPERUSER LOGIN PASSWORD "
                      f"'{self.passwords['vecdb_node']}'", 30)
        ask_patiently(self.leader_of(group, "postgres"), "CREATE DATABASE vecdb", 30)
        ask_patiently(self.leader_of(group), "CREATE EXTENSION vecdb", 30)
        address = ask_patiently(self.leader_of(group), "SELECT host(inet_server_addr())")[0][0]
        function = "create_cluster" if group == 1 else "add_group"
        ask_patiently(self.leader_of(1), f"SELECT vecdb.{function}('{address}', {SQL_PORT})", 30)

    @staticmethod
    def wait(condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not there after {seconds} s")
            time.sleep(0.3)

    def leader(self, group, seconds=60):
        """The host that is primary and that has its standbys, waiting for it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for host in self.groups[group]:
                facts = host.facts()
                if facts and facts[0] == "primary" and facts[1] > 0:
                    return host
            time.sleep(0.3)
        raise RuntimeError(f"group {group} has no leader")

    def in_failsafe(self, group):
        """Do members of a group believe its leader without asking etcd?"""
        ages = [host.failsafe_age() for host in self.groups[group]]
        return any(age is not None and 0 <= age < PATRONI_TTL for age in ages)

    def whole(self, group):
        """None if all hosts of a group are there; else what is not."""
        primaries = []
        for host in self.groups[group]:
            if not host.alive():
                return f"{host.name}: Patroni does not run"
            facts = host.facts()
            if facts is None:
                return f"{host.name} does not answer"
            if facts[0] == "primary":
                primaries.append((host, facts))
        if len(primaries) != 1:
            return f"group {group} has {len(primaries)} primaries"
        standbys = primaries[0][1][1]
        if standbys != self.hosts - 1:
            return f"{primaries[0][0].name} has {standbys} standbys"
        return None

    def stop(self):
        """Everything that was started, by pid."""
        self.stopping = True
        self.network.heal()
        for daemon in self.etcd + self.all_hosts:
            daemon.signal(signal.SIGCONT)
            daemon.kill()
        for host in self.all_hosts:
            host.kill_postgres()
