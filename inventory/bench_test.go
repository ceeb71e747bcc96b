package inventory

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// BenchmarkFull measures the memory of an inventory at its limits: accepted
// and refused items, deferred bans and wanted hashes, against the bytes of the
// messages and hashes themselves.
func BenchmarkFull(b *testing.B) {
	var kept any
	for b.Loop() {
		before := heap()
		v, r, p := New(), new(Refused), NewPool()
		for i := range uint32(MaxItems) {
			v.Add(numbered(i))
		}
		for i := range uint32(MaxRefused) {
			r.Add(wire.DoubleHash(binary.BigEndian.AppendUint32(nil, i)), Refusal{Verdict: "signature", Height: 1})
		}
		for i := range uint32(MaxDeferred + MaxWanted) {
			p.Add(Deferred{From: string(rune('a' + i/MaxDeferredOfPeer)), Ban: numbered(i)})
		}
		after := heap()
		kept = []any{v, r, p}
		raw := MaxItems*wire.PlatformBanSize + MaxRefused*wire.HashSize + MaxDeferred*wire.PlatformBanSize + MaxWanted*wire.HashSize
		b.ReportMetric(float64(after-before)/(1<<20), "MiB")
		b.ReportMetric(float64(after-before)/float64(raw), "x-bytes-of-the-items")
	}
	runtime.KeepAlive(kept)
}

func numbered(i uint32) wire.PlatformBan {
	m := wire.PlatformBan{SignedHeight: int32(i % 577)}
	binary.BigEndian.PutUint32(m.ProTxHash[:], i)
	return m
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one found to be finalised
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
