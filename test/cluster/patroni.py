"""A stand-in for the REST API of one group's Patroni, for tests.

    patroni.py DIRECTORY PORT

It serves what vecdb asks of it, and behaves as the files in DIRECTORY say,
which the test writes and this reads at each request:

    names       lines "name host port"; the first part of the path of a request
                is the name of the host whose Patroni it would be
    pause       exists: the group is in maintenance
    failsafe    exists: etcd is out of reach, or was a short time ago
    refuse      the answer to a switchover: a status, a space, and a text
    silent      exists: nothing is answered
    password    user:password that changes need
    history     the answer to /history

A switchover is written to DIRECTORY/switchover, for the test to carry out.
Everything that is asked is written to DIRECTORY/log.
"""
import base64
import http.server
import json
import os
import sys
import time

DIRECTORY, PORT = sys.argv[1], int(sys.argv[2])


def path_of(name):
    return os.path.join(DIRECTORY, name)


def read(name):
    try:
        with open(path_of(name)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self, status, body):
        if not isinstance(body, str):
            body = json.dumps(body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def may_change(self):
        password = read("password")
        if password is None:
            return True
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(given).decode() == password:
            return True
        self.answer(401, "no auth header received")
        return False

    def begin(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        with open(path_of("log"), "a") as file:
            file.write(f"{self.command} {self.path} {body}\n")
        while read("silent") is not None:
            time.sleep(0.1)
        _, name, verb = self.path.split("/", 2)
        return name, verb, json.loads(body) if body else None

    def do_GET(self):
        name, verb, _ = self.begin()
        paused = read("pause") is not None
        if verb == "patroni":
            answer = {"state": "running", "patroni": {"version": "4.1.0", "name": name}}
            if paused:
                answer["pause"] = True
            if read("failsafe") is not None:
                answer["failsafe_mode_is_active"] = True
            self.answer(200, answer)
        elif verb == "config":
            self.answer(200, {"ttl": 20, "pause": True} if paused else {"ttl": 20})
        elif verb == "history" and read("history") is not None:
            self.answer(200, read("history"))
        else:
            self.answer(404, "not here")

    def do_PATCH(self):
        _, verb, body = self.begin()
        if not self.may_change():
            return
        if body["pause"]:
            open(path_of("pause"), "w").close()
        elif read("pause") is not None:
            os.unlink(path_of("pause"))
        self.answer(200, {"ttl": 20})

    def do_POST(self):
        _, verb, body = self.begin()
        if not self.may_change():
            return
        refuse = read("refuse")
        if refuse:
            status, text = refuse.split(" ", 1)
            self.answer(int(status), text)
            return
        with open(path_of("switchover.new"), "w") as file:
            file.write(f"{body['leader']} {body.get('candidate', '')}")
        os.rename(path_of("switchover.new"), path_of("switchover"))
        self.answer(200, "Successfully switched over")


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
server.daemon_threads = True
open(path_of("started"), "w").close()
server.serve_forever()
