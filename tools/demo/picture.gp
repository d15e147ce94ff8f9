# SPDX-License-Identifier: GPL-2.0
# gnuplot: guest time against host time. Set with -e: csv, svg, factor, caption, host_0, guest_0 (first
# sample, ns), attach_0, detach_1, last (host seconds), top (guest seconds).
set terminal svg size 800,500 font "sans-serif,13" background "white"
set output svg
set datafile separator ","
set title "A guest lives at ".factor."x: its clock against the host's\n{/*0.8 ".caption."}"
set xlabel "host time (s)"
set ylabel "guest time (s)"
set key off
set grid back linecolor "#d8d8d8"
set border 3
set tics nomirror out
set yrange [0:top]
set xrange [0:last]
set object 1 rectangle from attach_0, graph 0 to detach_1, graph 1 behind fillcolor "#fdeed9" fillstyle solid noborder
set label 1 "host's rate" at attach_0 / 2, graph 0.96 center
set label 2 "factor ".factor at (attach_0 + detach_1) / 2, graph 0.96 center
set label 3 "host's rate" at (detach_1 + last) / 2, graph 0.96 center
set label 4 "attach" at attach_0, graph 0.5 right offset -0.5,0 textcolor "#804000"
set label 5 "detach" at detach_1, graph 0.5 left offset 0.5,0 textcolor "#804000"
set label 6 "a clock at the host's rate" at last, (last + top * 0.035) right textcolor "#606060"
plot x linewidth 1.5 dashtype 2 linecolor "#808080", \
     csv every ::1 using (($2 - host_0) / 1e9):(($4 - guest_0) / 1e9) with linespoints \
     linewidth 2 pointtype 7 pointsize 0.5 linecolor "#1f5fa8"
