package testnet

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Simulation runs the engines of a network in virtual time: the same engines
// that nodes run, making real blocks, proofs and votes, without sockets,
// disks and clocks. What an engine stores is kept, so that it can be started
// again or handed to a real node.
type Simulation struct {
	*Network
	Slot uint64 // the present one

	members []*simulated
	verify  chain.Verifier
	link    Link
	random  *rand.Rand
	queue   []parcel // under way
	handed  int      // of the queue's first, those that have arrived
	early   []parcel // that came before their time, see wait
}

// Link decides what becomes of one message on its way. The zero value of each
// choice is a perfect network.
type Link struct {
	// Cut reports whether a member's messages do not reach another now.
	Cut func(from, to int) bool
	// Mute reports whether a message of a member's own is not sent.
	Mute func(member int, p engine.Publication) bool
	// Forge returns what is sent instead of a message of a member's own.
	Forge func(member int, p engine.Publication) []engine.Publication
	// Probe returns why a service of a member that is up and reached does not
	// answer; "" if it does.
	Probe func(from, target int, p engine.Probe) (failed string)
	// Loss and Twice are the shares of deliveries that are lost, and that come
	// a second time, 0 to 1. Blocks that are lost are fetched later.
	Loss, Twice float64
	// Shuffle delivers what is under way in any order.
	Shuffle bool
}

// simulated is one member: its engine while it is up, and what it has stored.
type simulated struct {
	engine *engine.Engine // nil while it is down
	disk   records
	known  map[int]bool // members it has met
}

// Simulate returns the network before its first slot, every member up. Seed
// decides the order and loss of messages, where link leaves them open.
func (n *Network) Simulate(link Link, seed uint64) (*Simulation, error) {
	s := &Simulation{Network: n, link: link, random: rand.New(rand.NewPCG(seed, seed)), verify: sharedVerifier()}
	for i := range n.Members {
		s.members = append(s.members, &simulated{disk: make(records)})
		if err := s.Up(i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Up starts a member from what it has stored.
func (s *Simulation) Up(i int) (err error) {
	m := s.members[i]
	var out *engine.Effects
	m.engine, out, err = engine.Restore(s.engineConfig(i), m.disk)
	if err != nil {
		return fmt.Errorf("testnet: %s: %w", s.Members[i].Name, err)
	}
	m.known = make(map[int]bool)
	if err := s.settle(i, out); err != nil {
		return err
	}
	// Before it hears of anybody it knows the time.
	return s.step(i, engine.Tick{Now: s.Genesis.SlotStart(s.Slot)})
}

func (s *Simulation) engineConfig(i int) engine.Config {
	m := s.Members[i]
	operator := m.Operator
	return engine.Config{Genesis: s.Genesis, ProTxHash: m.ProTxHash, ServiceKey: m.Service, OperatorKey: &operator, Addresses: m.Announced, Verify: s.verify}
}

// Down stops a member. What it has stored stays; its peers notice when the
// next slot begins.
func (s *Simulation) Down(i int) { s.members[i].engine = nil }

// Engine returns the engine of a member, nil while it is down.
func (s *Simulation) Engine(i int) *engine.Engine { return s.members[i].engine }

// Run lets so many slots pass.
func (s *Simulation) Run(slots int) error {
	for range slots {
		s.Slot++
		if err := s.meet(); err != nil {
			return err
		}
		now := engine.Tick{Now: s.Genesis.SlotStart(s.Slot)}
		for _, i := range s.random.Perm(len(s.members)) {
			if s.members[i].engine != nil {
				if err := s.step(i, now); err != nil {
					return err
				}
				if err := s.deliver(); err != nil {
					return err
				}
			}
		}
		if err := s.again(); err != nil {
			return err
		}
	}
	return nil
}

// meet lets members hear of each other's tips and lose sight of each other.
func (s *Simulation) meet() (err error) {
	for i, m := range s.members {
		for j, other := range s.members {
			if i == j || m.engine == nil {
				continue
			}
			reached := other.engine != nil && !s.cut(i, j)
			switch {
			case reached && !m.known[j]:
				m.known[j] = true
				err = s.step(i, engine.PeerTip{Peer: s.peer(j), Height: other.engine.Snapshot().TipHeight()})
			case !reached && m.known[j]:
				delete(m.known, j)
				err = s.step(i, engine.PeerGone{Peer: s.peer(j)})
			}
			if err != nil {
				return err
			}
		}
	}
	return s.deliver()
}

func (s *Simulation) cut(from, to int) bool { return s.link.Cut != nil && s.link.Cut(from, to) }

func (s *Simulation) peer(i int) engine.Peer { return engine.Peer(s.Members[i].Name) }

// Inject sends a message as a member would.
func (s *Simulation) Inject(from int, p engine.Publication) error {
	if err := s.send(from, p); err != nil {
		return err
	}
	return s.deliver()
}

// Submit hands an event to a member as its operator would.
func (s *Simulation) Submit(i int, event wire.Event) validation.Verdict {
	in := engine.Event{Event: event}
	in.Key, _ = engine.SignerOf(s.members[i].engine.Snapshot().State, event)
	v, _ := s.ask(i, in)
	return v
}

// RequestBan is the decision of a member's operator that an evonode is to be
// banned.
func (s *Simulation) RequestBan(i int, proTx wire.Hash) (validation.Verdict, error) {
	v, err := s.ask(i, engine.RequestBan{ProTxHash: proTx})
	if err != nil {
		return v, err
	}
	return v, s.deliver()
}

func (s *Simulation) step(i int, in engine.Input) error {
	var out engine.Effects
	s.members[i].engine.Step(in, 0, &out)
	return s.settle(i, &out)
}

// ask is step for an input that is judged.
func (s *Simulation) ask(i int, in engine.Input) (validation.Verdict, error) {
	var out engine.Effects
	s.members[i].engine.Step(in, 1, &out)
	v := validation.Internal.Verdict() // a member that stops does not reply
	if len(out.Replies) > 0 {
		v = out.Replies[0].Verdict
	}
	return v, s.settle(i, &out)
}

// settle stores what a member wants stored and sends what it wants sent.
func (s *Simulation) settle(i int, out *engine.Effects) error {
	if out.Fatal != nil {
		return fmt.Errorf("testnet: %s stops: %w", s.Members[i].Name, out.Fatal)
	}
	s.members[i].disk.write(out.Writes)
	for _, p := range out.Publications {
		if s.link.Mute != nil && s.link.Mute(i, p) {
			continue
		}
		said := []engine.Publication{p}
		if s.link.Forge != nil {
			said = s.link.Forge(i, p)
		}
		for _, p := range said {
			if err := s.send(i, p); err != nil {
				return err
			}
		}
	}
	for _, x := range out.Shares {
		if to, ok := s.memberOf(x.To); ok && !s.cut(i, to) {
			s.post(parcel{from: i, to: to, message: x.Shares})
		}
	}
	for _, p := range out.Probes {
		if err := s.step(i, engine.Probed{Probe: p, Failed: s.probe(i, p)}); err != nil {
			return err
		}
	}
	for _, f := range out.Fetches {
		if err := s.answer(i, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Simulation) memberOf(proTx wire.Hash) (int, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ProTxHash == proTx })
	return i, i >= 0
}

// probe tries a service of another member.
func (s *Simulation) probe(from int, p engine.Probe) (failed string) {
	target, ok := s.memberOf(p.ProTxHash)
	switch {
	case !ok || s.members[target].engine == nil || s.cut(from, target):
		return "no connection"
	case s.link.Probe != nil:
		return s.link.Probe(from, target, p)
	}
	return ""
}

// answer serves a request for blocks at once.
func (s *Simulation) answer(i int, f engine.Fetch) error {
	reply := engine.Fetched{Peer: f.Peer}
	j, _ := s.Named(string(f.Peer))
	if s.members[j].engine != nil && !s.cut(i, j) {
		for h := f.Range.From; h < f.Range.From+int32(f.Range.Count); h++ {
			raw := s.members[j].disk[engine.KindBlock][string(binary.BigEndian.AppendUint32(nil, uint32(h)))]
			if raw == nil {
				break
			}
			b, err := wire.ParseBlock(raw)
			if err != nil {
				return err
			}
			reply.Blocks = append(reply.Blocks, b)
		}
	}
	return s.step(i, reply)
}

// deliver hands over everything that is under way.
func (s *Simulation) deliver() error {
	for ; s.handed < len(s.queue); s.handed++ {
		if s.link.Shuffle {
			other := s.handed + s.random.IntN(len(s.queue)-s.handed)
			s.queue[s.handed], s.queue[other] = s.queue[other], s.queue[s.handed]
		}
		p := s.queue[s.handed]
		if s.members[p.to].engine == nil {
			continue
		}
		if err := s.hand(p); err != nil {
			return err
		}
	}
	clear(s.queue)
	s.queue, s.handed = s.queue[:0], 0
	return nil
}

// sharedVerifier checks every signature once, however many ask.
func sharedVerifier() chain.Verifier {
	type check struct {
		key string
		msg wire.Hash
		sig string
	}
	const most = 1 << 16
	known := make(map[check]bool)
	return func(key ed25519.PublicKey, msg, sig []byte) bool {
		c := check{string(key), wire.DoubleHash(msg), string(sig)}
		ok, had := known[c]
		if !had {
			if len(known) == most {
				clear(known)
			}
			ok = ed25519.Verify(key, msg, sig)
			known[c] = ok
		}
		return ok
	}
}
