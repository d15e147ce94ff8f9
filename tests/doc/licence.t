#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each file says under which licence it is, and it is one that the kernel takes.
cd "$(dirname "$0")/../.." || exit 1
. tests/build/tap.sh
# What has no comments, or is under the licence of what it patches
exempt='\.(md|svg|patch|html|png|json|txt)$|/series$|^(COPYING|NEWS|VERSION)$|(^|/)\.gitignore$|^debian/(changelog|copyright|source/|[a-z-]+\.(install|links|docs|manpages|triggers|bash-completion|examples|lintian-overrides|dirs)$)'
files() { git ls-files 2>/dev/null || find . -type f ! -path './build/*' ! -path './.git/*' -printf '%P\n'; }
# In one process for all: forks for each file took most of the time
without() {
	files | grep -vE "$exempt" | perl -lne '
		next if !-f;
		open my $f, "<", $_ or print("$_: $!"), next;
		my $head = join "", map { scalar <$f> // "" } 1 .. 5;
		print if $head !~ m{SPDX-License-Identifier: GPL-2\.0(-only)?( \*/|"?$|\\n)}m'
}
ok "each source file has an SPDX line, GPL-2.0" finds_nothing without
ok "COPYING is the text of that licence" says 0 "Version 2, June 1991" head -n 3 COPYING
ok "the whole text" test "$(wc -l <COPYING)" = 339
done_testing
