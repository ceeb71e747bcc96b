package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/wire"
)

// meta is the record that ties the others together.
type meta struct {
	genesis wire.Hash
	standing
	root wire.Hash
}

// standing is where the node stands, as far as a stop must not change it.
type standing struct {
	tip   chain.Tip
	final chain.Tip

	// Of confidence: a node that was down, or on its way up again, has to warm
	// up however often it is restarted meanwhile.
	lost, missed, since int32

	silent uint64 // see leftBehind: a restart is no reason to sign two branches
}

func (s standing) confidence() confidence {
	return confidence{lost: s.lost, missed: s.missed, since: s.since}
}

// standingAt is where we stand once our branch ends in tip.
func (e *Engine) standingAt(tip chain.Tip) standing {
	c := e.confidence
	return standing{tip: tip, final: e.tree.Final(), lost: c.lost, missed: c.missed, since: c.since, silent: e.silentUntil}
}

// putMeta writes where we stand, if that has changed since it was written.
func (e *Engine) putMeta(out *Effects) {
	if l := e.branch.last(); e.standingAt(l.Tip) != e.written {
		e.putMetaOf(l, out)
	}
}

// putMetaOf writes that the database stands at l.
func (e *Engine) putMetaOf(l *Link, out *Effects) {
	e.written = e.standingAt(l.Tip)
	out.put(KindMeta, nil, meta{e.network, e.written, l.State.Root()}.bytes())
}

// The record: genesis, tip, final block, root, the heights of confidence, slot.
const (
	tipSize  = 4 + 8 + wire.HashSize
	metaSize = 2*wire.HashSize + 2*tipSize + 3*4 + 8
)

func (m meta) bytes() []byte {
	b := append(make([]byte, 0, metaSize), m.genesis[:]...)
	b = append(appendTip(appendTip(b, m.tip), m.final), m.root[:]...)
	for _, height := range []int32{m.lost, m.missed, m.since} {
		b = binary.BigEndian.AppendUint32(b, uint32(height))
	}
	return binary.BigEndian.AppendUint64(b, m.silent)
}

func appendTip(b []byte, t chain.Tip) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(t.Height))
	b = binary.BigEndian.AppendUint64(b, t.Slot)
	return append(b, t.Hash[:]...)
}

func tipOf(b []byte) chain.Tip {
	return chain.Tip{Height: heightOf(b), Slot: binary.BigEndian.Uint64(b[4:]), Hash: wire.Hash(b[12:tipSize])}
}

func parseMeta(b []byte) (meta, error) {
	if len(b) != metaSize {
		return meta{}, fmt.Errorf("%w: meta of %d bytes, want %d", state.ErrRecord, len(b), metaSize)
	}
	m := meta{genesis: wire.Hash(b[:wire.HashSize])}
	b = b[wire.HashSize:]
	m.tip, m.final = tipOf(b), tipOf(b[tipSize:])
	b = b[2*tipSize:]
	m.root = wire.Hash(b[:wire.HashSize])
	b = b[wire.HashSize:]
	m.lost, m.missed, m.since = heightOf(b), heightOf(b[4:]), heightOf(b[8:])
	m.silent = binary.BigEndian.Uint64(b[12:])
	if m.lost < state.NoHeight || m.missed < 0 || m.since < 0 {
		return meta{}, fmt.Errorf("%w: meta says that at %d we fell behind and at %d had missed %d blocks", state.ErrRecord, m.lost, m.since, m.missed)
	}
	return m, nil
}
