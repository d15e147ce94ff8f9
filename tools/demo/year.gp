# SPDX-License-Identifier: GPL-2.0
# gnuplot: memory against the guest's date. Set with -e: runs, svg, span.
set terminal svg size 800,450 font "sans-serif,13" background "white"
set output svg
set title "A guest lives ".span." while nobody looks: its memory, at each daily job"
set xlabel "the guest's date"
set ylabel "memory available (MB)"
set key off
set grid back linecolor "#d8d8d8"
set border 3
set tics nomirror out
set xdata time
set timefmt "%s"
set format x "%Y-%m-%d"
set xtics rotate by -30
set rmargin 10
# The first days' memory is what the boot has left
plot "< grep ^daily ".runs every ::2 using 3:($4 / 1024) with lines linewidth 2 linecolor "#1f5fa8"
