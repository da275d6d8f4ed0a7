# Fill in a template: awk -f fill.awk -v passfile=FILE TEMPLATE NAME=VALUE...
#
# @NAME@ becomes VALUE, and @PASSWORD:ROLE@ the password of that role in the
# passfile, which so is in no list of processes.  What is not known is an
# error.

BEGIN {
	while (passfile != "" && (getline line <passfile) > 0) {
		split(line, part, ":")
		value["PASSWORD:" part[4]] = part[5]
	}
	for (i = 2; i < ARGC; i++) {
		equals = index(ARGV[i], "=")
		value[substr(ARGV[i], 1, equals - 1)] = substr(ARGV[i], equals + 1)
		ARGV[i] = ""
	}
}

{
	done = ""
	while (match($0, /@[A-Z_]+(:[a-z_]+)?@/)) {
		name = substr($0, RSTART + 1, RLENGTH - 2)
		if (!(name in value)) {
			print FILENAME ":" FNR ": nothing is known of @" name "@" >"/dev/stderr"
			exit 1
		}
		done = done substr($0, 1, RSTART - 1) value[name]
		$0 = substr($0, RSTART + RLENGTH)
	}
	print done $0
}
