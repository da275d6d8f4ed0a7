#!/bin/sh
#
# entry.sh etcd | host | proxy HOST...
#	  In a container of docker/compose-ha.yml: fill in the template of one of
#	  the three and run it, as user postgres.
# entry.sh health
#	  Is a container of a host healthy: is vecdb ready, or is PostgreSQL, as long
#	  as the database is in no cluster?
#
# The environment has ETCD (names of all etcd, with commas between them) and
# for a host GROUP.  The container's host name is that of its certificate in
# /secrets.  HOSTs are those of all groups.  Data is in /var/lib/vecdb.
#
set -eu
umask 077

name=$(hostname)
templates=${VECDB_TEMPLATES:-/etc/vecdb/ha}
run=${VECDB_RUN:-/run/vecdb}
secrets=${VECDB_SECRETS:-/secrets}

# fill TEMPLATE NAME=VALUE...: write the file of the same name to $run
fill()
{
	template=$1
	shift
	awk -v passfile="$secrets/passfile" -f "$templates/fill.awk" \
		"$templates/$template.in" "$@" LISTEN=0.0.0.0 ADDRESS="$name" \
		NAME="$name" DIR=/var/lib/vecdb CA="$secrets/ca.crt" \
		CERT="$secrets/$name.crt" KEY="$secrets/$name.key" >"$run/$template"
}

# the list in ETCD, with something before and after each
etcd_list()
{
	echo "$ETCD" | tr , '\n' | sed "s|.*|$1|" | paste -s -d ,
}

case $1 in
	etcd)
		fill etcd.yml PORT=2379 PEER_PORT=2380 \
			MEMBERS="$(etcd_list '&=https://&:2380')"
		exec etcd --config-file "$run/etcd.yml"
		;;
	host)
		fill patroni.yml GROUP="$GROUP" PORT=5432 API_PORT=8008 NETWORK=all \
			ETCD="$(etcd_list '&:2379')" SYNC=quorum STRICT=true WATCHDOG=automatic \
			DATA=/var/lib/vecdb/data BINDIR="$(dirname "$(command -v postgres)")" \
			PASSFILE="$secrets/passfile" AUTH="$run/patroni_auth"
		fill patroni_auth
		exec /opt/patroni/bin/patroni "$run/patroni.yml"
		;;
	proxy)
		shift
		servers='' tracked=''
		# addresses of containers change when they are made again
		look_up='resolvers names init-addr last,libc,none'
		for host; do
			servers="$servers  server $host $host:5432 check port 8008 verifyhost $host $look_up
"
			tracked="$tracked  server $host $host:5432 track write/$host $look_up
"
		done
		fill haproxy.cfg WRITE_PORT=5000 READ_PORT=5001 \
			RESOLVERS="resolvers names
  parse-resolv-conf" SERVERS="$servers" TRACKED="$tracked"
		exec haproxy -db -f "$run/haproxy.cfg"
		;;
	health)
		PGPASSFILE=$secrets/passfile
		PGCONNECT_TIMEOUT=2
		export PGPASSFILE PGCONNECT_TIMEOUT
		login="host=127.0.0.1 user=postgres sslmode=verify-full sslrootcert='$secrets/ca.crt'"
		[ "$(psql -XAtq -d "$login dbname=postgres" -c "SELECT count(*) FROM pg_database WHERE datname = 'vecdb'")" = 1 ] ||
			exec pg_isready --quiet --host=127.0.0.1 --username=postgres
		# what makes the group a member waits for this
		[ "$(psql -XAtq -d "$login dbname=vecdb" -c "SELECT CASE WHEN to_regprocedure('vecdb.ready()') IS NOT NULL THEN 'there' END")" = there ] ||
			exit 0
		[ "$(psql -XAtq -d "$login dbname=vecdb" -c 'SELECT vecdb.ready()')" = t ]
		;;
	*)
		echo "entry.sh etcd | host | proxy HOST... | health" >&2
		exit 1
		;;
esac
