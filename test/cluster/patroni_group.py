"""A stand-in for the REST APIs of a group's Patroni, for tests.

    patroni_group.py FILE PORT

FILE is JSON, read at each request, and what the group is: {"cluster": what
/cluster answers, "config": what /config answers, "started": {NAME: TIME},
"refuse": {PATH: [STATUS, TEXT]}}.  The first part of a request's path is the
name of the host whose Patroni it would be.  A restart makes it start later, a
switchover exchanges the leader and the first standby; what was asked with
POST is appended to FILE.log.
"""
import datetime
import http.server
import json
import os
import sys

FILE, PORT = sys.argv[1], int(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

    def begin(self):
        with open(FILE, encoding="utf-8") as file:
            group = json.load(file)
        _, name, verb = self.path.split("/", 2)
        refused = group.get("refuse", {}).get(verb)
        if refused:
            self.answer(*refused)
        return group, name, verb, bool(refused)

    def do_GET(self):
        group, name, verb, over = self.begin()
        if over:
            return
        if verb == "patroni":
            self.answer(200, {"state": "running", "postmaster_start_time": group["started"].get(name)})
        else:
            self.answer(200, group[verb])

    def do_POST(self):
        group, name, verb, over = self.begin()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with open(FILE + ".log", "a", encoding="utf-8") as log:
            log.write(f"{verb} {name} {body}\n")
        if over:
            return
        if verb == "restart":
            group["started"][name] = str(datetime.datetime.now(datetime.timezone.utc))
        else:
            members = group["cluster"]["members"]
            old = next(member for member in members if member["role"] == "leader")
            new = next(member for member in members if member["role"] != "leader")
            old["role"], new["role"] = new["role"], old["role"]
            old["state"], new["state"] = new["state"], old["state"]
        with open(FILE + ".new", "w", encoding="utf-8") as file:
            json.dump(group, file)
        os.rename(FILE + ".new", FILE)
        self.answer(200, "done")


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
server.daemon_threads = True
open(FILE + ".started", "w").close()
server.serve_forever()
