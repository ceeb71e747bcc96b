package signing

import (
	"encoding/hex"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// The quorum, shares and recovered signature of spec/dash.md 11.1 and 11.2,
// made with Dash's own library: any two of three members.
func TestPool_DashVectors(t *testing.T) {
	raw := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var vector bls.VerificationVector
	for _, s := range []string{
		"a35c6a936238a8d421d2255c0402a6bdf00f8b46ee853517cd25ab1babd44a2cee1e4857416e4c971b8dc6c3491d64f5",
		"930a793636ef509bba5347256f08db552bd5d2ef38e11c1b17cf7d33a9533da4ba8d333a9c1dd930c64bbd459377fd52",
	} {
		key, err := bls.ParsePublicKey([bls.PublicKeySize]byte(raw(s)))
		if err != nil {
			t.Fatal(err)
		}
		vector = append(vector, key)
	}
	members := []wire.Hash{
		wire.Hash(raw("9811fb1b3afa5a096ae6fe9541b1fa61bfd00018b9ee9b7f8111a47f287848e2")),
		wire.Hash(raw("24641ec79f8e933e4f1962f63d2e656497511982f715cc276036ad6290e08070")),
		wire.Hash(raw("755c6d5b3311c94b2275eed83fa447885da74b28e367ea3607e69aa1c1c43206")),
	}
	shares := []string{
		"a29e0205f96323923ce6682ee443fe7203d63aff07db966a5a51b3fd436e30a862c52479d24b326b6f55be001868676e17d7ec1f04e6405824902dc1da615a3f7516dabe5ff9453f3d532dde4b21e4a798628e816d7ce786ec8030a972c945df",
		"b077438aacd525e02965173a9916bab981d95adb59727e0ca391538bba47c6c8446043d24a4ed6bdef00e72b1bcbbdac171c65017a2c0e669cea5a8a2c1a1db8564deccef114b9b3f848824ac77689d64f0312023fba73db32da7dd0d93bf858",
		"a34ff94a1900e8a9b28256d30893b296948d55303bdc81f94cabdb79c535ee713d6e5785b7a9ab14d7cb96379b3c782e0ff4d87009d0acd86e06f117b7fb07a8bb19aeebd943fd631076afca134118b1bd6e9a6bb02c1721f9293ccc8aa6e909",
	}
	const recovered = "a4f87946395daa5c795ed13a7ec456bcbdd253fb90231be80a7ff97f116b7689e3bf3bc1c892c5dc6b609e58a8499db70945f4bca3e1789d5d671f4c9986dcb5a1a7580ce52c4dd0eb5ceb7723465438c8dc63cce17ca1232f68f4143ad47fdb"
	const legacy = "8945f4bca3e1789d5d671f4c9986dcb5a1a7580ce52c4dd0eb5ceb7723465438c8dc63cce17ca1232f68f4143ad47fdb04f87946395daa5c795ed13a7ec456bcbdd253fb90231be80a7ff97f116b7689e3bf3bc1c892c5dc6b609e58a8499db7"

	proTx, _ := wire.ParseHash("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	quorum, _ := wire.ParseHash("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f")
	ban := wire.PlatformBan{ProTxHash: proTx, SignedHeight: 1234567, QuorumHash: quorum}
	r := BanRequest(ban)
	q, err := NewQuorum(llmqOf(t, params.TestPlatform), Mined{quorum, 1234500}, vector.PublicKey(), members, []bool{true, true, true}, vector)
	if err != nil {
		t.Fatal(err)
	}
	for leftOut := range shares {
		p := NewPool(llmqOf(t, params.TestPlatform), members[leftOut])
		p.Advance(1234567, []*Quorum{q})
		for i, s := range shares {
			if i != leftOut {
				x := wire.SigShare{Type: 106, QuorumHash: quorum, Member: uint16(i), ID: r.ID, MessageHash: r.MessageHash, Signature: wire.Signature(raw(s))}
				want(t, "a share", p.AddShare(x, peer(i)), Taken)
			}
		}
		got := settle(p)
		if len(got.Recovered) != 1 || got.Recovered[0].Signature.String() != recovered || got.Recovered[0].SignHash() != ban.SignHash(106) {
			t.Errorf("without member %d: %+v", leftOut, got)
		}
	}
	p := NewPool(llmqOf(t, params.TestPlatform), wire.Hash{})
	p.Advance(1234567, []*Quorum{q})
	rec := wire.RecoveredSig{Type: 106, QuorumHash: quorum, ID: r.ID, MessageHash: r.MessageHash, Signature: wire.Signature(raw(legacy))}
	want(t, "in the legacy encoding", p.AddRecovered(rec), WrongSignature)
	rec.Signature = wire.Signature(raw(recovered))
	want(t, "as Dash made it, to one that is no member", p.AddRecovered(rec), Taken)
}
