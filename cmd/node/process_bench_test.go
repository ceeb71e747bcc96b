package main

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/testnet"
)

// BenchmarkProcess measures what seven processes are that nobody asks for
// anything: four evonodes that make quorums and three regular nodes, of whose
// blocks one comes each second.
func BenchmarkProcess(b *testing.B) {
	n, err := testnet.NewNetwork(testnet.Options{
		Nodes: 7, Regular: 3, Authorities: 4, Seed: 13, Profile: "core", Slot: time.Second, History: 62, Now: time.Now(),
	})
	if err != nil {
		b.Fatal(err)
	}
	c, err := testnet.NewCluster(n, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := c.WriteFiles(); err != nil {
		b.Fatal(err)
	}
	var all []*process
	for i := range n.Members {
		all = append(all, start(b, "--config", filepath.Join(c.NodeDir(i), testnet.ConfigFile)))
	}
	for _, p := range all {
		p.awaitReady()
	}
	b.Run("idle", func(b *testing.B) { benchmarkIdle(b, all) })
	b.Run("scrape", func(b *testing.B) { benchmarkScrape(b, all[len(all)-1]) })
	last := len(all) - 1
	b.Run("start", func(b *testing.B) { benchmarkStart(b, c.NodeDir(last), all[last]) })
}

// ready reports whether the process's page for supervisors answers yes.
func (p *process) ready() bool {
	r, err := scraper.Get(strings.TrimSuffix(p.page, "metrics") + "readyz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func (p *process) awaitReady() {
	p.t.Helper()
	await(p.t, "a node to be ready", p.ready)
}

// idleWindow is how long one round watches: nine rounds are the 24 blocks from
// one session of key generation to the next, so that each kind of block counts
// as often as it comes.
const idleWindow = 24 * time.Second / 9

func benchmarkIdle(b *testing.B, all []*process) {
	used := func() (sum float64) {
		for _, p := range all {
			sum += p.value("process_cpu_seconds_total")
		}
		return sum
	}
	began, before := time.Now(), used()
	for b.Loop() {
		<-time.After(idleWindow)
	}
	percent := 100 * (used() - before) / time.Since(began).Seconds() / float64(len(all))
	var memory []float64
	for _, p := range all {
		memory = append(memory, p.value("process_resident_memory_bytes"))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(percent, "cpu-%-of-a-core-each")
	b.ReportMetric(measure.Median(memory)/(1<<20), "rss-MiB-median")
	b.ReportMetric(measure.Quantile(memory, 1)/(1<<20), "rss-MiB-largest")
}

func benchmarkScrape(b *testing.B, p *process) {
	client := http.Client{Timeout: limit} // keeps its connection and takes gzip, as Prometheus does
	defer client.CloseIdleConnections()
	var times []time.Duration
	var page []byte
	for b.Loop() {
		began := time.Now()
		r, err := client.Get(p.page)
		if err != nil {
			b.Fatal(err)
		}
		page, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	series := 0
	for line := range bytes.Lines(page) {
		if line[0] != '#' {
			series++
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(measure.Median(times)), "scrape-ms")
	b.ReportMetric(float64(len(page))/1024, "page-KiB")
	b.ReportMetric(float64(series), "series")
}

// benchmarkStart stops the node of a directory in order, opens its database
// alone, and starts it until it may be relied on: it has peers, and the
// network's tip.
func benchmarkStart(b *testing.B, dir string, p *process) {
	var opens, serves, readies, stops []time.Duration
	var x []float64
	for b.Loop() {
		began := time.Now()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if o := p.outcome(); o.code != exitOK {
			b.Fatalf("exit code %d; stderr:\n%s", o.code, o.stderr)
		}
		stops = append(stops, time.Since(began))

		began = time.Now()
		db, err := store.Open(filepath.Join(dir, config.Default().DataDir))
		if err != nil {
			b.Fatal(err)
		}
		opens = append(opens, time.Since(began))
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}

		began = time.Now()
		p = start(b, "--config", filepath.Join(dir, testnet.ConfigFile))
		serves = append(serves, time.Since(began))
		p.awaitReady()
		readies = append(readies, time.Since(began))
		x = append(x, readies[len(readies)-1].Seconds()/opens[len(opens)-1].Seconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(measure.Median(opens)), "open-db-ms")
	b.ReportMetric(ms(measure.Median(serves)), "serves-ms")
	b.ReportMetric(ms(measure.Median(readies)), "ready-ms")
	b.ReportMetric(measure.Median(x), "x-open-db")
	b.ReportMetric(ms(measure.Median(stops)), "stop-ms")
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
