package signing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

func llmqOf(t testing.TB, n wire.LLMQType) params.LLMQ {
	t.Helper()
	p, err := params.LLMQByType(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func minedAt(heights ...int32) (list []Mined) {
	for _, h := range heights {
		list = append(list, Mined{wire.DoubleHash([]byte{byte(h)}), h})
	}
	return list
}

func heightsOf(list []Mined) (heights []int32) {
	for _, m := range list {
		heights = append(heights, m.Height)
	}
	return heights
}

// Type 106: two sign, four are taken. Commitments are mined at 10 to 18 of 24.
func TestActive(t *testing.T) {
	p := llmqOf(t, params.TestPlatform)
	mined := minedAt(35, 58, 90, 106, 131, 154)
	for _, c := range []struct {
		height             int32
		active, acceptable []int32
	}{
		{34, nil, nil},
		{35, []int32{35}, []int32{35}},
		{89, []int32{58, 35}, []int32{58, 35}},
		{90, []int32{90, 58}, []int32{90, 58, 35}},
		{153, []int32{131, 106}, []int32{131, 106, 90, 58}},
		{154, []int32{154, 131}, []int32{154, 131, 106, 90}},
		{1 << 30, []int32{154, 131}, []int32{154, 131, 106, 90}},
		{-1 << 31, nil, nil},
	} {
		if got := heightsOf(Active(p, mined, c.height)); !slices.Equal(got, c.active) {
			t.Errorf("active at %d: %v, want %v", c.height, got, c.active)
		}
		if got := heightsOf(Acceptable(p, mined, c.height)); !slices.Equal(got, c.acceptable) {
			t.Errorf("acceptable at %d: %v, want %v", c.height, got, c.acceptable)
		}
	}
}

// The rule of the windows, as spec/dash.md 3.3 has it, is the same.
func TestActive_AgreesWithTheWindows(t *testing.T) {
	p := llmqOf(t, params.TestPlatform)
	rapid.Check(t, func(t *rapid.T) {
		var mined []Mined
		for base := int32(0); base < 240; base += p.DKGInterval {
			if rapid.Bool().Draw(t, "made") {
				mined = append(mined, minedAt(base+rapid.Int32Range(p.MiningStart, p.MiningEnd).Draw(t, "at"))...)
			}
		}
		height := rapid.Int32Range(0, 260).Draw(t, "height")
		base, until := height-height%p.DKGInterval, height
		switch at := height - base; {
		case at < p.MiningStart:
			until = base - p.DKGInterval + p.MiningEnd
		case at > p.MiningEnd:
			until = base + p.MiningEnd
		}
		var want []int32
		for _, m := range slices.Backward(mined) {
			if m.Height <= until && len(want) < p.SigningActive {
				want = append(want, m.Height)
			}
		}
		if got := heightsOf(Active(p, mined, height)); !slices.Equal(got, want) {
			t.Fatalf("at %d of %v: %v, want %v", height, heightsOf(mined), got, want)
		}
	})
}

// The first commitment of a devnet is mined at 35; the first signature is
// possible 8 blocks later. Source: DESIGN.md section 9.
func TestSelect(t *testing.T) {
	p := llmqOf(t, params.TestPlatform)
	id := wire.DoubleHash([]byte("id"))
	if q, ok := Select(p, minedAt(35), id, 42); ok {
		t.Errorf("%+v signs at 42", q)
	}
	if q, ok := Select(p, minedAt(35), id, 43); !ok || q.Height != 35 {
		t.Errorf("at 43: %+v, %t", q, ok)
	}
	if _, ok := Select(p, minedAt(35), id, -1<<31); ok {
		t.Error("the height wraps")
	}
	p.Rotated = true
	if _, ok := Select(p, minedAt(35), id, 43); ok {
		t.Error("a rotated type is selected by the rule of others")
	}
	p.Rotated = false

	// Of the pool and of nothing else the lowest hash, computed here by hand.
	mined := minedAt(10, 35, 58)
	chosen := map[int32]int{}
	for i := range byte(40) {
		id := wire.Hash{i}
		best, lowest := Mined{}, bytes.Repeat([]byte{0xff}, 32)
		for _, m := range mined[1:] {
			once := sha256.Sum256(slices.Concat([]byte{106}, m.Hash[:], id[:]))
			if twice := sha256.Sum256(once[:]); bytes.Compare(twice[:], lowest) < 0 {
				best, lowest = m, twice[:]
			}
		}
		got, ok := Select(p, mined, id, 70)
		if !ok || got != best {
			t.Errorf("id %d: %+v, want %+v", i, got, best)
		}
		chosen[got.Height]++
	}
	if len(chosen) != 2 {
		t.Errorf("chosen %v, want both of the pool", chosen)
	}
}

func TestRecoveryMembers(t *testing.T) {
	f := fixtureOf(t, 7, 4, "order")
	q := f.quorum(t)
	id := wire.Hash{1}
	got := q.RecoveryMembers(id)
	place := func(proTx wire.Hash) wire.Hash {
		once := sha256.Sum256(slices.Concat(proTx[:], id[:]))
		return sha256.Sum256(once[:])
	}
	if len(got) != 3 {
		t.Fatalf("%d recovery members, want 3", len(got))
	}
	for i, m := range got {
		before := 0
		for _, o := range f.members {
			x, y := place(o), place(m)
			if bytes.Compare(x[:], y[:]) < 0 {
				before++
			}
		}
		if before != i {
			t.Errorf("%s is tried as number %d, has %d before it", m, i, before)
		}
	}
	if slices.Equal(got, q.RecoveryMembers(wire.Hash{2})) {
		t.Error("the order does not depend on the request")
	}
}

func TestNewQuorum_Refuses(t *testing.T) {
	f, g := fixtureOf(t, 5, 3, "a"), fixtureOf(t, 5, 3, "b")
	for name, c := range map[string]struct {
		key     bls.PublicKey
		members []wire.Hash
		valid   []bool
		vector  bls.VerificationVector
	}{
		"no members":       {f.vector.PublicKey(), nil, nil, f.vector},
		"too many members": {f.vector.PublicKey(), make([]wire.Hash, 6), make([]bool, 6), f.vector},
		"flags of others":  {f.vector.PublicKey(), f.members, f.valid[:4], f.vector},
		"no key":           {bls.PublicKey{}, f.members, f.valid, nil},
		"a short vector":   {f.vector.PublicKey(), f.members, f.valid, f.vector[:2]},
		"another's vector": {f.vector.PublicKey(), f.members, f.valid, g.vector},
		"a member twice":   {f.vector.PublicKey(), []wire.Hash{f.members[0], f.members[0]}, f.valid[:2], f.vector},
		"a member of id 0": {f.vector.PublicKey(), []wire.Hash{{}}, f.valid[:1], f.vector},
	} {
		if _, err := NewQuorum(f.llmq, f.mined, c.key, c.members, c.valid, c.vector); !errors.Is(err, ErrQuorum) {
			t.Errorf("%s: %v, want ErrQuorum", name, err)
		}
	}
}

// Source: spec/dash.md 1.2, 11.1.
func TestBanRequest(t *testing.T) {
	proTx, err := wire.ParseHash("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	if err != nil {
		t.Fatal(err)
	}
	r := BanRequest(wire.PlatformBan{ProTxHash: proTx, SignedHeight: 1234567})
	if r.ID.String() != "ec83999e33903f5ffedc60f1657efa9e2c4d2e75fdb23be33dbc92ac69ce560d" ||
		r.MessageHash.String() != "ba450bd767f08260e3a739b68af8e09bfc3770dde121ec020a5dd801e1681fb0" || r.Height != 1234567 {
		t.Errorf("request %+v", r)
	}
}

// What a vote is kept for is a wider window than what is signed in.
func TestVoteBlocks_Exceeds(t *testing.T) {
	if VoteBlocks < params.BanWindow+1000 {
		t.Errorf("votes are kept for %d blocks, signed for %d", VoteBlocks, params.BanWindow)
	}
}
