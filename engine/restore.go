package engine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/uptime"
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
		if k == KindNode || k == KindStaker || k == KindTombstone || k == KindQuorum {
			continue
		}
		err := r.Walk(k, nil, func(_, _ []byte) error { return fmt.Errorf("records of kind %d, but no tip", k) })
		if err != nil {
			return corrupt(err)
		}
	}
	return nil
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
	for _, load := range []func(Records, meta) error{
		e.loadState, e.loadBranch, e.loadShares, e.loadSessions, e.loadDKGFaults, e.loadMinable, e.loadSigned, e.loadRecovered, e.loadShareFaults, e.loadRequests,
		e.loadProofs, e.loadBallots, e.loadDecisions, e.loadFlags, e.loadBans, e.loadRefusals, e.loadLedger, e.loadContacts,
	} {
		if err := load(r, m); err != nil {
			return nil, nil, err
		}
	}
	if err := e.checkKeys(); err != nil {
		return nil, nil, err
	}
	e.written, e.confidence, e.silentUntil = m.standing, m.confidence(), m.silent
	effects = &Effects{Bans: e.ledger.standing(), Known: slices.SortedFunc(maps.Values(e.contacts.reached), newestFirst)}
	e.ledger.enforce(effects)
	e.dropUndo(effects)
	e.unsent = true
	return e, effects, nil
}

// loadState reads the agreed state at the tip.
func (e *Engine) loadState(r Records, m meta) error {
	var records []state.Record
	for kind, stored := range stateKinds {
		err := r.Walk(stored, nil, func(key, value []byte) error {
			records = append(records, state.Record{Kind: kind, Key: bytes.Clone(key), Value: bytes.Clone(value)})
			return nil
		})
		if err != nil {
			return corrupt(err)
		}
	}
	var err error
	if e.state, err = state.Load(e.config.Genesis, slices.Values(records)); err != nil {
		return corrupt(err)
	}
	if root := e.state.Root(); root != m.root {
		return fmt.Errorf("%w: the registry has root %s, at height %d it was %s", ErrCorrupt, root, m.tip.Height, m.root)
	}
	return nil
}

// loadBranch reads the newest blocks and takes them back one by one, so that
// their states are at hand again.
func (e *Engine) loadBranch(r Records, m meta) error {
	blocks, err := loadBlocks(r, m)
	if err != nil {
		return err
	}
	recent := blocks[max(0, len(blocks)-chain.RecentBlocks-1):]
	headers := make([]wire.Header, len(recent))
	for i, b := range recent {
		headers[i] = b.Header
	}
	if err := e.tree.Restore(m.final, m.tip, headers); err != nil {
		return corrupt(err)
	}
	undo := make(map[int32]state.Diff)
	err = r.Walk(KindUndo, nil, func(key, value []byte) error {
		if len(key) != 4 {
			return fmt.Errorf("%w: undo under a key of %d bytes", state.ErrRecord, len(key))
		}
		d, err := state.ParseUndo(value)
		undo[heightOf(key)] = d
		return err
	})
	if err != nil {
		return corrupt(err)
	}
	s := e.state
	for i := len(blocks) - 1; ; i-- {
		if i < 0 {
			e.branch = append(e.branch, e.newLink(chain.Tip{Hash: m.genesis}, wire.Block{}, s, state.Diff{}))
			break
		}
		b := blocks[i]
		d, have := undo[b.Header.Height]
		tip := chain.Tip{Height: b.Header.Height, Slot: b.Header.Slot, Hash: b.Header.Hash()}
		if !have || i == 0 && tip.Height > 1 { // as far as it goes
			e.branch = append(e.branch, e.newLink(tip, b, s, state.Diff{}))
			break
		}
		e.branch = append(e.branch, e.newLink(tip, b, s, d))
		if s, err = s.Undo(d); err != nil {
			return corrupt(err)
		}
		if root := s.Root(); root != b.Header.StateRoot {
			return fmt.Errorf("%w: block %d taken back gives root %s, its header says %s", ErrCorrupt, b.Header.Height, root, b.Header.StateRoot)
		}
	}
	slices.Reverse(e.branch)
	for height := range undo {
		if height <= e.branch[0].Tip.Height || height > m.tip.Height {
			e.leftover = append(e.leftover, height)
		}
	}
	return nil
}

// dropUndo deletes what takes blocks back that nobody will take back: the stop
// came before it was deleted.
func (e *Engine) dropUndo(out *Effects) {
	slices.Sort(e.leftover)
	for _, height := range e.leftover {
		out.delete(KindUndo, heightKey(height))
	}
	e.leftover = nil
}

// loadBlocks reads the newest blocks, oldest first; the tip's is the last.
func loadBlocks(r Records, m meta) (blocks []wire.Block, err error) {
	last := chain.Tip{Hash: m.genesis}
	next := max(1, m.tip.Height-chain.RecentBlocks-params.CertificateLast)
	err = r.Walk(KindBlock, heightKey(next), func(_, value []byte) error {
		b, err := wire.ParseBlock(value)
		switch {
		case err != nil:
			return err
		case b.Header.Height != next:
			return fmt.Errorf("block %d stands where %d should", b.Header.Height, next)
		}
		last = chain.Tip{Height: next, Slot: b.Header.Slot, Hash: b.Header.Hash()}
		blocks = append(blocks, b)
		next++
		return nil
	})
	if err != nil {
		return nil, corrupt(err)
	}
	if last != m.tip {
		return nil, fmt.Errorf("%w: the last block is %d, slot %d, %s, the tip %d, slot %d, %s", ErrCorrupt,
			last.Height, last.Slot, last.Hash, m.tip.Height, m.tip.Slot, m.tip.Hash)
	}
	return blocks, nil
}

func (e *Engine) loadProofs(r Records, _ meta) error {
	return corrupt(r.Walk(KindProof, nil, func(_, value []byte) error {
		p, err := uptime.ParseRecord(value)
		if err == nil {
			e.proofs = e.proofs.Put(p)
		}
		return err
	}))
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
