#!/bin/sh
#
# join.sh HOST...
#	  Make the running nodes a cluster: the first becomes group 1, the others
#	  are added in their order.  What is done already is left as it is.
#
set -eu

sql()
{
	host=$1
	shift
	PGPASSFILE=/secrets/passfile psql -X -q -A -t -v ON_ERROR_STOP=1 \
		-d "host=$host user=postgres dbname=vecdb sslmode=verify-full sslrootcert=/secrets/ca.crt connect_timeout=5" "$@"
}

for host; do
	if [ "$(sql "$host" -c "SELECT count(*) FROM pg_roles WHERE rolname = 'vecdb_node'")" = 0 ]; then
		# the password is not for logs or lists of processes
		printf "SET log_statement = none;
			SET log_min_error_statement = panic;
			CREATE ROLE vecdb_node SUPERUSER LOGIN PASSWORD '%s';" \
			"$(cat /secrets/node_password)" | sql "$host"
	fi
	sql "$host" -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION IF NOT EXISTS vecdb'
done

first=$1
for host; do
	if [ "$(sql "$host" -c 'SELECT count(*) FROM vecdb.catalog_local')" = 0 ]; then
		if [ "$host" = "$first" ]; then
			sql "$first" -o /dev/null -c "SELECT vecdb.create_cluster('$host', 5432)"
		else
			sql "$first" -o /dev/null -c "SELECT vecdb.add_group('$host', 5432)"
		fi
		echo "$host is in the cluster now."
	fi
done
