package inventory

import (
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// MaxRefused is the most refused items remembered. Each cost somebody points;
// beyond it the oldest go.
const MaxRefused = 16_384

// Refusal is what became of an item that was refused.
type Refusal struct {
	Verdict string // reason of the refusal
	Height  int32  // of our tip when it was judged
}

// Refusals is one version of what was refused, by the id of all bytes.
type Refusals = trie.Map[Refusal]

// Refused remembers refused items for as long as an accepted one would be
// remembered. It is not safe for concurrent use; Items returns a version that is.
type Refused struct {
	items Refusals
	queue []wire.Hash // in order of arrival; our tip rises, so in order of heights
}

// Items returns the present version.
func (r *Refused) Items() Refusals { return r.items }

// Add remembers an item and returns the ids that had to go to make room.
func (r *Refused) Add(id wire.Hash, why Refusal) (evicted []wire.Hash) {
	if _, ok := r.items.Get(id); ok {
		return nil
	}
	r.items = r.items.Set(id, why)
	r.queue = append(r.queue, id)
	for len(r.queue) > MaxRefused {
		evicted = append(evicted, r.pop())
	}
	return evicted
}

// Expire forgets the items judged while our tip was below height and returns
// their ids.
func (r *Refused) Expire(height int32) (expired []wire.Hash) {
	for len(r.queue) > 0 {
		if first, _ := r.items.Get(r.queue[0]); first.Height >= height {
			break
		}
		expired = append(expired, r.pop())
	}
	return expired
}

// Drop forgets the items of which gone is true and returns their ids.
func (r *Refused) Drop(gone func(Refusal) bool) (dropped []wire.Hash) {
	var kept []wire.Hash
	for _, id := range r.queue {
		if why, _ := r.items.Get(id); !gone(why) {
			kept = append(kept, id)
			continue
		}
		r.items = r.items.Delete(id)
		dropped = append(dropped, id)
	}
	r.queue = kept
	return dropped
}

func (r *Refused) pop() wire.Hash {
	id := r.queue[0]
	r.queue = r.queue[1:]
	r.items = r.items.Delete(id)
	return id
}
