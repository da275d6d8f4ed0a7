#!/usr/bin/env python3
"""Restart the hosts of a group one after the other, while the group goes on.

    rolling_restart.py [OPTION]... URL...

URL is Patroni's REST API of a host of the group, such as
https://10.0.0.5:8008, or of several: each has to answer.  The other hosts are
found from there.

Hosts that do not run come first, then standbys, then the leader, after the
lead was given to another host.  Each has to be back, streaming, synchronous
where the group is, and ready, before the next one is touched.  The first that
is not back in time is the last that was touched: mend it, and call this again.
No host is touched when the group would have no leader while it is away, or
not the standbys that its commits wait for.

    --auth FILE         how to log in to Patroni, as vecdb.patroni_auth says it:
                        lines "cacert = ...", "cert", "key", "username",
                        "password"
    --connect OPTIONS   libpq's options for SQL on a host, without host and
                        port: then vecdb.ready() is asked of each
    --through OPTIONS   libpq's options of a node of another group, which has
                        the lead given away by vecdb.step_down(); else Patroni
                        is asked for it
    --install COMMAND   executed before a host is restarted: installs what is
                        new there
    --restart COMMAND   restarts a host, in place of Patroni
    --version VERSION   of vecdb's library, wants --connect: hosts that run it
                        are left alone, and others have to afterwards
    --since TIME        hosts that were started later are left alone
    --timeout SECONDS   for each step (180)
    --dry-run           say what would be done, and do nothing

COMMAND is executed by a shell, with the host in VECDB_MEMBER (its name in
Patroni), VECDB_HOST, VECDB_PORT (of PostgreSQL) and VECDB_API.

Needs Python 3.7 or newer, and psql for --connect and --through.  See
docs/high-availability.md.
"""
import argparse
import base64
import datetime
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

# a standby that is further behind than this, in bytes, is not back
MAX_LAG = 16 * 1024 * 1024
# seconds that a state which may pass by is given, before it is believed
SETTLE = 15
SYNCHRONOUS = ("sync_standby", "quorum_standby")


class Refused(Exception):
    """Ends this script, with a message for who has called it."""


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def read_auth(path):
    """The settings in a file such as docker/ha/patroni_auth.in makes."""
    settings = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Refused(f"The file {path} cannot be read: {error.strerror}.") from None
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in ("cacert", "cert", "key", "username", "password"):
            raise Refused(f"Line {number} of {path} is not understood.")
        settings[name] = value
    return settings


class Patroni:
    """The REST APIs of a group's hosts."""

    def __init__(self, urls, settings):
        self.urls = [url.rstrip("/") for url in urls]
        self.headers = {"Content-Type": "application/json"}
        if "username" in settings:
            pair = f"{settings['username']}:{settings.get('password', '')}"
            self.headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        try:
            self.context = ssl.create_default_context(cafile=settings.get("cacert"))
            if "cert" in settings:
                self.context.load_cert_chain(settings["cert"], settings.get("key"))
        except OSError as error:
            raise Refused(f"The certificates for Patroni cannot be used: {error}.") from None

    def ask(self, url, path, body=None, timeout=5):
        """Status and text of an answer; status 0 and the reason if there is none."""
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(url + path, data, self.headers)
            context = self.context if url.startswith("https:") else None
            with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
                return answer.status, answer.read().decode(errors="replace").strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace").strip()
        except (OSError, ValueError) as error:
            return 0, str(getattr(error, "reason", error))

    def read(self, path):
        """What the first API that answers says, as JSON."""
        problems = []
        for url in self.urls:
            status, text = self.ask(url, path)
            if status == 200:
                try:
                    return json.loads(text)
                except ValueError:
                    text = "it answers, but not as Patroni does"
            problems.append(f"{url}: {text}")
        raise Refused("No Patroni of the group can be asked.\n" + "\n".join(problems))

    def facts(self, member):
        """What Patroni of a host says of itself; empty if it says nothing."""
        status, text = self.ask(member.api, "/patroni")
        try:
            return json.loads(text) if status else {}
        except ValueError:
            return {}

    def change(self, url, path, body, timeout, what):
        status, text = self.ask(url, path, body, timeout)
        if status in (401, 403):
            raise Refused(f"Patroni wants a certificate or a password to {what}; see --auth.\n{text}")
        if status not in (200, 202):
            raise Refused(f"Patroni does not {what}: {text}")


class Member:
    """A host, as Patroni sees it."""

    def __init__(self, facts):
        self.name = facts["name"]
        self.role = facts.get("role", "")
        self.state = facts.get("state", "unknown")
        self.host = facts.get("host", "")
        self.port = facts.get("port", 5432)
        self.api = facts.get("api_url", "").rpartition("/patroni")[0]
        self.timeline = facts.get("timeline")
        self.lag = facts.get("lag")

    def is_leader(self):
        return self.role == "leader"

    def runs(self):
        return self.state in ("running", "streaming", "in archive recovery")

    def environment(self):
        return dict(os.environ, VECDB_MEMBER=self.name, VECDB_HOST=self.host,
                    VECDB_PORT=str(self.port), VECDB_API=self.api)


class Group:
    """All hosts of the group, at one moment."""

    def __init__(self, patroni):
        facts = patroni.read("/cluster")
        config = patroni.read("/config")
        self.scope = facts.get("scope", "?")
        self.paused = bool(facts.get("pause"))
        self.members = [Member(member) for member in facts["members"]]
        self.leader = next((m for m in self.members if m.is_leader() and m.runs()), None)
        mode = config.get("synchronous_mode") or False
        self.synchronous = mode not in (False, "off")
        self.awaited = 0
        if self.synchronous and config.get("synchronous_mode_strict"):
            self.awaited = int(config.get("synchronous_node_count") or 1)
        # whoever answers is asked, when the first one is away
        for member in self.members:
            if member.api and member.api not in patroni.urls:
                patroni.urls.append(member.api)

    def member(self, name):
        for member in self.members:
            if member.name == name:
                return member
        raise Refused(f"{name} is no longer a host of {self.scope}.")

    def complaint(self, member):
        """What keeps a host from being counted on; empty if nothing does."""
        if not member.runs():
            return f"its state is \"{member.state}\""
        if member is self.leader:
            return ""
        if self.leader is None:
            return "the group has no leader"
        if member.is_leader():
            return "there are two leaders"
        if member.state != "streaming":
            return "it does not stream from the leader"
        if member.timeline != self.leader.timeline:
            return f"it is on timeline {member.timeline}, and the leader on {self.leader.timeline}"
        if not isinstance(member.lag, int) or member.lag > MAX_LAG:
            return f"it is {member.lag} bytes behind"
        if self.synchronous and member.role not in SYNCHRONOUS:
            return "it is no synchronous standby"
        return ""

    def objection(self, member):
        """Why that host cannot be taken away now; empty if it can be."""
        if self.paused:
            return (f"{self.scope} is in maintenance, and would elect nobody"
                    " (patronictl resume, or vecdb.exit_maintenance(), ends it)")
        if len(self.members) == 1:
            return (f"{self.scope} has one host, which nobody can stand in for;"
                    " restart it when its clients can do without")
        if self.leader is None:
            return f"{self.scope} has no leader"
        others = {m.name: self.complaint(m) for m in self.members if m.name != member.name}
        sound = [name for name, complaint in others.items() if not complaint]
        if len(sound) >= 1 + self.awaited:
            return ""
        return (f"without {member.name} {self.scope} would have {len(sound)} of the"
                f" {1 + self.awaited} hosts that it cannot do without"
                + "".join(f"\n{name}: {text}" for name, text in others.items() if text))


class Roll:
    """The work, from the first host to the last."""

    def __init__(self, options):
        self.options = options
        self.patroni = Patroni(options.urls, read_auth(options.auth) if options.auth else {})
        self.done = set()
        self.touched = None

    # --- looking ---

    def sql(self, connection, text, timeout=30):
        """One value; raises Refused with the server's message."""
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d",
                   connection, "-c", text]
        try:
            answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                    text=True, timeout=timeout, check=False)
        except FileNotFoundError:
            raise Refused("There is no psql, which --connect and --through need.") from None
        except subprocess.TimeoutExpired:
            raise Refused(f"no answer within {timeout} s") from None
        if answer.returncode != 0:
            raise Refused(answer.stderr.strip())
        return answer.stdout.strip()

    def on_host(self, member, text):
        host = member.host.replace("\\", "\\\\").replace("'", "\\'")
        return self.sql(f"{self.options.connect} host='{host}' port={member.port}"
                        " connect_timeout=5", text)

    def version(self, member):
        return self.on_host(member, "SELECT pg_catalog.current_setting('vecdb.library_version', true)")

    def started(self, member):
        """When its PostgreSQL was started; None if that is not to be had."""
        status, text = self.patroni.ask(member.api, "/patroni")
        if status == 0:
            return None
        try:
            return datetime.datetime.fromisoformat(json.loads(text)["postmaster_start_time"])
        except (KeyError, TypeError, ValueError):
            return None

    def is_done(self, member):
        if member.name in self.done:
            return True
        if not member.runs() or not (self.options.version or self.options.since):
            return False
        if self.options.since:
            started = self.started(member)
            if started is None or started <= self.options.since:
                return False
        if self.options.version:
            try:
                return self.version(member) == self.options.version
            except Refused:
                return False
        return True

    def next_member(self, group):
        """Who is to be restarted next; None when all are done."""
        todo = [m for m in group.members if not self.is_done(m)]
        todo.sort(key=lambda m: (m.runs(), m.is_leader(), m.name))
        return todo[0] if todo else None

    def await_state(self, what, seconds, look):
        """Until LOOK, of a fresh Group, returns an empty complaint."""
        end = time.monotonic() + seconds
        while True:
            try:
                complaint = look(Group(self.patroni))
            except Refused as refused:
                complaint = str(refused)
            if not complaint:
                return
            if time.monotonic() > end:
                raise Refused(f"{what} within {seconds} s: {complaint}")
            time.sleep(0.5)

    # --- doing ---

    def run_command(self, command, member, what):
        try:
            done = subprocess.run(["sh", "-c", command], env=member.environment(),
                                  stdin=subprocess.DEVNULL, check=False,
                                  timeout=self.options.timeout)
        except subprocess.TimeoutExpired:
            raise Refused(f"{what} on {member.name} takes longer than {self.options.timeout} s.") from None
        if done.returncode != 0:
            raise Refused(f"{what} on {member.name} failed, with exit code {done.returncode}.")

    def give_lead_away(self, group):
        leader = group.leader
        say(f"{leader.name}: gives the lead away")
        timeout = self.options.timeout
        if self.options.through:
            number = self.on_host(leader, "SELECT vecdb.local_group()")
            self.sql(self.options.through, f"SELECT vecdb.step_down({int(number)}, {timeout})", timeout + 30)
        else:
            # until then nobody would take over
            self.await_state("Patroni's failsafe mode does not end", timeout, self.in_failsafe)
            self.patroni.change(leader.api, "/switchover", {"leader": leader.name}, timeout,
                                f"give the lead of {group.scope} to another host")
        self.await_state(f"{leader.name} is no standby of another leader", timeout,
                         lambda now: "it has the lead" if now.leader and now.leader.name == leader.name
                         else now.complaint(now.member(leader.name)))
        say(f"{Group(self.patroni).leader.name}: has the lead")

    def in_failsafe(self, group):
        """Who believes the leader without asking etcd; empty if nobody does."""
        return ", ".join(m.name for m in group.members
                         if self.patroni.facts(m).get("failsafe_mode_is_active"))

    def restart(self, member):
        if self.options.restart:
            self.run_command(self.options.restart, member, "The restart")
            return
        # only as what it was taken for: the lead may have moved meanwhile
        body = {"role": "replica"} if member.runs() else {}
        self.patroni.change(member.api, "/restart", body, self.options.timeout, f"restart {member.name}")

    def is_back(self, group, name, before):
        """What is missing of a host that was restarted; empty if nothing is."""
        member = group.member(name)
        complaint = group.complaint(member)
        if complaint:
            return complaint
        started = self.started(member)
        if started is None or started == before:
            return "it was not restarted"
        if not self.options.connect:
            return ""
        if self.options.version:
            version = self.version(member)
            if version != self.options.version:
                return f"it runs version {version} of the library, and not {self.options.version}"
        if self.on_host(member, "SELECT vecdb.ready()") != "t":
            return "vecdb.ready() is false there; vecdb.health() says why"
        return ""

    def roll_member(self, member):
        """Restart one host, which may have the lead."""
        name = member.name
        self.await_state(f"{name} cannot be taken away", min(SETTLE, self.options.timeout),
                         lambda group: group.objection(group.member(name)))
        group = Group(self.patroni)
        if group.leader.name == name:
            self.give_lead_away(group)
            member = Group(self.patroni).member(name)
        self.touched = name
        if self.options.install:
            say(f"{name}: installs")
            self.run_command(self.options.install, member, "Installing")
        before = self.started(member)
        say(f"{name}: restarts")
        self.restart(member)
        self.await_state(f"{name} is not back", self.options.timeout,
                         lambda group: self.is_back(group, name, before))
        say(f"{name}: is back")
        self.touched = None
        self.done.add(name)

    def check(self):
        """Refuse what is wrong with the options, before anything is done."""
        if self.options.version and not self.options.connect:
            raise Refused("--version wants --connect, since vecdb's version is asked for in SQL.")
        if self.options.through and not self.options.connect:
            raise Refused("--through wants --connect, to ask a host for the number of its group.")
        if self.options.timeout < 1:
            raise Refused("--timeout wants a number of seconds from 1 on.")
        # a host that is gone for long is in no list of Patroni's
        for url in self.options.urls:
            status, text = self.patroni.ask(url.rstrip("/"), "/patroni")
            if status == 0:
                raise Refused(f"{url} does not answer: {text}")

    def run(self):
        self.check()
        group = Group(self.patroni)
        member = self.next_member(group)
        if self.options.dry_run:
            for each in sorted(group.members, key=lambda m: (m.runs(), m.is_leader(), m.name)):
                done = " (left alone)" if self.is_done(each) else ""
                print(f"{each.name}: {each.role}, {each.state}{done}")
            if member is not None and group.objection(member):
                raise Refused(group.objection(member))
            return
        if member is None:
            say(f"{group.scope}: all hosts are left alone")
            return
        while member is not None:
            self.roll_member(member)
            member = self.next_member(Group(self.patroni))
        self.await_state("Not all hosts are as they should be", self.options.timeout,
                         lambda now: "; ".join(f"{m.name}: {now.complaint(m)}" for m in now.members
                                               if now.complaint(m)))
        say(f"{group.scope}: all hosts are done")


def time_of(text):
    moment = datetime.datetime.fromisoformat(text)
    return moment.astimezone() if moment.tzinfo is None else moment


def main():
    parser = argparse.ArgumentParser(
        usage="rolling_restart.py [OPTION]... URL..., or --help", add_help=False, allow_abbrev=False)
    for name in ("--auth", "--connect", "--through", "--install", "--restart", "--version"):
        parser.add_argument(name)
    parser.add_argument("--since", type=time_of)
    parser.add_argument("--timeout", type=int, default=180)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("urls", nargs="*")
    options = parser.parse_args()
    if options.help:
        print(__doc__)
        return 0
    if not options.urls:
        print("The address of a Patroni of the group is missing; --help says more.", file=sys.stderr)
        return 2
    began = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    roll = None
    try:
        roll = Roll(options)
        roll.run()
        return 0
    except Refused as refused:
        print(refused, file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    if roll and (roll.done or roll.touched):
        if roll.touched:
            print(f"Look after {roll.touched}; no other host was touched after it.", file=sys.stderr)
        since = "" if options.version or options.since else f" --since '{began}'"
        print(f"To go on afterwards, call this again as before{since and ', with' + since}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
