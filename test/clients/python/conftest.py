"""What all Python clients share: the database, and counting of results."""
import os
import sys

import psycopg
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope='session')
def url():
    return os.environ['VECDB_CLIENTS_URL']


@pytest.fixture(scope='session')
def parts(url):
    """The address in pieces, for clients that do not take it whole."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    return {'user': info.get('user'), 'password': info.get('password'),
            'host': info.get('host'), 'port': info.get('port'),
            'database': info['dbname']}


def driver_url(url, driver):
    """SQLAlchemy wants its driver's name in the scheme."""
    return f'postgresql+{driver}://' + url.split('://', 1)[1]


@pytest.fixture(scope='session')
def sqlalchemy_url(url):
    return lambda driver: driver_url(url, driver)


def pytest_terminal_summary(terminalreporter):
    """Leave the counts where "run" finds them."""
    def count(*outcomes):
        return sum(len(terminalreporter.stats.get(o, ())) for o in outcomes)

    with open(os.environ['VECDB_CLIENTS_COUNTS'], 'w') as out:
        print(count('passed'), count('failed', 'error', 'skipped'), file=out)
