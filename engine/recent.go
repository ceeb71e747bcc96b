package engine

import "github.com/proctornet/proctor/wire"

// recent keeps what was found of the last few things, by hash. Whatever it has
// forgotten can be found again.
type recent[V any] struct {
	found map[wire.Hash]V
	order []wire.Hash // oldest first
	most  int
}

func newRecent[V any](most int) recent[V] { return recent[V]{found: make(map[wire.Hash]V), most: most} }

func (r *recent[V]) get(key wire.Hash) (value V, ok bool) {
	value, ok = r.found[key]
	return value, ok
}

func (r *recent[V]) put(key wire.Hash, value V) {
	if _, had := r.found[key]; !had {
		r.order = append(r.order, key)
	}
	r.found[key] = value
	if len(r.order) > r.most {
		delete(r.found, r.order[0])
		r.order = r.order[1:]
	}
}
