package testnet

import (
	"fmt"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/store"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// History lets the authorities' engines run through the slots that lie in the
// past, in virtual time, and returns the blocks they made: the same blocks
// that live nodes would have made.
func (n *Network) History() ([]wire.Block, error) {
	var engines []*engine.Engine
	for _, m := range n.Members[:len(n.Genesis.Authorities)] {
		e, _, err := engine.New(engine.Config{Genesis: n.Genesis, ProTxHash: m.ProTxHash, ServiceKey: m.Service})
		if err != nil {
			return nil, fmt.Errorf("testnet: history: %w", err)
		}
		engines = append(engines, e)
	}
	var blocks []wire.Block
	for slot := uint64(1); slot < n.start; slot++ { // the present slot is left to the live nodes
		now := engine.Tick{Now: n.Genesis.SlotStart(slot)}
		for _, e := range engines {
			var out engine.Effects
			e.Step(now, 0, &out)
			for _, p := range out.Publications {
				b, err := wire.ParseBlock(p.Bytes)
				if err != nil {
					return nil, fmt.Errorf("testnet: history: %w", err)
				}
				blocks = append(blocks, b)
			}
		}
		for _, e := range engines {
			for _, b := range blocks[max(0, len(blocks)-1):] {
				e.Step(engine.Block{Block: b}, 0, new(engine.Effects))
			}
		}
	}
	return blocks, nil
}

// historyBatch is how many blocks of a history are committed together.
const historyBatch = 256

// Replay feeds blocks to the engine of a node that has stored nothing yet and
// stores what follows in dir, as the node itself would have.
func (n *Network) Replay(dir string, blocks []wire.Block) (err error) {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	e, out, err := engine.New(engine.Config{Genesis: n.Genesis})
	if err != nil {
		return err
	}
	for i, b := range blocks {
		e.Step(engine.Tick{Now: n.Genesis.SlotStart(b.Header.Slot)}, 0, out)
		e.Step(engine.Block{Block: b}, 1, out)
		if r := out.Replies[len(out.Replies)-1]; r.Verdict.Reason != validation.Valid {
			return fmt.Errorf("testnet: block %d of the history is judged %s", b.Header.Height, r.Verdict.Reason)
		}
		if len(out.Writes) >= historyBatch || i == len(blocks)-1 {
			if err := s.Commit(out.Writes); err != nil {
				return err
			}
			out = new(engine.Effects)
		}
	}
	return nil
}
