# Turns `go test -bench` output into one table: benchmark, measure, value, aim.
# A measure's aim is written into its unit: x-raw-batch(aim:1.15), (min:0.8).
BEGIN { printf "%-52s %-24s %12s  %s\n", "BENCHMARK", "MEASURE", "VALUE", "AIM" }
/^FAIL|^---|^panic|_test.go/ { print; failed = 1 }
/^Benchmark/ {
	for (i = 3; i < NF; i += 2) {
		measure = $(i + 1); aim = ""
		if (match(measure, /\(.*\)$/)) {
			aim = substr(measure, RSTART + 1, RLENGTH - 2)
			measure = substr(measure, 1, RSTART - 1)
			sub(/^aim:/, "at most ", aim)
			sub(/^min:/, "at least ", aim)
		}
		printf "%-52s %-24s %12s  %s\n", $1, measure, $i, aim
	}
}
END { exit failed }
