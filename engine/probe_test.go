package engine

import (
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

const (
	monitorSize      = 5 // so that members alone hear of more than half of all nodes
	monitorThreshold = 3
)

// newMonitors is a council whose members are healthy. Endpoints of the nodes
// in dead answer to nobody but the deceived, of which some do not hear of it.
func newMonitors(t *testing.T) *council {
	c := newCouncil(t, monitorSize, monitorThreshold)
	c.meet()
	c.dead = func(int, Probe) string { return "" }
	c.until(8)
	for i, r := range c.rigs {
		if a := r.ailment(); a != quorum.Sound {
			t.Fatalf("member %d: %s", i, a)
		}
	}
	return c
}

// dies makes nodes' endpoints fail to some members; nil is all.
func (c *council) dies(to []int, dead ...int) {
	c.dead = func(i int, p Probe) string {
		if slices.Contains(dead, c.nodeOf(p.ProTxHash)) && (to == nil || slices.Contains(to, i)) {
			return "connection refused"
		}
		return ""
	}
}

func TestMonitor_BansADeadEndpoint(t *testing.T) {
	c := newMonitors(t)
	c.dies(nil, c.node(victim))
	c.until(16) // probed at 10, 12, 14, 16
	for i := range c.rigs {
		r, ok := c.request(i, c.node(victim))
		if !ok || !r.Monitor || r.Since != 16 {
			t.Fatalf("member %d at %d: request %+v, %v", i, c.tip.Height, r, ok)
		}
		var failed []int32
		for _, a := range r.Evidence {
			if a.Failed != "" {
				failed = append(failed, a.Height)
			}
			if a.Endpoint != endpointOf(c.node(victim)) {
				t.Errorf("evidence of %s", a.Endpoint)
			}
		}
		if !slices.Equal(failed, []int32{10, 12, 14, 16}) {
			t.Errorf("evidence: failed at %v", failed)
		}
	}
	c.wantFlags("asked for", c.node(victim), 8)
	c.next()
	for i, r := range c.rigs {
		if q, _ := c.request(i, c.node(victim)); q.Done != 8 || len(q.Evidence) == 0 {
			t.Errorf("member %d: %+v explains nothing", i, q)
		}
		if _, watched := r.Snapshot().Endpoints.Get(proTx(c.node(victim))); watched && c.tip.Height%2 == 0 {
			t.Errorf("member %d still watches the flagged node", i)
		}
	}
	c.dead = func(i int, p Probe) string {
		if p.ProTxHash == proTx(c.node(victim)) {
			t.Errorf("the flagged node is probed at %d", c.tip.Height)
		}
		return ""
	}
	c.until(20)
}

func TestMonitor_ThreeFailuresAreNone(t *testing.T) {
	c := newMonitors(t)
	c.dies(nil, c.node(victim))
	c.until(15)
	c.dies(nil)
	c.until(17)
	c.dies(nil, c.node(victim))
	c.until(23)
	for i := range c.rigs {
		if r, ok := c.request(i, c.node(victim)); ok {
			t.Errorf("member %d: request %+v", i, r)
		}
	}
}

func TestMonitor_ASuccessWithdraws(t *testing.T) {
	c := newMonitors(t)
	c.dies([]int{0, 1}, c.node(victim)) // the way to it is broken for two
	c.until(16)
	for i := range c.rigs {
		if _, ok := c.request(i, c.node(victim)); ok != (i < 2) {
			t.Fatalf("member %d has a request: %v", i, ok)
		}
	}
	c.ask(1, c.node(victim)) // the operator of one decides so
	c.dies(nil)
	c.until(18)
	if _, ok := c.request(0, c.node(victim)); ok {
		t.Error("it answers, and the monitor's request stands")
	}
	if r, ok := c.request(1, c.node(victim)); !ok || r.Monitor || len(r.Evidence) == 0 {
		t.Errorf("the operator's request: %+v, %v; want it to stand with the evidence", r, ok)
	}
	c.until(30)
	c.wantFlags("one of three asks", c.node(victim), state.NoHeight)
}

func TestMonitor_AccusesOnlyWhenHealthy(t *testing.T) {
	asked := func(c *council) (n int) {
		for i := range c.rigs {
			n += c.rigs[i].Snapshot().Requests.Len()
		}
		return n
	}
	t.Run("others fail too", func(t *testing.T) {
		c := newMonitors(t)
		c.dies([]int{0}, c.node(victim), 3)
		c.until(22)
		if n := asked(c); n != 0 {
			t.Fatalf("two of five endpoints fail, %d requests", n)
		}
		c.dies([]int{0}, c.node(victim))
		c.until(26)
		if r, ok := c.request(0, c.node(victim)); !ok || asked(c) != 1 {
			t.Errorf("one fails: %+v, %v, %d requests", r, ok, asked(c))
		}
	})
	t.Run("few peers", func(t *testing.T) {
		c := newMonitors(t)
		for j := 1; j < monitorSize; j++ {
			c.step(0, PeerGone{Peer(string(rune('0' + j)))})
		}
		c.dies([]int{0}, c.node(victim))
		c.until(22)
		if n := asked(c); n != 0 {
			t.Errorf("it is cut off, %d requests", n)
		}
		c.meet()
		c.until(24)
		if asked(c) != 1 {
			t.Error("it has peers again, and asks for nothing")
		}
	})
}

func TestMonitor_AnswersOfAnotherEndpoint(t *testing.T) {
	c := newMonitors(t)
	c.dies(nil, c.node(victim))
	c.until(14)
	e, _ := c.rigs[0].Snapshot().Endpoints.Get(proTx(c.node(victim)))
	if !e.fails() {
		t.Fatal("it is not watched")
	}
	update := c.update(c.node(victim), 1, "/ip4/127.0.0.1/udp/1/quic-v1")
	update.Platform = "tcp://127.0.0.1:1"
	c.next(c.signEvent(c.node(victim), update))
	late := Probed{Probe: Probe{ProTxHash: proTx(c.node(victim)), Service: Platform, Endpoint: endpointOf(c.node(victim))}, Failed: "timeout"}
	for range 5 {
		c.step(0, late)
		if e, _ := c.rigs[0].Snapshot().Endpoints.Get(proTx(c.node(victim))); e.url() == late.Probe.Endpoint && e.Attempts[len(e.Attempts)-1].Failed == late.Failed {
			t.Errorf("at %d an answer of the endpoint that was is kept", c.tip.Height)
		}
		c.next()
	}
	for _, in := range []Probed{
		{Probe: Probe{ProTxHash: wire.Hash{77}, Service: Platform}, Failed: "x"},
		{Probe: Probe{ProTxHash: proTx(c.node(servant)), Service: Platform}, Failed: "x"},
		{Probe: Probe{ProTxHash: proTx(0), Service: Platform, Endpoint: endpointOf(0)}, Failed: "x"},
	} {
		c.step(0, in)
	}
	s := c.rigs[0].Snapshot()
	e, _ = s.Endpoints.Get(proTx(c.node(victim)))
	for _, a := range e.Attempts {
		if a.Endpoint != update.Platform || a.Failed == "timeout" {
			t.Errorf("kept %+v", a)
		}
	}
	if s.Requests.Len() > 0 && len(e.Attempts) < params.MonitorFailures || s.Endpoints.Len() != monitorSize {
		t.Errorf("%d requests after %d attempts, %d endpoints watched", s.Requests.Len(), len(e.Attempts), s.Endpoints.Len())
	}
}

func TestMonitor_WhoWatchesWhom(t *testing.T) {
	c := newCouncil(t, 4, 3)
	c.until(5)
	c.next(c.revoke(3)) // PoSe-banned
	probes := func(r rig) (nodes []int) {
		r.probedAt = -params.MonitorEvery
		out := new(Effects)
		r.monitor(out)
		for _, p := range out.Probes {
			if p.Service != Platform || p.Endpoint != endpointOf(c.nodeOf(p.ProTxHash)) {
				t.Errorf("%+v", p)
			}
			nodes = append(nodes, c.nodeOf(p.ProTxHash))
		}
		slices.Sort(nodes)
		return nodes
	}
	if got, want := probes(c.rigs[0]), []int{1, 2, c.node(victim)}; !slices.Equal(got, want) {
		t.Errorf("a member watches %v, want %v", got, want)
	}
	outsider := stored(t, c.network, c.node(victim))
	for _, b := range c.chain {
		outsider.at(b.Header.Slot)
		outsider.feed(Block{Block: b})
	}
	if got := probes(outsider); len(got) > 0 {
		t.Errorf("an evonode that is no member watches %v", got)
	}
	c.rigs[1].endpoints = c.rigs[1].endpoints.Set(proTx(2), attempts(2, "xxx"))
	delete(c.rigs[1].keyShares, state.QuorumKey(params.TestPlatform, testQuorum))
	if got := probes(c.rigs[1]); len(got) > 0 || c.rigs[1].Snapshot().Endpoints.Len() > 0 {
		t.Errorf("a member without a share watches %v", got)
	}
}

func TestMonitor_RoundRobin(t *testing.T) {
	const size = 40
	c := newCouncil(t, size, 21)
	for i := 1; i < size; i++ {
		c.down(i)
	}
	var probed []wire.Hash
	c.dead = func(_ int, p Probe) string { probed = append(probed, p.ProTxHash); return "" }
	for round := range 4 {
		c.next()
		c.next()
		if len(probed) != (round+1)*params.MaxProbes {
			t.Fatalf("%d probes in %d rounds, want %d in each", len(probed), round+1, params.MaxProbes)
		}
	}
	for i := size; i < len(probed); i++ { // 39 other members and the one that is none
		if probed[i] != probed[i-size] {
			t.Fatalf("probe %d is of node %d, %d probes earlier it was of %d", i, c.nodeOf(probed[i]), size, c.nodeOf(probed[i-size]))
		}
	}
}
