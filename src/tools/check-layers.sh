#!/bin/sh
#
# check-layers.sh
#	  No room of src/ sees a room below it; see docs/architecture.md.
#
# A room includes its own headers and the public headers include/vecdb/ROOM*.h
# of rooms before it.  Files carry the name of their room.  PostgreSQL's
# version is looked at in lib_compat.h only.
#
. src/tools/common.sh

project_files 'src/*.c' 'src/*.h' 'include/*.h' | xargs -r -d '\n' awk -v rooms="$ROOMS" '
function complain(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}

# the room of a public header: what stands before the first "_" or "."
function header_room(name)
{
	sub(/[_.].*/, "", name)
	return name
}

BEGIN {
	count = split(rooms, list, " ")
	for (i = 1; i <= count; i++)
		rank[list[i]] = i
	files = 0
}

FNR == 1 {
	files++
	count = split(FILENAME, part, "/")
	base = part[count]
	if (FILENAME == "src/vecdb.c")
		room = "vecdb"
	else if (part[1] == "include")
		room = header_room(base)
	else
		room = part[2]
	if (room != "vecdb" && !(room in rank))
		complain("no room is called \"" room "\"")
	if (part[1] == "src" && room != "vecdb" && header_room(base) != room)
		complain("the name of the file does not begin with its room")
}

/PG_VERSION_NUM|PG_MAJORVERSION/ && FILENAME != "include/vecdb/lib_compat.h" {
	complain("PostgreSQL'"'"'s version belongs into lib_compat.h")
}

/^[ \t]*#[ \t]*include[ \t]+"/ {
	split($0, quoted, "\"")
	name = quoted[2]
	if (name ~ /\.\./)
		complain("include by a relative path: " name)
	else if (name ~ /^vecdb\//)
	{
		other = header_room(substr(name, 7))
		if (!(other in rank))
			complain("no room is called \"" other "\"")
		else if (room != "vecdb" && rank[other] > rank[room])
			complain("room " room " must not see " name ", which is below it")
	}
	else if (name !~ /\// && header_room(name) in rank &&
			 name ~ /_/ && header_room(name) != room && room != "vecdb" &&
			 (getline line < ("src/" header_room(name) "/" name)) >= 0)
		complain(name " is private to room " header_room(name))
}

END {
	if (!bad)
		print files " files keep the order of rooms"
	exit bad
}'
