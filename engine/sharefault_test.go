package engine

import (
	"reflect"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/wire"
)

// The fault that makes room for a new one leaves the disk too.
func TestShareFault_EvictedFromTheDisk(t *testing.T) {
	c := newCouncil(t, 5, 3)
	c.until(12)
	r, out := c.rigs[0], new(Effects)
	var first signing.Fault
	for i := range signing.MaxFaults {
		x := wire.SigShare{Type: params.TestPlatform, ID: wire.Hash{1, byte(i), byte(i >> 8)}}
		y := x
		y.MessageHash[0] = 1
		f := signing.Fault{Kind: signing.Equivocation, Member: proTx(1), ID: x.ID, Height: int32(1 + i), Shares: []wire.SigShare{x, y}}
		if i == 0 {
			first = f
		}
		r.signers[0].pool.RestoreFault(f)
		out.put(KindShareFault, shareFaultKey(f), shareFaultBytes(f))
	}
	r.disk.apply(out.Writes)
	r.noteShareFaults()
	request := banOf(c.node(victim), 8)
	other := request
	other.MessageHash = wire.Hash{1}
	c.step(0, Shares{"x", wire.Hash{}, wire.SigShares{c.share(1, request)}})
	c.step(0, Shares{"y", wire.Hash{}, wire.SigShares{c.share(1, other)}})
	c.next()
	_, kept := r.disk[KindShareFault][string(shareFaultKey(first))]
	if n := len(r.disk[KindShareFault]); c.alarms[AlarmShare] != 1 || n != signing.MaxFaults || kept {
		t.Errorf("%d alarms, %d faults stored, want %d; the oldest is there: %t", c.alarms[AlarmShare], n, signing.MaxFaults, kept)
	}
}

func TestShareFault_RoundTrip(t *testing.T) {
	share := func(message byte) wire.SigShare {
		return wire.SigShare{Type: params.TestPlatform, ID: wire.Hash{7}, MessageHash: wire.Hash{message}}
	}
	for _, f := range []signing.Fault{
		{Kind: signing.Equivocation, Member: wire.Hash{1}, ID: wire.Hash{7}, Height: 9, Shares: []wire.SigShare{share(1), share(2)}},
		{Kind: signing.BadShare, Member: wire.Hash{1}, ID: wire.Hash{7}, Height: 9, Shares: []wire.SigShare{share(1)}, From: signing.Source{ProTx: wire.Hash{1}}},
	} {
		if got, err := parseShareFault(shareFaultBytes(f)); err != nil || !reflect.DeepEqual(got, f) || !got.Proven() {
			t.Errorf("got %+v, %v; want %+v", got, err, f)
		}
	}
}

func FuzzParseShareFault(f *testing.F) {
	f.Add(shareFaultBytes(signing.Fault{Shares: make([]wire.SigShare, 1)}))
	f.Add(shareFaultBytes(signing.Fault{Shares: make([]wire.SigShare, 2)}))
	f.Add(shareFaultBytes(signing.Fault{Shares: make([]wire.SigShare, 3)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fault, err := parseShareFault(b)
		if err == nil && string(shareFaultBytes(fault)) != string(b) {
			t.Errorf("%x encodes back to %x", b, shareFaultBytes(fault))
		}
	})
}
