// Package trie is a map from hashes to values of which every version stays
// valid: Set and Delete answer with a new map that shares almost everything
// with the old one. The engine changes its map while validators read the
// version they were given, without locks and without copies.
//
// A change copies one node of up to 16 children per level; hashes spread
// evenly, so a map of n keys is about log16(n) levels deep. All walks keys in
// ascending order of their bytes, so what is computed over a map does not
// depend on how it came about.
package trie

import (
	"iter"

	"github.com/proctornet/proctor/wire"
)

// Map maps wire.Hash to V. The zero value is empty and ready to use.
type Map[V any] struct {
	root *node[V]
	size int
}

// node is a leaf when children is nil. A branch has at least two keys below it.
type node[V any] struct {
	key      wire.Hash
	value    V
	children *[16]*node[V]
}

// Len returns the number of keys.
func (m Map[V]) Len() int { return m.size }

// Get returns the value at key and whether there is one.
func (m Map[V]) Get(key wire.Hash) (value V, ok bool) {
	n := m.root
	for depth := 0; n != nil; depth++ {
		if n.children == nil {
			if n.key == key {
				return n.value, true
			}
			break
		}
		n = n.children[nibble(key, depth)]
	}
	return value, false
}

// Set returns m with value at key.
func (m Map[V]) Set(key wire.Hash, value V) Map[V] {
	if _, ok := m.Get(key); !ok {
		m.size++
	}
	m.root = m.root.set(key, value, 0)
	return m
}

// Delete returns m without key.
func (m Map[V]) Delete(key wire.Hash) Map[V] {
	if _, ok := m.Get(key); !ok {
		return m
	}
	m.size--
	m.root = m.root.without(key, 0)
	return m
}

// All walks the entries in ascending byte order of their keys.
func (m Map[V]) All() iter.Seq2[wire.Hash, V] {
	return func(yield func(wire.Hash, V) bool) { m.root.walk(yield) }
}

func (n *node[V]) set(key wire.Hash, value V, depth int) *node[V] {
	leaf := &node[V]{key: key, value: value}
	switch {
	case n == nil:
		return leaf
	case n.children != nil:
		children := *n.children
		i := nibble(key, depth)
		children[i] = children[i].set(key, value, depth+1)
		return &node[V]{children: &children}
	case n.key == key:
		return leaf
	default: // two leaves: put the old one a level down and go on from there
		var children [16]*node[V]
		children[nibble(n.key, depth)] = n
		return (&node[V]{children: &children}).set(key, value, depth)
	}
}

// without returns n less key, which is below n.
func (n *node[V]) without(key wire.Hash, depth int) *node[V] {
	if n.children == nil {
		return nil
	}
	children := *n.children
	i := nibble(key, depth)
	children[i] = children[i].without(key, depth+1)
	var only *node[V]
	for _, c := range children {
		switch {
		case c == nil:
		case only != nil || c.children != nil:
			return &node[V]{children: &children}
		default:
			only = c
		}
	}
	return only // a branch over a single leaf is that leaf
}

func (n *node[V]) walk(yield func(wire.Hash, V) bool) bool {
	if n == nil {
		return true
	}
	if n.children == nil {
		return yield(n.key, n.value)
	}
	for _, c := range n.children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

func nibble(key wire.Hash, depth int) byte {
	b := key[depth/2]
	if depth%2 == 0 {
		return b >> 4
	}
	return b & 0x0f
}
