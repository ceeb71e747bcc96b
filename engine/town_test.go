package engine

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// town is a whole network of engines in virtual time. Each stores what it is
// told to and can be stopped at any moment.
type town struct {
	*network
	t      testing.TB
	random *rand.Rand
	rigs   []rig // Engine is nil while it is down
	met    []map[int]bool
	queue  []letter
	slot   uint64
	verify func(ed25519.PublicKey, []byte, []byte) bool

	mute func(i int, p Publication) bool        // what a node does not send
	cut  func(a, b int) bool                    // who does not hear whom
	seen func(i int, in Input, out *Effects)    // after each step, what was stored is on disk
	kill func(i int, in Input, o *Effects) bool // stop it after its commit, before anything leaves
}

type letter struct {
	from, to int
	message  Publication
}

func newTown(t testing.TB, n *network, seed uint64) *town {
	w := &town{network: n, t: t, random: rand.New(rand.NewPCG(seed, 0)), verify: remembering()}
	for i := range n.service {
		w.rigs = append(w.rigs, rig{network: n, t: t, disk: make(records)})
		w.met = append(w.met, nil)
		w.up(i)
	}
	return w
}

// remembering checks each signature once.
func remembering() func(ed25519.PublicKey, []byte, []byte) bool {
	known := make(map[string]bool)
	return func(key ed25519.PublicKey, message, sig []byte) bool {
		k := string(key) + string(message) + string(sig)
		ok, had := known[k]
		if !had {
			ok = ed25519.Verify(key, message, sig)
			known[k] = ok
		}
		return ok
	}
}

func (w *town) up(i int) {
	c := w.configOf(i)
	c.Verify = w.verify
	e, out, err := Restore(c, w.rigs[i].disk)
	if err != nil {
		w.t.Fatalf("node %d: %v", i, err)
	}
	w.rigs[i].Engine, w.met[i] = e, make(map[int]bool)
	w.rigs[i].disk.apply(out.Writes)
}

func (w *town) down(i int) {
	w.rigs[i].Engine = nil
	for j := range w.rigs {
		if w.met[j][i] {
			delete(w.met[j], i)
			w.step(j, PeerGone{Peer(fmt.Sprint(i))})
		}
	}
}

func (w *town) apart(a, b int) bool { return w.cut != nil && w.cut(a, b) }

func (w *town) step(i int, in Input) {
	r := w.rigs[i]
	if r.Engine == nil {
		return
	}
	out := new(Effects)
	r.Step(in, 0, out)
	if out.Fatal != nil {
		w.t.Fatalf("slot %d, node %d: %v", w.slot, i, out.Fatal)
	}
	r.disk.apply(out.Writes)
	if w.seen != nil {
		w.seen(i, in, out)
	}
	if w.kill != nil && w.kill(i, in, out) {
		w.down(i)
		w.up(i)
		return
	}
	for _, p := range out.Publications {
		for to := range w.rigs {
			if to != i && !w.apart(i, to) && (w.mute == nil || !w.mute(i, p)) {
				w.queue = append(w.queue, letter{i, to, p})
			}
		}
	}
	for _, f := range out.Fetches {
		var j int
		fmt.Sscan(string(f.Peer), &j)
		answer := Fetched{Peer: f.Peer}
		for h := f.Range.From; h < f.Range.From+int32(f.Range.Count) && w.rigs[j].Engine != nil && !w.apart(i, j); h++ {
			raw := w.rigs[j].disk[KindBlock][string(heightKey(h))]
			if raw == nil {
				break
			}
			answer.Blocks = append(answer.Blocks, must(wire.ParseBlock(raw)))
		}
		w.step(i, answer)
	}
}

// run lets slots pass.
func (w *town) run(slots int) {
	for range slots {
		w.slot++
		for i := range w.rigs {
			for j, other := range w.rigs {
				reached := i != j && other.Engine != nil && !w.apart(i, j)
				switch {
				case w.rigs[i].Engine == nil:
				case reached && !w.met[i][j]:
					w.met[i][j] = true
					w.step(i, PeerTip{Peer: Peer(fmt.Sprint(j)), Height: other.Snapshot().Tip.Height})
				case !reached && w.met[i][j]:
					delete(w.met[i], j)
					w.step(i, PeerGone{Peer(fmt.Sprint(j))})
				}
			}
		}
		for _, i := range w.random.Perm(len(w.rigs)) {
			w.step(i, Tick{w.genesis.SlotStart(w.slot)})
			w.deliver()
		}
	}
}

func (w *town) deliver() {
	for len(w.queue) > 0 {
		l := w.queue[0]
		w.queue = slices.Delete(w.queue, 0, 1)
		if w.rigs[l.to].Engine == nil {
			continue
		}
		if in := w.input(l); in != nil {
			w.step(l.to, in)
		}
	}
}

func (w *town) input(l letter) Input {
	from := Peer(fmt.Sprint(l.from))
	switch b := l.message.Bytes; l.message.Topic {
	case TopicBlock:
		return Block{from, must(wire.ParseBlock(b))}
	case TopicEvent:
		e := must(wire.ParseEvent(b))
		key, _ := SignerOf(w.rigs[l.to].state, e)
		return Event{from, e, key}
	case TopicUptime:
		p := must(wire.ParseUptimeProof(b))
		n, _ := w.rigs[l.to].state.Node(p.ProTxHash)
		return Proof{from, p, n.ServiceKey}
	case TopicVote:
		return Vote{from, must(wire.ParseVote(b))}
	case TopicCheckpoint:
		return Checkpoint{from, must(wire.ParseCheckpoint(b))}
	default:
		return nil
	}
}
