package state

import (
	"encoding/binary"
	"iter"

	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// order is a set of nodes, or of quorums by key, ascending by rank and, where
// ranks are equal, by the bytes of their hashes. Every version stays valid.
type order struct {
	ranks trie.Map[trie.Map[struct{}]] // by rankKey; no inner map is empty
}

// rank orders by height, then by index.
func rank(height int32, index uint32) uint64 {
	return uint64(uint32(height)^1<<31)<<32 | uint64(index) // the flipped sign puts negative heights first
}

func (o order) with(rank uint64, proTx wire.Hash) order {
	same, _ := o.ranks.Get(rankKey(rank))
	return order{o.ranks.Set(rankKey(rank), same.Set(proTx, struct{}{}))}
}

func (o order) without(rank uint64, proTx wire.Hash) order {
	same, _ := o.ranks.Get(rankKey(rank))
	if same = same.Delete(proTx); same.Len() == 0 {
		return order{o.ranks.Delete(rankKey(rank))}
	}
	return order{o.ranks.Set(rankKey(rank), same)}
}

// all walks ranks and nodes in order.
func (o order) all() iter.Seq2[uint64, wire.Hash] {
	return func(yield func(uint64, wire.Hash) bool) {
		for key, same := range o.ranks.All() {
			for proTx := range same.All() {
				if !yield(binary.BigEndian.Uint64(key[:8]), proTx) {
					return
				}
			}
		}
	}
}

func rankKey(rank uint64) (key wire.Hash) {
	binary.BigEndian.PutUint64(key[:8], rank)
	return key
}
