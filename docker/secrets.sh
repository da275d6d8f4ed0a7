#!/bin/sh
#
# secrets.sh HOST...
#	  Once for a cluster: a certificate authority, a certificate for each host,
#	  and passwords, in /secrets, as user postgres.
#
# The volume is shared by all nodes, so this is as safe as the machine.
#
set -eu
umask 077
cd /secrets

if [ ! -e ca.crt ]; then
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 \
		-subj '/CN=vecdb authority' -keyout ca.key -out ca.new
	mv ca.new ca.crt
fi
for host; do
	[ ! -e "$host.crt" ] || continue
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$host" \
		-keyout "$host.key" -out "$host.csr"
	# and for who connects from the machine itself, to a published port
	echo "subjectAltName = DNS:$host, DNS:localhost, IP:127.0.0.1" >"$host.ext"
	openssl x509 -req -in "$host.csr" -days 3650 -CA ca.crt -CAkey ca.key \
		-set_serial "0x$(openssl rand -hex 8)" -extfile "$host.ext" \
		-out "$host.new"
	mv "$host.new" "$host.crt"
	rm "$host.csr" "$host.ext"
done
if [ ! -e passfile ]; then
	openssl rand -hex 24 >password
	openssl rand -hex 24 >node_password
	{
		echo "*:*:*:postgres:$(cat password)"
		echo "*:*:*:vecdb_node:$(cat node_password)"
		echo "*:*:*:vecdb_replication:$(openssl rand -hex 24)"
		echo "*:*:*:vecdb_rewind:$(openssl rand -hex 24)"
	} >passfile.new
	mv passfile.new passfile
fi
