package testnet

import (
	"testing"
	"time"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/measure"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// The load of BenchmarkFlood: waves of honest bans, as many as a peer's queue
// takes at once, and as many forgeries beside each.
const (
	waves   = 6
	perWave = 256
)

// BenchmarkFlood measures how fast one node takes the bans of an honest
// service node, alone and while another peer sends it as many with
// wrong signatures. Ordinarily the first of them bans that peer; in a dry run
// it goes on to the end.
func BenchmarkFlood(b *testing.B) {
	for _, c := range []struct {
		name   string
		dryRun bool
		inside bool // the flood comes from a service node
	}{{"stranger", false, false}, {"stranger-never-banned", true, false}, {"service-node-never-banned", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				calm := honestTime(b, c.dryRun, c.inside, false)
				flooded := honestTime(b, c.dryRun, c.inside, true)
				ratios = append(ratios, calm.Seconds()/flooded.Seconds())
			}
			aim := "(min:0.8)"
			if c.inside {
				aim = "(reported)"
			}
			b.ReportMetric(measure.Median(ratios), "x-undisturbed"+aim)
		})
	}
}

// honestTime is how long a node takes until it has judged the honest bans,
// with forgeries beside them or without.
func honestTime(b *testing.B, dryRun, inside, flood bool) time.Duration {
	o := frozen("core")
	o.Nodes, o.Regular = 67, 1
	c := newLargeBench(b, o)
	c.dryRun = dryRun
	c.start(0)
	honest := c.insider(1, 0)
	var liar *Stranger
	if inside {
		liar = c.insider(2, 0)
	} else {
		liar = c.stranger(0)
	}
	tip := c.Node(0).Snapshot().TipHeight()
	good, wrong := floodBans(c, tip)
	began := time.Now()
	for wave := range waves {
		for i := wave * perWave; i < (wave+1)*perWave; i++ {
			if flood {
				liar.Say(engine.TopicPlatformBan, wrong[i].Bytes())
			}
			honest.Say(engine.TopicPlatformBan, good[i].Bytes())
		}
		c.await("the honest bans", func() bool { // an older one that comes behind a newer one is stale
			return c.Judged(0, validation.Valid.Verdict())+c.Judged(0, validation.Stale.Verdict()) == float64((wave+1)*perWave)
		})
	}
	took := time.Since(began)
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

// floodBans signs the honest bans and forges as many. Keys and quorum follow
// from the seed, so that one signing serves every run.
var floodBans = func() func(*bench, int32) (good, wrong []wire.PlatformBan) {
	var good, wrong []wire.PlatformBan
	return func(c *bench, tip int32) ([]wire.PlatformBan, []wire.PlatformBan) {
		for i := len(good); i < waves*perWave; i++ {
			good = append(good, c.ban(c.evo(i%64+1), tip-500+int32(i/64)))
			wrong = append(wrong, wire.PlatformBan{
				ProTxHash: c.evo(i%64 + 1), SignedHeight: tip - 400 + int32(i/64),
				QuorumHash: good[0].QuorumHash, Signature: good[0].Signature,
			})
		}
		return good, wrong
	}
}()
