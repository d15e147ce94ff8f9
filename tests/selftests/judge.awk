# SPDX-License-Identifier: GPL-2.0
# judge.awk -v cases= -v rooms= -v only= list results - TAP of what ran and what of the list should have; status 1 unless
# all is as listed
function trim(s) { gsub(/^ +| +$/, "", s); return s }

function tell(ok, name, more) {
	printf "%sok %d - %s%s\n", ok ? "" : "not ", ++n, name, more ? ": " more : ""
	if (!ok)
		bad++
}

BEGIN {
	FS = "|"
	ncases = split(cases, want, " ")
	column["stock"] = 1; column["unattached"] = 2; column["50"] = 3; column["0.1"] = 4
}

FNR == NR && !/^#/ && NF {
	t = trim($1) "|" trim($2)
	if (!index(" " rooms " ", " " trim($1) " ") || trim($2) !~ "^(" only ")$")
		next
	order[++ntests] = t
	words[t] = trim($4)
	pattern[t] = trim($5)
}

FNR != NR {
	got[$1 "|" $2 "|" $3] = $4
	status[$1 "|" $2 "|" $3] = $5
	seconds[$1 "|" $2 "|" $3] = $6
}

END {
	for (c = 1; c <= ncases; c++)
		for (i = 1; i <= ntests; i++) {
			t = order[i]
			split(words[t], word, " ")
			split(t, name, "|")
			expected = word[column[want[c]]]
			k = want[c] "|" t
			label = want[c] " " name[1] "/" name[2]
			if (expected == "-") {
				printf "ok %d - %s # SKIP not run in this case\n", ++n, label
				continue
			}
			if (!(k in got)) {
				tell(0, label, "did not run")
				continue
			}
			more = got[k] " in " seconds[k] " s"
			log_name = name[2]
			sub(/^short\//, "", log_name)
			sub(/ .*/, "", log_name)
			log_name = "build/out/selftests/" want[c] "/" name[1] "-" log_name
			if (got[k] != expected)
				tell(0, label, more ", status " status[k] ", not " expected ": " log_name)
			else if (got[k] == "fail" && system("grep -Eq -e '" pattern[t] "' " log_name))
				tell(0, label, "fails otherwise than known: " log_name)
			else
				tell(1, label, more (got[k] == "fail" ? ", as it must" : ""))
		}
	printf "1..%d\n", n
	exit bad > 0
}
