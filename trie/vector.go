package trie

// Vector is a sequence of which every version stays valid, like Map. A place
// where nothing was set holds the zero value. The zero Vector is empty and
// ready to use.
//
// A change copies one block of 32 per level: 32 values and, for n values,
// about log32(n) blocks of pointers.
type Vector[V any] struct {
	root  *block[V]
	depth int // levels of pointers above the values
	size  int
}

const (
	blockBits  = 5
	blockWidth = 1 << blockBits
)

// block holds values at the bottom level and children above; a nil block is
// all zero values.
type block[V any] struct {
	values   *[blockWidth]V
	children *[blockWidth]*block[V]
}

// Len returns one more than the highest place that was set since it was last
// cut off.
func (v Vector[V]) Len() int { return v.size }

// At returns the value at place i, the zero value where there is none.
func (v Vector[V]) At(i int) (value V) {
	if i < 0 || i >= v.size {
		return value
	}
	b := v.root
	for depth := v.depth; b != nil; depth-- {
		if depth == 0 {
			return b.values[i%blockWidth]
		}
		b = b.children[i>>(blockBits*depth)%blockWidth]
	}
	return value
}

// Set returns v with value at place i >= 0, longer if need be.
func (v Vector[V]) Set(i int, value V) Vector[V] {
	if i < 0 {
		panic("trie: negative place")
	}
	for i>>(blockBits*(v.depth+1)) > 0 {
		if v.root != nil {
			v.root = &block[V]{children: &[blockWidth]*block[V]{v.root}}
		}
		v.depth++
	}
	v.root = v.root.set(i, value, v.depth)
	v.size = max(v.size, i+1)
	return v
}

// Truncate returns the first n values of v.
func (v Vector[V]) Truncate(n int) Vector[V] {
	if n = max(n, 0); n >= v.size {
		return v
	}
	v.size = n
	v.root = v.root.first(n, v.depth)
	for v.depth > 0 && n <= 1<<(blockBits*v.depth) {
		if v.root != nil {
			v.root = v.root.children[0]
		}
		v.depth--
	}
	return v
}

func (b *block[V]) set(i int, value V, depth int) *block[V] {
	at := i >> (blockBits * depth) % blockWidth
	if depth == 0 {
		var values [blockWidth]V
		if b != nil {
			values = *b.values
		}
		values[at] = value
		return &block[V]{values: &values}
	}
	var children [blockWidth]*block[V]
	if b != nil {
		children = *b.children
	}
	children[at] = children[at].set(i, value, depth-1)
	return &block[V]{children: &children}
}

// first returns b with nothing from place n on.
func (b *block[V]) first(n, depth int) *block[V] {
	switch {
	case b == nil || n == 0:
		return nil
	case n>>(blockBits*(depth+1)) > 0:
		return b
	case depth == 0:
		values := *b.values
		clear(values[n:])
		return &block[V]{values: &values}
	}
	children := *b.children
	at := n >> (blockBits * depth)
	children[at] = children[at].first(n&(1<<(blockBits*depth)-1), depth-1)
	clear(children[at+1:])
	return &block[V]{children: &children}
}
