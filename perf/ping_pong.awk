# SPDX-License-Identifier: BSD-3-Clause
# The table of perf/verbs/compare and perf/ucx/compare, from lines
#   row LIBRARY latency|stream BYTES FIGURE      (of ping_pong.c and others, any number)
# Medians, and Peal's as ratios to the libraries named: -v others="mpi ...".
function median(list,   n, v, i, j, t) {
  n = split(list, v, " ")
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
  return v[int((n + 1) / 2)]
}
$1 == "row" { all[$2, $3, $4] = all[$2, $3, $4] " " $5; if (!($4 in order)) { order[$4] = ++n; size[n] = $4 } }
END {
  count = split(others, other, " ")
  split("latency stream", what, " ")
  printf "%-8s %8s %9s", "", "bytes", "peal"
  for (k = 1; k <= count; k++)
    printf " %9s %9s", other[k], "/" other[k]
  printf "\n"
  for (w = 1; w <= 2; w++)
    for (i = 1; i <= n; i++) {
      peal = median(all["peal", what[w], size[i]])
      printf "%-8s %8d %9.2f", what[w], size[i], peal
      for (k = 1; k <= count; k++) {
        figure = median(all[other[k], what[w], size[i]])
        printf " %9.2f %9s", figure, (figure > 0 ? sprintf("%.2f", peal / figure) : "-")
      }
      printf "\n"
    }
}
