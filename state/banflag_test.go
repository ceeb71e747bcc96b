package state

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/wire"
)

// fact is something a node hears about one evonode: a ban or a clearing block.
type fact struct {
	ban    bool
	height int32
	quorum byte // of the ban
}

// hears is what the engine does with a fact.
func (f BanFlag) hears(x fact) BanFlag {
	switch {
	case !x.ban:
		return f.Cleared(x.height)
	case f.Takes(x.height):
		return f.Banned(wire.PlatformBan{SignedHeight: x.height, QuorumHash: wire.Hash{x.quorum}})
	default:
		return f
	}
}

// Source: the state machine of spec/dash.md 1.5.
func TestBanFlag_HeightRule(t *testing.T) {
	for _, c := range []struct {
		name  string
		heard []fact
		takes int32 // a ban at this height
		taken bool
		set   bool // before it
	}{
		{"nothing heard", nil, 0, true, false},
		{"never below zero", nil, -1, false, false},
		{"newer ban", []fact{{true, 10, 0}}, 11, true, true},
		{"equal height, another quorum", []fact{{true, 10, 0}}, 10, true, true},
		{"older ban", []fact{{true, 10, 0}}, 9, false, true},
		{"before the clearing block", []fact{{true, 10, 0}, {false, 20, 0}}, 19, false, false},
		{"at the clearing block: the ban wins", []fact{{true, 10, 0}, {false, 20, 0}}, 20, true, false},
		{"cleared and banned at one height", []fact{{false, 20, 0}, {true, 20, 0}}, 20, true, true},
		{"banned and cleared at one height", []fact{{true, 20, 0}, {false, 20, 0}}, 20, true, true},
		{"cleared without a ban", []fact{{false, 20, 0}}, 19, false, false},
		{"banned again", []fact{{true, 10, 0}, {false, 20, 0}, {true, 30, 0}}, 29, false, true},
		{"ban at height zero", []fact{{true, 0, 0}}, 0, true, true},
	} {
		f := NoBanFlag()
		for _, x := range c.heard {
			f = f.hears(x)
		}
		if f.Set() != c.set || f.Takes(c.takes) != c.taken {
			t.Errorf("%s: set %t, takes %d: %t; want %t, %t", c.name, f.Set(), c.takes, f.Takes(c.takes), c.set, c.taken)
		}
	}
}

// Gossip brings facts late, twice and in any order: all nodes that heard the
// same must agree on whether the flag is set and on which heights it takes.
func TestBanFlag_OrderDoesNotMatter(t *testing.T) {
	facts := rapid.Custom(func(t *rapid.T) fact {
		return fact{rapid.Bool().Draw(t, "ban"), rapid.Int32Range(0, 6).Draw(t, "height"), rapid.Byte().Draw(t, "quorum")}
	})
	rapid.Check(t, func(t *rapid.T) {
		heard := rapid.SliceOf(facts).Draw(t, "facts")
		a, b := NoBanFlag(), NoBanFlag()
		for _, x := range heard {
			a = a.hears(x).hears(x)
		}
		for _, x := range append(rapid.Permutation(heard).Draw(t, "order"), heard...) {
			b = b.hears(x)
		}
		if a.Set() != b.Set() {
			t.Fatalf("%v: set %t in one order, %t in another", heard, a.Set(), b.Set())
		}
		for h := int32(-1); h < 8; h++ {
			if a.Takes(h) != b.Takes(h) {
				t.Fatalf("%v: takes %d: %t in one order, %t in another", heard, h, a.Takes(h), b.Takes(h))
			}
		}
		if a.Set() && a.Ban != b.Ban {
			t.Fatalf("%v: evidence differs with the order", heard)
		}
	})
}

func FuzzParseBanFlag(f *testing.F) {
	f.Add(NoBanFlag().Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		flag, err := ParseBanFlag(b)
		if err == nil && !bytes.Equal(flag.Bytes(), b) || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%x decodes and encodes to %x, %v", b, flag.Bytes(), err)
		}
	})
}
