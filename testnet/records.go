package testnet

import (
	"bytes"
	"maps"
	"slices"

	"github.com/proctornet/proctor/engine"
)

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
