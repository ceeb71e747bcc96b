// Package uptime judges uptime proofs and remembers the last one of each
// service node, with the height it was heard at and the hosts it named. All
// of it is one node's own view: no two nodes hear the same at the same height.
package uptime

import (
	"iter"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// Book holds the records of service nodes. It is a value: a change answers
// with a new one, and the old one stays valid for whoever reads it. It is
// bounded by the registry, as only proofs of registered nodes are admitted;
// Without is for nodes that leave the registry. The zero value is empty.
type Book struct{ records trie.Map[Record] }

// Len returns the number of nodes heard of.
func (b Book) Len() int { return b.records.Len() }

// Get returns the record of a node and whether it was ever heard of.
func (b Book) Get(proTx wire.Hash) (Record, bool) { return b.records.Get(proTx) }

// All walks the records in ascending byte order of ProTxHash.
func (b Book) All() iter.Seq2[wire.Hash, Record] { return b.records.All() }

// With returns b after an admitted proof, heard when our tip was at that height.
func (b Book) With(p wire.UptimeProof, heard int32) Book {
	old, _ := b.records.Get(p.ProTxHash)
	return b.Put(old.hear(p, heard))
}

// Put returns b with a record as it was stored.
func (b Book) Put(r Record) Book { return Book{b.records.Set(r.Proof.ProTxHash, r)} }

// Without returns b without a node.
func (b Book) Without(proTx wire.Hash) Book { return Book{b.records.Delete(proTx)} }

// Fresh reports whether a node was heard of at most ProofValidity blocks ago.
func (b Book) Fresh(proTx wire.Hash, tip int32, rules params.Service) bool {
	r, ok := b.records.Get(proTx)
	return ok && r.Fresh(tip, rules)
}
