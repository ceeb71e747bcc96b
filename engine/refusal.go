package engine

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// remember keeps what became of a refused item.
func (e *Engine) remember(id wire.Hash, why inventory.Refusal, out *Effects) {
	if _, known := e.refused.Items().Get(id); known {
		return
	}
	out.put(KindRefusal, id[:], refusalBytes(why))
	evicted := e.refused.Add(id, why)
	deleteRefusals(evicted, out)
	out.Evicted += len(evicted)
}

// maxForgotten is how many refusals are forgotten at once: a commit has its limit.
const maxForgotten = 4096

// forgetRefusals lets items come again that were refused for a reason which no
// longer counts.
func (e *Engine) forgetRefusals(void func(inventory.Refusal) bool, out *Effects) {
	forgotten := 0
	deleteRefusals(e.refused.Drop(func(r inventory.Refusal) bool {
		if forgotten == maxForgotten || !void(r) {
			return false
		}
		forgotten++
		return true
	}), out)
}

func deleteRefusals(ids []wire.Hash, out *Effects) {
	for _, id := range ids {
		out.delete(KindRefusal, id[:])
	}
}

// loadRefusals puts the refused items back in the order of their heights.
func (e *Engine) loadRefusals(r Records, _ meta) error {
	type item struct {
		id  wire.Hash
		why inventory.Refusal
	}
	var items []item
	err := r.Walk(KindRefusal, nil, func(key, value []byte) error {
		if len(key) != wire.HashSize {
			return fmt.Errorf("%w: refusal under a key of %d bytes", state.ErrRecord, len(key))
		}
		why, err := parseRefusal(value)
		items = append(items, item{wire.Hash(key), why})
		return err
	})
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.why.Height, b.why.Height) })
	for _, i := range items {
		e.refused.Add(i.id, i.why)
	}
	return corrupt(err)
}

func refusalBytes(r inventory.Refusal) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(r.Height)), r.Verdict...)
}

func parseRefusal(b []byte) (inventory.Refusal, error) {
	if len(b) < 4 || !validation.Reason(b[4:]).Known() {
		return inventory.Refusal{}, fmt.Errorf("%w: refusal of %d bytes, want 4 and a reason", state.ErrRecord, len(b))
	}
	return inventory.Refusal{Verdict: string(b[4:]), Height: int32(binary.BigEndian.Uint32(b))}, nil
}
