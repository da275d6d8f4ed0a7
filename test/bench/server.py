"""A PostgreSQL installation, and a throw-away server run from it.

Both extensions define types of the same names and both may own the file
vector.control, so they need an installation in which vecdb comes without its
alias and "vector" is the real pgvector, and a database each.
"""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

import psycopg

SERVER_USER = "postgres"    # who runs the server when we are root


class Installation:
    """The programs and files that a pg_config speaks of."""

    def __init__(self, pg_config):
        self.pg_config = shutil.which(pg_config)
        if self.pg_config is None:
            raise SystemExit(f"bench: no program \"{pg_config}\"; set "
                             "PG_CONFIG, on Debian after "
                             "apt install postgresql-server-dev-all")
        self.bindir = self.path("bindir")
        self.pkglibdir = self.path("pkglibdir")
        self.sharedir = self.path("sharedir")

    def path(self, what):
        """One directory, asked of pg_config."""
        return pathlib.Path(subprocess.check_output(
            [self.pg_config, f"--{what}"], text=True).strip())

    def control_file(self, extension):
        return self.sharedir / "extension" / f"{extension}.control"

    def has_extension(self, extension):
        return self.control_file(extension).exists()

    def has_pgvector(self):
        """Is "vector" here the real one, not vecdb's alias?"""
        return (self.has_extension("vector") and
                "requires" not in self.control_file("vector").read_text() and
                (self.pkglibdir / "vector.so").exists())

    def copy_to(self, root):
        """A private copy below root, at the same paths.

        PostgreSQL finds its files relative to its programs, so a copy that
        keeps the layout works where it is.  Headers and libraries, which are
        only read, are links.
        """
        for path in (self.bindir, self.pkglibdir, self.sharedir):
            target = root / path.relative_to("/")
            shutil.copytree(path, target, symlinks=False, dirs_exist_ok=True)
        for what in ("includedir", "includedir-server", "libdir", "pgxs"):
            path = self.path(what)
            path = path.parents[3] if what == "pgxs" else path
            target = root / path.relative_to("/")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path)
        return Installation(str(root / self.bindir.relative_to("/") /
                                "pg_config"))


def make_private_installation(installation, root, repository, pgvector):
    """vecdb without its alias and pgvector from its source, side by side.

    pgvector is built from a copy of its directory with its own default
    flags; the user's installation and checkout stay as they are.
    """
    private = installation.copy_to(root)
    make = ["make", f"PG_CONFIG={private.pg_config}"]
    for old in private.sharedir.glob("extension/vector*"):
        old.unlink()
    if (private.pkglibdir / "vector.so").exists():
        (private.pkglibdir / "vector.so").unlink()

    print("bench: building vecdb into a private installation", flush=True)
    run_quietly([*make, "-C", str(repository), "VECTOR_ALIAS=no", "install"])

    print(f"bench: building pgvector from {pgvector}", flush=True)
    copy = root / "pgvector"
    shutil.copytree(pgvector, copy, ignore=shutil.ignore_patterns(
        ".git", "*.o", "*.so", "*.bc"))
    run_quietly([*make, "-C", str(copy), "install"])
    return private


def run_quietly(command):
    """Run a command; when it fails, show the end of what it said and stop.

    Only what a build needs is passed on: our own DATA, like the variables of
    the make that called us, would mean something else to PGXS.
    """
    environment = {name: os.environ[name]
                   for name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
                   if name in os.environ}
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n" +
                         "\n".join(done.stdout.splitlines()[-20:]))


class Server:
    """A server in a directory of its own, reached by a Unix socket only."""

    def __init__(self, installation, directory, settings):
        self.installation = installation
        self.data = directory / "data"
        self.socket = pathlib.Path(tempfile.mkdtemp(prefix="vecdb-bench-"))
        self.log = directory / "server.log"
        self.settings = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.socket}'",
            **settings}
        self.as_user = {}
        if os.geteuid() == 0:
            self.as_user = {"user": SERVER_USER, "group": SERVER_USER,
                            "extra_groups": []}
            account = pwd.getpwnam(SERVER_USER)
            for path in (directory, self.socket):
                os.chown(path, account.pw_uid, account.pw_gid)

    def _program(self, name, *arguments):
        command = [str(self.installation.bindir / name), *arguments]
        done = subprocess.run(command, cwd="/", text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, **self.as_user)
        if done.returncode != 0:
            log = self.log.read_text()[-2000:] if self.log.exists() else ""
            raise SystemExit(f"bench: {name} failed: {done.stderr}\n{log}")

    def start(self):
        """Make the data directory and start."""
        self._program("initdb", "-D", str(self.data), "-U", "postgres",
                      "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        with open(self.data / "postgresql.conf", "a",
                  encoding="utf-8") as file:
            for name, value in self.settings.items():
                file.write(f"{name} = {value}\n")
        self._start()

    def _start(self):
        self._program("pg_ctl", "-D", str(self.data), "-l", str(self.log),
                      "-w", "-t", "60", "start")

    def restart_cold(self, shared_buffers):
        """Restart with so many bytes of shared buffers and nothing cached.

        The operating system is asked to forget the server's own files only,
        which needs no privilege; they are on disk by then.
        """
        with open(self.data / "postgresql.conf", "a",
                  encoding="utf-8") as file:
            file.write(f"shared_buffers = '{shared_buffers // 1024}kB'\n")
        self._program("pg_ctl", "-D", str(self.data), "-w", "-m", "fast",
                      "stop")
        os.sync()
        for path in (self.data / "base").rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0,
                                     os.POSIX_FADV_DONTNEED)
        self._start()

    def stop(self):
        """Stop, if it runs, and leave no socket directory behind."""
        if (self.data / "postmaster.pid").exists():
            self._program("pg_ctl", "-D", str(self.data), "-w", "-m", "fast",
                          "stop")
        shutil.rmtree(self.socket, ignore_errors=True)

    @contextlib.contextmanager
    def session(self, database, options=""):
        """An autocommit connection; options as in PGOPTIONS."""
        with psycopg.connect(host=str(self.socket), user="postgres",
                             dbname=database, options=options,
                             autocommit=True) as connection:
            yield connection

    @contextlib.contextmanager
    def awake(self):
        """No processor goes to sleep: see awake.c."""
        spinners = [subprocess.Popen([os.environ["BENCH_AWAKE"]])
                    for _ in range(os.cpu_count())]
        try:
            yield
        finally:
            for spinner in spinners:
                spinner.kill()
                spinner.wait()

    def pgbench(self, database, script, arguments, options=""):
        """Mean milliseconds of the script's last statement, one client.

        Statements are prepared once and executed with parameters (-M
        prepared); the figure is pgbench's own per-statement latency (-r), so
        that a statement that only fetches the parameter is not counted.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            with self.awake():
                done = subprocess.run(
                    [str(self.installation.bindir / "pgbench"), "-n", "-r",
                     "-M", "prepared", "-c", "1", "-j", "1",
                     "--random-seed=42", "-f", file.name, *arguments, database],
                    env={**os.environ, "PGHOST": str(self.socket),
                         "PGUSER": "postgres", "PGOPTIONS": options},
                    text=True, capture_output=True)
        if done.returncode != 0 or "aborted" in done.stderr:
            raise SystemExit(f"bench: pgbench failed: {done.stderr}")
        latencies = re.findall(r"^ +([0-9.]+) +(?:[0-9]+ +)?\S", done.stdout,
                               re.MULTILINE)
        return float(latencies[-1])
