// Package measure is what the benchmarks share: processor time and medians.
package measure

import (
	"slices"
	"syscall"
	"time"
)

// CPU is the processor time that f takes, in all threads of the process.
// Unlike wall time it holds on a machine that others use too.
func CPU(f func()) time.Duration {
	before := used()
	f()
	return used() - before
}

func used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // the process asks about itself
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Quantile returns the value below which the share q of v lies, 0 <= q <= 1.
// It sorts v, which must not be empty.
func Quantile[T int | float64 | time.Duration](v []T, q float64) T {
	slices.Sort(v)
	return v[int(q*float64(len(v)-1))]
}

// Median is the middle value of v.
func Median[T int | float64 | time.Duration](v []T) T { return Quantile(v, 0.5) }
