"""A session with a server that never waits longer than it was told.

This is libpq itself, by ctypes: clients are to find primaries exactly as it
does, and drivers for Python have no time limit for a statement that a frozen
or cut off server never answers.
"""

import ctypes
import select
import time

LIBPQ = ctypes.CDLL("libpq.so.5")
RECEIVER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
for _name, _result, _arguments in (
        ("PQconnectdb", "p", "s"), ("PQstatus", "i", "p"),
        ("PQerrorMessage", "s", "p"), ("PQfinish", "n", "p"),
        ("PQsocket", "i", "p"), ("PQsendQuery", "i", "ps"),
        ("PQconsumeInput", "i", "p"), ("PQisBusy", "i", "p"),
        ("PQgetResult", "p", "p"), ("PQresultStatus", "i", "p"),
        ("PQresultErrorField", "s", "pi"), ("PQntuples", "i", "p"),
        ("PQresultErrorMessage", "s", "p"),
        ("PQnfields", "i", "p"), ("PQgetvalue", "s", "pii"),
        ("PQgetisnull", "i", "pii"), ("PQclear", "n", "p"),
        ("PQhost", "s", "p"), ("PQsetNoticeReceiver", "p", "prp")):
    _types = {"p": ctypes.c_void_p, "s": ctypes.c_char_p, "i": ctypes.c_int,
              "r": RECEIVER, "n": None}
    _function = getattr(LIBPQ, _name)
    _function.restype = _types[_result]
    _function.argtypes = [_types[letter] for letter in _arguments]

CONNECTION_OK = 0
COMMAND_OK, TUPLES_OK, EMPTY = 1, 2, 0
SQLSTATE, PRIMARY, DETAIL = ord("C"), ord("M"), ord("D")

# errors after which it is certain that nothing was committed: what is wrong
# with the statement, locks, read only servers, and groups that could not be
# connected to
REFUSED_CLASSES = ("22", "23", "25", "40", "42", "0A", "55", "P0")
REFUSED_STATES = ("08001",)


class Failure(Exception):
    """A statement or a connection that failed; "state" is the SQLSTATE."""

    def __init__(self, state, message, sent=True):
        super().__init__(f"{' '.join(message.split())} [{state}]")
        self.state = state
        self.sent = sent

    @property
    def certain(self):
        """Is it certain that nothing was committed?"""
        return (not self.sent or self.state in REFUSED_STATES
                or self.state[:2] in REFUSED_CLASSES)


def _text(value):
    return value.decode("utf-8", "replace").strip() if value else ""


class Session:
    """One connection; closed by the first failure of the connection."""

    def __init__(self, conninfo):
        self.notices = []
        self.broken = False
        self._receiver = RECEIVER(self._notice)
        self._connection = LIBPQ.PQconnectdb(conninfo.encode())
        if LIBPQ.PQstatus(self._connection) != CONNECTION_OK:
            message = _text(LIBPQ.PQerrorMessage(self._connection))
            self.close()
            raise Failure("connect", message, sent=False)
        LIBPQ.PQsetNoticeReceiver(self._connection, self._receiver, None)
        self.host = _text(LIBPQ.PQhost(self._connection))

    def close(self):
        self.broken = True
        if self._connection:
            LIBPQ.PQfinish(self._connection)
            self._connection = None

    def _notice(self, _argument, result):
        self.notices.append((_text(LIBPQ.PQresultErrorField(result, SQLSTATE)),
                             _text(LIBPQ.PQresultErrorField(result, PRIMARY))))

    def _result(self, deadline):
        """The next result, or None after the last one."""
        connection = self._connection
        while LIBPQ.PQisBusy(connection):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select(
                    [LIBPQ.PQsocket(connection)], [], [], left)[0]:
                self.close()
                raise Failure("timeout", "no answer in time")
            if not LIBPQ.PQconsumeInput(connection):
                message = _text(LIBPQ.PQerrorMessage(connection))
                self.close()
                raise Failure("08006", message)
        return LIBPQ.PQgetResult(connection)

    def run(self, sql, seconds=5):
        """Rows of the last statement, as lists of str or None."""
        if self.broken:
            raise Failure("connect", "the session is closed", sent=False)
        self.notices = []
        deadline = time.monotonic() + seconds
        if not LIBPQ.PQsendQuery(self._connection, sql.encode()):
            message = _text(LIBPQ.PQerrorMessage(self._connection))
            self.close()
            raise Failure("08006", message)
        rows, failure = [], None
        while True:
            result = self._result(deadline)
            if not result:
                break
            status = LIBPQ.PQresultStatus(result)
            if status == TUPLES_OK:
                rows = _rows(result)
            elif status not in (COMMAND_OK, EMPTY):
                failure = _failure(result)
            LIBPQ.PQclear(result)
        if failure:
            if LIBPQ.PQstatus(self._connection) != CONNECTION_OK:
                self.close()
            raise failure
        return rows


def _rows(result):
    fields = range(LIBPQ.PQnfields(result))
    return [[None if LIBPQ.PQgetisnull(result, row, field)
             else LIBPQ.PQgetvalue(result, row, field).decode()
             for field in fields] for row in range(LIBPQ.PQntuples(result))]


def _failure(result):
    # without a SQLSTATE it is libpq's own: the connection was lost
    state = _text(LIBPQ.PQresultErrorField(result, SQLSTATE)) or "08006"
    message = (_text(LIBPQ.PQresultErrorField(result, PRIMARY))
               or _text(LIBPQ.PQresultErrorMessage(result)))
    detail = _text(LIBPQ.PQresultErrorField(result, DETAIL))
    return Failure(state, f"{message} ({detail})" if detail else message)


def ask(conninfo, sql, seconds=5):
    """One statement in a session of its own."""
    session = Session(conninfo)
    try:
        return session.run(sql, seconds)
    finally:
        session.close()


def ask_patiently(conninfo, sql, seconds=5, patience=60):
    """The same; who cannot connect tries again, as on a busy machine."""
    end = time.monotonic() + patience
    while True:
        try:
            return ask(conninfo, sql, seconds)
        except Failure as failure:
            if failure.sent or time.monotonic() > end:
                raise
        time.sleep(0.5)
