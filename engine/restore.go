package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// Errors of Restore. Both name what differs.
var (
	ErrOtherNetwork = errors.New("the database belongs to another network")
	ErrCorrupt      = errors.New("the database contradicts itself")
)

// Records is what an earlier run stored.
type Records interface {
	// Get returns one record; nil if there is none.
	Get(kind Kind, key []byte) ([]byte, error)
	// Walk calls f for the records of a kind in ascending order of their
	// keys, from key from on, until f fails.
	Walk(kind Kind, from []byte, f func(key, value []byte) error) error
}

// neverRan reports a database that lost the record which ties the others
// together. One with nodes and nothing else was interrupted when it was first
// written, see New.
func neverRan(r Records) error {
	for _, k := range Kinds() {
		if k == KindNode {
			continue
		}
		err := r.Walk(k, nil, func(_, _ []byte) error { return fmt.Errorf("records of kind %d, but no tip", k) })
		if err != nil {
			return corrupt(err)
		}
	}
	return nil
}

// meta is the record that ties the others together.
type meta struct {
	genesis wire.Hash
	tip     chain.Tip
	root    wire.Hash
}

func (e *Engine) putMeta(out *Effects) {
	tip, root := e.chain.Tip(), e.state.Root()
	b := append([]byte(nil), e.network[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(tip.Height))
	b = binary.BigEndian.AppendUint64(b, tip.Slot)
	b = append(b, tip.Hash[:]...)
	out.put(KindMeta, nil, append(b, root[:]...))
}

func parseMeta(b []byte) (meta, error) {
	const size = 32 + 4 + 8 + 32 + 32
	if len(b) != size {
		return meta{}, fmt.Errorf("%w: meta of %d bytes, want %d", state.ErrRecord, len(b), size)
	}
	return meta{
		genesis: wire.Hash(b[0:32]),
		tip: chain.Tip{
			Height: int32(binary.BigEndian.Uint32(b[32:36])),
			Slot:   binary.BigEndian.Uint64(b[36:44]),
			Hash:   wire.Hash(b[44:76]),
		},
		root: wire.Hash(b[76:108]),
	}, nil
}

// Restore returns the engine as it was when the last batch was stored, or a
// new one when nothing was. What comes back is checked: the registry against
// the state root, the tip against the last block. effects holds what must be
// stored and done first: the bans that still stand are in it.
func Restore(c Config, r Records) (e *Engine, effects *Effects, err error) {
	raw, err := r.Get(KindMeta, nil)
	if err != nil {
		return nil, nil, err
	}
	if raw == nil {
		if err := neverRan(r); err != nil {
			return nil, nil, err
		}
		return New(c)
	}
	m, err := parseMeta(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if want := c.Genesis.Hash(); m.genesis != want {
		return nil, nil, fmt.Errorf("%w: it has genesis %s, the configuration %s", ErrOtherNetwork, m.genesis, want)
	}
	if e, err = blank(c); err != nil {
		return nil, nil, err
	}
	for _, load := range []func(Records, meta) error{e.loadNodes, e.loadBlocks, e.loadFlags, e.loadBans, e.loadRefusals, e.loadLedger, e.loadContacts} {
		if err := load(r, m); err != nil {
			return nil, nil, err
		}
	}
	if err := e.checkKeys(); err != nil {
		return nil, nil, err
	}
	effects = &Effects{Bans: e.ledger.standing(), Known: slices.SortedFunc(maps.Values(e.contacts.reached), newestFirst)}
	e.ledger.enforce(effects)
	return e, effects, nil
}

func (e *Engine) loadNodes(r Records, m meta) error {
	var nodes []state.Node
	err := r.Walk(KindNode, nil, func(_, value []byte) error {
		n, err := state.ParseNode(value)
		nodes = append(nodes, n)
		return err
	})
	if err != nil {
		return corrupt(err)
	}
	e.state, err = state.Load(e.config.Genesis, func(yield func(state.Node) bool) {
		for _, n := range nodes {
			if !yield(n) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if root := e.state.Root(); root != m.root {
		return fmt.Errorf("%w: the registry has root %s, at height %d it was %s", ErrCorrupt, root, m.tip.Height, m.root)
	}
	return nil
}

func (e *Engine) loadBlocks(r Records, m meta) error {
	var hashes []wire.Hash
	last := chain.Tip{Hash: m.genesis}
	next := max(1, m.tip.Height-chain.RecentBlocks+1)
	err := r.Walk(KindBlock, heightKey(next), func(_, value []byte) error {
		b, err := wire.ParseBlock(value)
		switch {
		case err != nil:
			return err
		case b.Header.Height != next:
			return fmt.Errorf("block %d stands where %d should", b.Header.Height, next)
		}
		last = chain.Tip{Height: next, Slot: b.Header.Slot, Hash: b.Header.Hash()}
		hashes = append(hashes, last.Hash)
		next++
		return nil
	})
	if err != nil {
		return corrupt(err)
	}
	if last != m.tip {
		return fmt.Errorf("%w: the last block is %d, slot %d, %s, the tip %d, slot %d, %s", ErrCorrupt,
			last.Height, last.Slot, last.Hash, m.tip.Height, m.tip.Slot, m.tip.Hash)
	}
	e.chain.Restore(m.tip, hashes)
	return nil
}

func (e *Engine) loadFlags(r Records, _ meta) error {
	return corrupt(r.Walk(KindFlag, nil, func(key, value []byte) error {
		if len(key) != wire.HashSize {
			return fmt.Errorf("%w: flag under a key of %d bytes", state.ErrRecord, len(key))
		}
		f, err := state.ParseBanFlag(value)
		e.flags = e.flags.Set(wire.Hash(key), f)
		return err
	}))
}

func (e *Engine) loadBans(r Records, _ meta) error {
	return corrupt(r.Walk(KindBan, nil, func(_, value []byte) error {
		m, err := wire.ParsePlatformBan(value)
		if err == nil {
			e.inventory.Add(m)
		}
		return err
	}))
}

func (e *Engine) loadLedger(r Records, _ meta) error {
	err := r.Walk(KindAccount, nil, func(key, value []byte) error {
		a, err := parseAccount(Peer(key), value)
		e.ledger.accounts = e.ledger.accounts.Set(peerKey(a.Peer), a)
		return err
	})
	if err != nil {
		return corrupt(err)
	}
	return corrupt(r.Walk(KindPeerBan, nil, func(key, value []byte) error {
		b, err := parsePeerBan(Peer(key), value)
		e.ledger.bans = e.ledger.bans.Set(peerKey(b.Peer), b)
		return err
	}))
}

func (e *Engine) loadContacts(r Records, _ meta) error {
	err := r.Walk(KindContact, nil, func(key, value []byte) error {
		c, err := parseContact(Peer(key), value)
		e.contacts.reached[c.Peer] = c
		return err
	})
	if err != nil {
		return corrupt(err)
	}
	return corrupt(r.Walk(KindFarewell, nil, func(key, value []byte) error {
		f, err := parseFarewell(Peer(key), value)
		e.contacts.farewells = e.contacts.farewells.Set(peerKey(f.Peer), f)
		return err
	}))
}

func newestFirst(a, b Contact) int {
	return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Peer, b.Peer))
}

func corrupt(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
