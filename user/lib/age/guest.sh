# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Run in the guest by its agent, as root, at each sample. A fact a line: a letter, then fields, with tabs between.
# What a guest does not have is left out. $1: seconds since 1970 from which on the journal is read.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec 2>/dev/null

# m: memory used, available, swap used, swap; in kB
awk '/^MemTotal:/ { t = $2 } /^MemAvailable:/ { a = $2 } /^SwapTotal:/ { s = $2 } /^SwapFree:/ { f = $2 }
	END { printf "m\t%d\t%d\t%d\t%d\n", t - a, a, s - f, s }' /proc/meminfo
# l: load of 15 minutes
awk '{ printf "l\t%s\n", $3 }' /proc/loadavg
# f: file system, kB used, kB; i: inodes used, inodes
df -P -k -x tmpfs -x devtmpfs -x squashfs -x overlay | awk 'NR > 1 { printf "f\t%s\t%s\t%s\n", $6, $3, $3 + $4 }'
df -P -i -x tmpfs -x devtmpfs -x squashfs -x overlay | awk 'NR > 1 && $2 > 0 { printf "i\t%s\t%s\t%s\n", $6, $3, $2 }'
# p: program, kB resident, threads, over all processes of that name; o: open descriptors
awk -F '[:\t ]+' 'FNR == 1 { name = $2; for (i = 3; i <= NF; i++) name = name " " $i }
	/^VmRSS/ { rss[name] += $2 } /^Threads/ { threads[name] += $2 }
	END { for (n in rss) if (n !~ /^(sh|awk|qemu-ga|df|du|ls)$/) printf "p\t%s\t%d\t%d\n", n, rss[n], threads[n] }' /proc/[0-9]*/status
for d in /proc/[0-9]*; do
	# kernel threads have none
	[ -e "$d/exe" ] && read -r name <"$d/comm" && set -- "$1" "$d"/fd/* && printf '%s\t%d\n' "$name" $(($# - 1))
done | awk -F '\t' '{ n[$1] += $2 } END { for (i in n) if (i !~ /^(sh|awk|qemu-ga|df|du|ls)$/) printf "o\t%s\t%d\n", i, n[i] }'
# d: directory, kB; each folder of /var/log too, as one log among many is lost in their sum
du -x -k -d 1 /var/log | awk -F '\t' '{ printf "d\t%s\t%s\n", $2, $1 }'
du -x -k -s /tmp /var/tmp /var/cache /var/spool | awk -F '\t' '{ printf "d\t%s\t%s\n", $2, $1 }'
# z: time zone
if [ -L /etc/localtime ]; then
	readlink -f /etc/localtime | sed -n 's,^.*/zoneinfo/,z	,p'
fi
# u: failed unit
systemctl --failed --plain --no-legend --no-pager | awk '{ printf "u\t%s\t%s\n", $1, $3 }'
# t: timer, last run, tolerance in s, calendar
systemctl show '*.timer' --timestamp=unix -p Id,LastTriggerUSec,AccuracyUSec,RandomizedDelayUSec,TimersCalendar --no-pager | awk '
	function seconds(v,  n, i, s, p) {
		n = split(v, p, " ")
		for (i = 1; i <= n; i++)
			s += p[i] * (p[i] ~ /[0-9]min$/ ? 60 : p[i] ~ /[0-9]h$/ ? 3600 : p[i] ~ /[0-9]d$/ ? 86400 : p[i] ~ /[0-9]w$/ ? 604800 :
				p[i] ~ /[0-9]ms$/ ? 0.001 : p[i] ~ /[0-9]us$/ ? 0 : 1)
		return s
	}
	function tell() { if (id != "") printf "t\t%s\t%s\t%d\t%s\n", id, last, tolerance + 60, calendar; id = last = calendar = ""; tolerance = 0 }
	/^$/ { tell() }
	/^Id=/ { id = substr($0, 4) }
	/^LastTriggerUSec=@/ { last = substr($0, 18) }
	/^(AccuracyUSec|RandomizedDelayUSec)=/ { tolerance += seconds(substr($0, index($0, "=") + 1)) }
	/^TimersCalendar=/ { calendar = calendar (calendar == "" ? "" : "|") $0; sub(/^TimersCalendar=\{ OnCalendar=/, "", calendar); sub(/ ;.*$/, "", calendar) }
	END { tell() }'
# c: certificate that is one of this machine's own, valid until
for c in /etc/ssl/*.pem /etc/ssl/private/*.pem /etc/letsencrypt/live/*/cert.pem /etc/nginx/*.pem /etc/nginx/ssl/*.pem /etc/postgresql/*/*/server.crt; do
	[ -f "$c" ] && e=$(openssl x509 -noout -enddate -in "$c") && printf 'c\tcertificate %s\t%s\n' "$c" "$(date -d "${e#notAfter=}" +%s)"
done
# c: account, from when on it is shut
awk -F : '$8 != "" { printf "c\taccount %s\t%.0f\n", $1, $8 * 86400 }' /etc/shadow
# j: journal, seconds, priority, who, what; the first 200 warnings and worse
journalctl -q -p warning --since "@$1" --no-pager -o json --output-fields=PRIORITY,SYSLOG_IDENTIFIER,MESSAGE |
	head -n 200 | sed 's/^/j	/'
