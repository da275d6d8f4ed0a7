#!/bin/sh
#
# check-vector-alias.sh EXTENSION_DIRECTORY CHOICE
#	  Do not overwrite pgvector unless told to.
#
. src/tools/common.sh

control=$1/vector.control

case $2 in
	yes | no)
		exit 0
		;;
	'')
		if [ ! -e "$control" ] || grep -q "requires.*vecdb" "$control"; then
			exit 0
		fi
		;;
	*)
		die "VECTOR_ALIAS is \"$2\"; it can be yes or no."
		;;
esac

die "pgvector is installed on this server: $control
Its extension \"vector\" and vecdb's alias of that name cannot both be there.
Please choose:
  VECTOR_ALIAS=no    pgvector stays; vecdb is had by CREATE EXTENSION vecdb
  VECTOR_ALIAS=yes   CREATE EXTENSION vector gives vecdb from now on; databases
                     that already use pgvector keep it
and type: make install VECTOR_ALIAS=..."
