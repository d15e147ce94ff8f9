#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# twctl age on recordings: the planted faults are named with rate and date, nothing else is; reports are what
# their schema says; baselines; bad input. On this machine, without a test host.
cd "$(dirname "$0")/../.." || exit 1
twctl=$PWD/build/twctl here=tests/age
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0 failed=0
# ok NAME COMMAND...: the command holds
ok() {
	local name=$1
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' <<<"$out"
		failed=1
	fi
}
# status WANTED COMMAND...: it ends with that status
status() {
	local want=$1 got
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || { echo "status $got, not $want"; return 1; }
}
# says TEXT STATUS ARG...: one line of error with that text
says() {
	local text=$1 want=$2 said
	shift 2
	said=$($twctl age "$@" 2>&1 >/dev/null)
	[ $? = "$want" ] && [[ $said == *"$text"* ]] && [ "$(wc -l <<<"$said")" = 1 ] || { echo "$said"; return 1; }
}
# faults FILE: subjects of the faults of a JSON report, sorted
faults() {
	perl -MJSON::PP -0777 -ne 'print join(" ", sort map { $_->{subject} } grep { $_->{mark} eq "fault" } @{ decode_json($_)->{verdicts} }), "\n"' "$1"
}
same() { [ "$1" = "$2" ] || { echo "is:     $1"; echo "should: $2"; return 1; }; }
make() { $here/make-recording "$@"; }

make >"$tmp/all.ndjson"
make --without leak --without log --without certificate --without jobs --without failure >"$tmp/none.ndjson"
ok "faults are status 10" status 10 $twctl age --samples "$tmp/all.ndjson" --report "$tmp/all"
ok "the text names each with its rate and date, as recorded" diff -u $here/report.txt "$tmp/all/report.txt"
ok "it fits 80 columns" bash -c '! expand "$0" | grep -nE ".{81}"' "$tmp/all/report.txt"
ok "the planted faults are the faults, and no others" same "$(faults "$tmp/all/report.json")" \
	"backup (cron) certificate /etc/ssl/orders.pem guest.dir./var/log/orders guest.proc.orders.rss stamp.service"
ok "none planted, none found: status 0" status 0 $twctl age --samples "$tmp/none.ndjson" --report "$tmp/none"
ok "and neither faults nor warnings are in its report" same "$(faults "$tmp/none/report.json")$(grep -c WARNINGS "$tmp/none/report.txt")" "0"
count() { perl -MJSON::PP -0777 -ne 'print decode_json($_)->{faults}' "$1"; }
for f in leak log certificate jobs failure; do
	make --without $f >"$tmp/one.ndjson"
	$twctl age --samples "$tmp/one.ndjson" --report "$tmp/one" >/dev/null
	ok "without $f one fault less is found" same "$(count "$tmp/one/report.json")" 4
done
ok "30 days are enough for the leak and the log" bash -c '
	"$0" --days 30 >"$2/month.ndjson"
	"$1" age --samples "$2/month.ndjson" -j | grep -o "\"mark\":\"fault\",\"matter\":\"growth\",\"subject\":\"[^\"]*\"" | sort |
		tr "\n" " " | grep -q "orders\".*proc.orders.rss"' $here/make-recording "$twctl" "$tmp"

# A disk that is soon full
say() { perl -MJSON::PP -0777 -ne 'print map { "$_->{mark}: $_->{text}\n" } grep { $_->{subject} eq $ENV{SUBJECT} } @{ decode_json($_)->{verdicts} }' "$1"; }
make --disk 3000000000 >"$tmp/full.ndjson"
$twctl age --samples "$tmp/full.ndjson" --report "$tmp/full" >/dev/null
ok "a file system that fills by a folder's growth alone is not at fault itself" same "$(faults "$tmp/full/report.json")" "$(faults "$tmp/all/report.json")"
ok "... it is a note, with the folder's name" bash -c '[[ $0 == "note: grows by "*" reaches 3 GB on 20"*"; by guest.dir./var/log/orders" ]] || { echo "$0"; false; }' \
	"$(SUBJECT=guest.fs./.used say "$tmp/full/report.json")"
ok "... and the folder has the date on which it is full" bash -c '[[ $0 == "fault: grows by 310 kB a day"*"; by that guest.fs./.used reaches 3 GB on 20"* ]] || { echo "$0"; false; }' \
	"$(SUBJECT=guest.dir./var/log/orders say "$tmp/full/report.json")"
make --disk 3000000000 --hidden >"$tmp/hidden.ndjson"
$twctl age --samples "$tmp/hidden.ndjson" --report "$tmp/hidden" >/dev/null
ok "what it grows by beside the folder is its own fault" same "$(faults "$tmp/hidden/report.json")" \
	"backup (cron) certificate /etc/ssl/orders.pem guest.dir./var/log/orders guest.fs./.used guest.proc.orders.rss stamp.service"

for r in all none; do
	ok "report.json of '$r' is what doc/age-report.schema.json says" $here/check-report json doc/age-report.schema.json "$tmp/$r/report.json"
	ok "report.html of '$r' is well-formed and asks no network for anything" $here/check-report html "$tmp/$r/report.html"
done
ok "-j prints the same JSON" cmp <($twctl age --samples "$tmp/all.ndjson" -j) "$tmp/all/report.json"
ok "what the guest says is escaped in the page" bash -c 'grep -q "&quot;timestamp &lt;0&quot; &amp; out of range" "$0" && ! grep -q "<0" "$0"' "$tmp/all/report.html"

# Baselines
ok "the same run against itself has nothing new: status 0" status 0 $twctl age --samples "$tmp/all.ndjson" --baseline "$tmp/all/report.json"
ok "against a run without faults all are new: status 10" status 10 $twctl age --samples "$tmp/all.ndjson" --baseline "$tmp/none/report.json" --report "$tmp/new"
ok "each is said to be new" same "$(grep -c '^  new ' "$tmp/new/report.txt")" 5
ok "that report fits the schema" $here/check-report json doc/age-report.schema.json "$tmp/new/report.json"
ok "a release that mends all is told what is gone: status 0" bash -c '
	"$0" age --samples "$1/none.ndjson" --baseline "$1/all/report.json" | grep -c "^  gone " | grep -qx 5' "$twctl" "$tmp"
perl -pe 's/("subject":"guest.proc.orders.rss".*?"rate":)\{[^}]*\}/$1\{"a_day":100,"low":90,"high":110}/' \
	"$tmp/all/report.json" >"$tmp/slow.json"
ok "a leak that was slower before is worse: status 10" bash -c '
	"$0" age --samples "$1/all.ndjson" --baseline "$1/slow.json" >"$1/worse.txt"; [ $? = 10 ] && grep -q "^  worse .*orders.rss" "$1/worse.txt"' "$twctl" "$tmp"
ok "what fills up beyond the horizon is no fault, and with a longer one it is" bash -c '
	"$0" age --samples "$1/hidden.ndjson" --horizon 200d -j >"$1/near.json"; "$0" age --samples "$1/hidden.ndjson" --horizon 36525d -j >"$1/far.json"
	fault="\"mark\":\"fault\",\"matter\":\"growth\",\"subject\":\"guest.fs./.used\""
	! grep -q "$fault" "$1/near.json" && grep -q "$fault" "$1/far.json"' "$twctl" "$tmp"

# What was interrupted
make --cut >"$tmp/cut.ndjson"
ok "a line that was being written when it was killed is left out" status 10 $twctl age --samples "$tmp/cut.ndjson" --report "$tmp/cut"
ok "and the report says that it was interrupted" grep -q "It was interrupted" "$tmp/cut/report.txt"

# Bad input
ok "no recording" says "it is not said which recording to judge" 2
ok "a file that is not there" says "No such file or directory" 1 --samples "$tmp/nosuch"
ok "an empty one" bash -c ': >"$1/empty"; "$0" age --samples "$1/empty" 2>&1 | grep -q "there is no line of type run"' "$twctl" "$tmp"
ok "a file of something else" says "line 1:" 1 --samples "$twctl"
ok "a baseline that is no report" says "cannot compare with baseline" 1 --samples "$tmp/all.ndjson" --baseline doc/age-report.schema.json
for span in '--span 0s' '--span 0y' '--span -1d' '--span 1d --until 2038-01-01' '--until soon' '--span 1d --every 0s' ''; do
	# shellcheck disable=SC2086 # words
	ok "a life of '$span'" says "cannot age" 2 --vm 1 $span --report "$tmp/nothing"
done
ok "a life that is recorded nowhere" says "it is not said where to record" 2 --vm 1 --span 1d
ok "none of them left a folder" test ! -e "$tmp/nothing"
ok "a horizon of nothing" says "--horizon" 2 --samples "$tmp/all.ndjson" --horizon 0s
: >"$tmp/file"
ok "a report where a file is" says "cannot write" 1 --samples "$tmp/all.ndjson" --report "$tmp/file"
ok "samples closer than a second are refused" says "is less than a second" 2 --vm nobody --span 1d --every 100ns --report "$tmp/never"
ok "a baseline that is none is told before a guest lives" says "cannot compare with baseline" 1 --vm nobody --span 1d --baseline "$tmp/none.json" --report "$tmp/never"
mkdir "$tmp/old" && echo old >"$tmp/old/report.html"
ok "a full disk: said, the old report is as it was, and the new one is printed" bash -c '
	ulimit -f 40; trap "" XFSZ
	"$0" age --samples "$1/all.ndjson" --report "$1/old" >"$1/printed" 2>"$1/said"
	[ $? = 1 ] && cmp "$1/printed" "$1/all/report.txt" && grep -q "cannot write .*report.html" "$1/said" && [ "$(cat "$1/old/report.html")" = old ] &&
		[ -z "$(find "$1/old" -name ".report*")" ]' "$twctl" "$tmp"
echo "1..$n"
exit $failed
