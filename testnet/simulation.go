package testnet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"maps"
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
}

// Link decides what becomes of one message on its way. The zero value of each
// choice is a perfect network.
type Link struct {
	// Cut reports whether two members do not hear each other now.
	Cut func(a, b int) bool
	// Mute reports whether a message of a member's own is not sent.
	Mute func(member int, p engine.Publication) bool
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

// parcel is a message on its way to one member.
type parcel struct {
	from, to int
	message  any // decoded, shared by all who get it
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

func (s *Simulation) cut(a, b int) bool { return s.link.Cut != nil && s.link.Cut(a, b) }

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
	var out engine.Effects
	s.members[i].engine.Step(in, 1, &out)
	s.settle(i, &out)
	return out.Replies[0].Verdict
}

func (s *Simulation) step(i int, in engine.Input) error {
	var out engine.Effects
	s.members[i].engine.Step(in, 0, &out)
	return s.settle(i, &out)
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
		if err := s.send(i, p); err != nil {
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

func (s *Simulation) send(from int, p engine.Publication) error {
	message, err := decode(p)
	if err != nil || message == nil {
		return err
	}
	for to := range s.members {
		if to == from || s.cut(from, to) {
			continue
		}
		if s.link.Loss == 0 || s.random.Float64() >= s.link.Loss {
			s.queue = append(s.queue, parcel{from, to, message})
		}
		if s.link.Twice > 0 && s.random.Float64() < s.link.Twice {
			s.queue = append(s.queue, parcel{from, to, message})
		}
	}
	return nil
}

// decode returns what a publication says, nil for a ban: bans are not
// simulated.
func decode(p engine.Publication) (message any, err error) {
	switch p.Topic {
	case engine.TopicBlock:
		message, err = wire.ParseBlock(p.Bytes)
	case engine.TopicEvent:
		message, err = wire.ParseEvent(p.Bytes)
	case engine.TopicUptime:
		message, err = wire.ParseUptimeProof(p.Bytes)
	case engine.TopicVote:
		message, err = wire.ParseVote(p.Bytes)
	case engine.TopicCheckpoint:
		message, err = wire.ParseCheckpoint(p.Bytes)
	}
	return message, err
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
		if in := s.input(p); in != nil {
			if err := s.step(p.to, in); err != nil {
				return err
			}
		}
	}
	clear(s.queue)
	s.queue, s.handed = s.queue[:0], 0
	return nil
}

// input is what a message becomes once its signatures are checked: they are
// not checked here, so forged ones have no place in a simulation.
func (s *Simulation) input(p parcel) engine.Input {
	from := s.peer(p.from)
	view := s.members[p.to].engine.Snapshot
	switch m := p.message.(type) {
	case wire.Block:
		return engine.Block{From: from, Block: m}
	case wire.UptimeProof:
		node, known := view().State.Node(m.ProTxHash)
		if !known {
			return nil
		}
		return engine.Proof{From: from, Proof: m, Key: node.ServiceKey}
	case wire.Vote:
		return engine.Vote{From: from, Vote: m}
	case wire.Checkpoint:
		return engine.Checkpoint{From: from, Checkpoint: m}
	case wire.Event:
		key, _ := engine.SignerOf(view().State, m)
		return engine.Event{From: from, Event: m, Key: key}
	default:
		panic(fmt.Sprintf("testnet: message of type %T", m))
	}
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

// records is a database in memory.
type records map[engine.Kind]map[string][]byte

func (r records) write(writes []engine.Write) {
	for _, w := range writes {
		if r[w.Kind] == nil {
			r[w.Kind] = make(map[string][]byte)
		}
		if w.Value == nil {
			delete(r[w.Kind], string(w.Key))
		} else {
			r[w.Kind][string(w.Key)] = w.Value
		}
	}
}

// Get returns one record; nil if there is none.
func (r records) Get(kind engine.Kind, key []byte) ([]byte, error) { return r[kind][string(key)], nil }

// Walk calls f for the records of a kind from a key on, in order.
func (r records) Walk(kind engine.Kind, from []byte, f func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(r[kind])) {
		if bytes.Compare([]byte(key), from) < 0 {
			continue
		}
		if err := f([]byte(key), r[kind][key]); err != nil {
			return err
		}
	}
	return nil
}

// all lists the records; the one that makes the others count is the last.
func (r records) all() (writes []engine.Write) {
	for _, kind := range engine.Kinds() {
		for key, value := range r[kind] {
			if kind != engine.KindMeta {
				writes = append(writes, engine.Write{Kind: kind, Key: []byte(key), Value: value})
			}
		}
	}
	return append(writes, engine.Write{Kind: engine.KindMeta, Value: r[engine.KindMeta][""]})
}
