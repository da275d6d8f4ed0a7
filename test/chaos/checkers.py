"""Is everything there that was acknowledged, and nothing else?

Each function looks at the whole cluster, when nothing is written, and returns
sentences on what is wrong, none if all is well, and figures to be added up.
"""

import collections
import concurrent.futures
import time
import zlib

from clients import ACCOUNTS, OPENING, vector
from session import Failure, ask, ask_patiently

OWN_ROWS = "options='-c vecdb.internal=on -c enable_seqscan=off -c hnsw.ef_search=100'"
# the same, through all of an index
WHOLE_INDEX = OWN_ROWS.replace("ef_search=100", "ef_search=100000")
# how many of a host's rows a search with ef_search = 100 may pass by
PASSED_BY = 1 / 1000


def few(values):
    values = sorted(values)
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def patient(lab, sql, group=1, seconds=60, each=60):
    """Rows of a query through a primary, which may still be starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask(lab.leader_of(group), sql, each)
        except Failure:
            if time.monotonic() > end:
                raise
        time.sleep(0.5)


def check_rows(lab, history):
    """The set."""
    rows = patient(lab, "SELECT id, tx, embedding FROM items")
    found = {int(row): int(transaction) for row, transaction, _ in rows}
    known = {**history.kept, **history.rows}
    lost = [row for row, (state, _) in known.items()
            if state == "done" and row not in found]
    phantom = [row for row in found if row not in known or known[row][0] == "failed"]
    recovered = [row for row in found if row in known and known[row][0] == "unknown"]
    changed = [int(row) for row, _, value in rows if value != vector(int(row))]
    wrong = []
    if len(rows) != len(found):
        wrong.append(f"set: {len(rows) - len(found)} rows are there twice")
    if lost:
        wrong.append(f"set: {len(lost)} acknowledged rows are lost: {few(lost)}")
    if phantom:
        wrong.append(f"set: {len(phantom)} rows are there that failed, or were not sent or "
                     f"deleted: {few(phantom)}")
    if changed:
        wrong.append(f"set: {len(changed)} rows have another value: {few(changed)}")
    parts = collections.Counter(tx for row, tx in found.items())
    whole = collections.Counter(tx for _, tx in known.values())
    halved = [tx for tx, count in parts.items() if whole[tx] not in (0, count)]
    if halved:
        wrong.append(f"set: {len(halved)} transactions are there by half: {few(halved)}")
    # those of the former round are counted already
    recovered = [row for row in recovered if row in history.rows]
    states = collections.Counter(state for state, _ in history.rows.values())
    return wrong, {"acknowledged": states["done"], "lost": len(lost),
                   "unknown": states["unknown"], "recovered": len(recovered),
                   "failed": states["failed"], "unexpected": len(phantom)}


def check_bank(lab, history, clients):
    wrong = []
    total = patient(lab, "SELECT sum(balance), count(*) FROM accounts")[0]
    if total != [str(clients * ACCOUNTS * OPENING), str(clients * ACCOUNTS)]:
        wrong.append(f"bank: the sum of all accounts is {total}")
    odd = patient(lab, f"""SELECT a.id FROM accounts a LEFT JOIN (
        SELECT id, sum(change) AS change FROM (
            SELECT source AS id, -amount AS change FROM ledger
            UNION ALL SELECT target, amount FROM ledger) both_ways GROUP BY id) l
        ON l.id = a.id WHERE a.balance <> {OPENING} + coalesce(l.change, 0)""")
    if odd:
        wrong.append(f"bank: accounts differ from their ledger: {few(int(row[0]) for row in odd)}")
    ledger = [int(row[0]) for row in patient(lab, "SELECT id FROM ledger")]
    there = set(ledger)
    if len(ledger) != len(there):
        wrong.append("bank: transfers are there twice")
    lost = [number for number, state in history.transfers.items()
            if state == "done" and number not in there]
    phantom = [number for number in there
               if history.transfers.get(number, "failed") == "failed"]
    if lost:
        wrong.append(f"bank: acknowledged transfers are lost: {few(lost)}")
    if phantom:
        wrong.append(f"bank: transfers are there that failed, or that nobody sent: "
                     f"{few(phantom)}")
    return wrong, {"lost": len(lost)}


def check_lists(lab, history):
    wrong = []
    first = history.round * 1000
    lists = {int(key): entries for key, entries in patient(
        lab, f"SELECT id, entries FROM lists WHERE id >= {first} AND id < {first + 1000}")}
    place = collections.defaultdict(dict)
    for key, entries in lists.items():
        numbers = [int(word) for word in entries.split()]
        if len(numbers) != len(set(numbers)):
            wrong.append(f"list {key}: something was appended twice")
        for index, number in enumerate(numbers):
            place[number][key] = index
    lost = 0
    by_key = collections.defaultdict(list)
    for number, (state, keys, began, ended) in history.appends.items():
        there = sorted(place.pop(number, {}).items())
        if state == "done" and len(there) != len(keys):
            lost += 1
            wrong.append(f"lists {keys}: the acknowledged append {number} is lost")
        elif state == "failed" and there:
            wrong.append(f"lists {keys}: the failed append {number} is there")
        elif len(there) not in (0, len(keys)):
            wrong.append(f"lists {keys}: append {number} is there by half")
        if state == "done":
            for key, index in there:
                by_key[key].append((index, began, ended, number))
    if place:
        wrong.append(f"lists: nobody appended {few(place)}")
    for key, appends in by_key.items():
        # in the order of the list none may begin after a later one had ended
        earliest = float("inf")
        for _, began, ended, number in sorted(appends, reverse=True):
            if began > earliest:
                wrong.append(f"list {key}: append {number} stands before an older one")
            earliest = min(earliest, ended)
    for key, length, checksum in history.lists_seen:
        if zlib.crc32(lists.get(key, "")[:length].encode()) != checksum:
            wrong.append(f"list {key}: what was read, of {length} bytes, is not how it began")
    return wrong, {"lost": lost}


def check_registers(lab, history, keys):
    wrong = []
    for group, key in keys.items():
        value = int(patient(lab, f"SELECT value FROM registers WHERE id = {key}")[0][0])
        if value < history.registers[group][-1][0]:
            wrong.append(f"register of group {group}: {value}, and "
                         f"{history.registers[group][-1][0]} was acknowledged")
    return wrong, {}


def check_members(lab, history):
    """Every host has its rows, in the table and in the index."""
    states = {row: state for row, (state, _) in {**history.kept, **history.rows}.items()}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(lambda group: check_hosts(lab, group, states), lab.groups)
        return [text for texts in found for text in texts], {}


def check_hosts(lab, group, states):
    """The hosts of one group."""
    wrong = []
    expected = ask_patiently(lab.leader_of(group, more=OWN_ROWS), CONTENT, 60)[0]
    for host in lab.groups[group]:
        if has_content(host, expected):
            wrong += check_index(host, states, len(states) / len(lab.groups))
        else:
            wrong.append(f"{host.name} does not have the rows of its group")
    return wrong


# of each table, how many rows a host has and a sum that says which
CONTENT = "SELECT " + ", ".join(
    f"(SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {table} t)"
    for table in ("items", "accounts", "ledger", "lists", "registers"))


# how long a standby may be behind when nothing is written
CONTENT_SECONDS = 60


def has_content(host, expected):
    """Does a host have what is expected, or will soon?"""
    end = time.monotonic() + CONTENT_SECONDS
    while True:
        try:
            if ask(host.conninfo(OWN_ROWS), CONTENT, 60)[0] == expected:
                return True
        except Failure:
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.5)


def find_missed(host, options, rows=None):
    """Which rows, of those or of all, a search for their own value misses."""
    among = f"AND a.id IN ({', '.join(map(str, rows))})" if rows else ""
    return [int(row[0]) for row in ask_patiently(host.conninfo(options), f"""
        SELECT a.id FROM items a WHERE NOT EXISTS (
            SELECT FROM (SELECT b.id FROM items b
                ORDER BY b.embedding <-> a.embedding LIMIT 5) near
            WHERE near.id = a.id) {among}""", 300)]


def check_index(host, states, about):
    """Each acknowledged row by way of the index, on a host that has about so many."""
    wrong = []
    missed = [row for row in find_missed(host, OWN_ROWS) if states.get(row) == "done"]
    if len(missed) > PASSED_BY * about:
        wrong.append(f"{host.name}: searches do not find {len(missed)} of about "
                     f"{about:.0f} rows: {few(missed)}")
    lost = find_missed(host, WHOLE_INDEX, missed) if missed else []
    if lost:
        wrong.append(f"{host.name}: the index does not have {few(lost)}")
    for row in ask_patiently(host.conninfo(OWN_ROWS), """
            SELECT i.indexrelid::regclass, v.* FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam,
            LATERAL vecdb.verify_index(i.indexrelid, check_codes => false, check_heap => true) v
            WHERE a.amname = 'hnsw' AND v.severity = 'error'""", 300):
        wrong.append(f"{host.name}: verify_index: {row}")
    return wrong


def check_crashes(lab):
    """No server has crashed but by what was done to it, and all etcd run."""
    wrong = []
    for daemon in lab.etcd + lab.all_hosts:
        found = daemon.look_for_crashes()
        wrong += [f"{daemon.name} crashed: {line[:300]}" for line in found[:5]]
        if len(found) > 5:
            wrong.append(f"{daemon.name}: {len(found) - 5} more lines on crashes")
    wrong += [f"{etcd.name} ended with {etcd.process.poll()}"
              for etcd in lab.etcd if not etcd.alive()]
    return wrong, {}


# how long it may take until what was begun is finished
FINISH_SECONDS = 90
BUSY = """SELECT pid, usename, state, left(query, 80) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND datname = current_database()
    AND state <> 'idle' AND pid <> pg_backend_pid()"""


def until_none(find, interval=0.5):
    """What find() finds until it is nothing, or time is over."""
    end = time.monotonic() + FINISH_SECONDS
    while True:
        found = find()
        if not found or time.monotonic() > end:
            return found
        time.sleep(interval)


def check_idle(lab):
    """No statement is executed any more, of those either whose client has
    given them up: these could still prepare and commit something."""
    def busy():
        found = []
        for host in lab.all_hosts:
            try:
                found += [f"{host.name} still executes {row}"
                          for row in ask(host.conninfo(), BUSY)]
            except Failure as failure:
                found.append(f"{host.name} does not answer: {failure}")
        return found

    return until_none(busy), {}


def check_cluster(lab):
    """No transaction is left prepared, and the catalogs agree."""
    def left():
        found = []
        for group in lab.groups:
            gids = patient(lab, "SELECT gid FROM pg_prepared_xacts", group)
            if gids:
                found.append(f"group {group}: left prepared: {few(row[0] for row in gids)}")
        # records of commits may stay for a round of recovery longer
        return found + [f"check_cluster: {row}"
                        for row in patient(lab, "SELECT * FROM vecdb.check_cluster()")]

    return until_none(left), {}


LONG = """SELECT format('%s %s, %s for %s, blocked by %s: %s', pid, application_name,
        state, date_trunc('second', clock_timestamp() - xact_start),
        pg_blocking_pids(pid), left(query, 60))
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND xact_start < clock_timestamp() - interval '5 s'
    ORDER BY xact_start LIMIT 8"""


def long_transactions(lab):
    """What has been in a transaction for long, on each group's primary."""
    found = []
    for group in lab.groups:
        try:
            found += [f"group {group}: {row[0]}" for row in ask(lab.leader_of(group), LONG, 10)]
        except Failure as failure:
            found.append(f"group {group}: {failure}")
    return "; ".join(found)


def check_going_on(lab):
    """Each group's primary can read and write everything."""
    wrong = []
    for group in lab.groups:
        try:
            patient(lab, f"""BEGIN;
                UPDATE accounts SET balance = balance + 0;
                INSERT INTO ledger VALUES (-{group}, 0, 0, 0);
                DELETE FROM ledger WHERE id < 0;
                COMMIT""", group, 20)
        except Failure as failure:
            wrong.append(f"group {group} does not go on: {failure}; {long_transactions(lab)}")
    return wrong, {}
