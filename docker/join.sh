#!/bin/sh
#
# join.sh HOST[,HOST...]...
#	  Make the running nodes a cluster.  Each argument is a group: its hosts,
#	  of which one is the primary and the others its standbys.  The first group
#	  becomes group 1, the others are added in their order.  What is done
#	  already is left as it is.
#
set -eu

# psql on the primary among hosts: HOSTS DATABASE ARG...
sql()
{
	hosts=$1
	database=$2
	shift 2
	PGPASSFILE=/secrets/passfile psql -X -q -A -t -v ON_ERROR_STOP=1 \
		-d "host=$hosts user=postgres dbname=$database target_session_attrs=primary sslmode=verify-full sslrootcert=/secrets/ca.crt connect_timeout=5" "$@"
}

# which of the hosts is the primary
primary_of()
{
	sql "$1" postgres -c '\echo :HOST'
}

# a group may still be electing its first primary
for group; do
	tries=0
	until sql "$group" postgres -o /dev/null -c 'SELECT 1' 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || { echo "There is no primary among $group." >&2; exit 1; }
		sleep 1
	done
	if [ "$(sql "$group" postgres -c "SELECT count(*) FROM pg_roles WHERE rolname = 'vecdb_node'")" = 0 ]; then
		# the password is not for logs or lists of processes
		printf "SET log_statement = none;
			SET log_min_error_statement = panic;
			CREATE ROLE vecdb_node SUPERUSER LOGIN PASSWORD '%s';" \
			"$(cat /secrets/node_password)" | sql "$group" postgres
	fi
	if [ "$(sql "$group" postgres -c "SELECT count(*) FROM pg_database WHERE datname = 'vecdb'")" = 0 ]; then
		sql "$group" postgres -c 'CREATE DATABASE vecdb'
	fi
	sql "$group" vecdb -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION IF NOT EXISTS vecdb'
done

first=$1
for group; do
	if [ "$(sql "$group" vecdb -c 'SELECT count(*) FROM vecdb.catalog_local')" = 0 ]; then
		primary=$(primary_of "$group")
		if [ "$group" = "$first" ]; then
			sql "$first" vecdb -o /dev/null -c "SELECT vecdb.create_cluster('$primary', 5432)"
		else
			sql "$first" vecdb -o /dev/null -c "SELECT vecdb.add_group('$primary', 5432)"
		fi
		echo "$group is in the cluster now."
	fi
	number=$(sql "$group" vecdb -c 'SELECT vecdb.local_group()')
	for host in $(echo "$group" | tr , ' '); do
		[ "$(sql "$first" vecdb -c "SELECT count(*) FROM vecdb.catalog_host WHERE host = '$host'")" = 0 ] ||
			continue
		sql "$first" vecdb -o /dev/null -c "SELECT vecdb.add_host($number, '$host', 5432)"
		echo "Host $host is in group $number now."
	done
done
