package engine

import (
	"bytes"
	"maps"
	"slices"
)

// records is a database in memory.
type records map[Kind]map[string][]byte

func (r records) apply(writes []Write) {
	for _, w := range writes {
		if r[w.Kind] == nil {
			r[w.Kind] = make(map[string][]byte)
		}
		if w.Value == nil {
			delete(r[w.Kind], string(w.Key))
		} else {
			r[w.Kind][string(w.Key)] = bytes.Clone(w.Value)
		}
	}
}

func (r records) clone() records {
	c := make(records)
	for k, m := range r {
		c[k] = maps.Clone(m)
	}
	return c
}

func (r records) Get(kind Kind, key []byte) ([]byte, error) { return r[kind][string(key)], nil }

func (r records) Walk(kind Kind, from []byte, f func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(r[kind])) {
		if k < string(from) {
			continue
		}
		if err := f([]byte(k), r[kind][k]); err != nil {
			return err
		}
	}
	return nil
}
