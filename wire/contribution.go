package wire

// EncryptedShareSize is the length of one encrypted share, in bytes.
const EncryptedShareSize = 32

// EncryptedShare is a secret key share, readable by one member.
type EncryptedShare [EncryptedShareSize]byte

// Contribution is one member's part of the quorum's secret, committed to and
// dealt out. Source: DIP-0006; spec/dash.md 5.2 and 5.4.
//
//	size  field
//	  65  DKGHead
//	   n  Vector     compact size, then 48 bytes for each coefficient
//	  48  Ephemeral  public key the shares are encrypted with
//	  32  IVSeed
//	   n  Shares     compact size, then for each member 0x20 and 32 bytes
//	  96  Signature  by the operator key over SignHash
type Contribution struct {
	DKGHead
	Vector    []OperatorKey
	Ephemeral OperatorKey
	IVSeed    Hash
	Shares    []EncryptedShare // by member index
	Signature Signature
}

// Kind is KindContribution.
func (m Contribution) Kind() DKGKind { return KindContribution }

// Bytes returns the encoding of m.
func (m Contribution) Bytes() []byte {
	b := make([]byte, 0, dkgHeadSize+6+len(m.Vector)*OperatorKeySize+OperatorKeySize+HashSize+len(m.Shares)*(1+EncryptedShareSize)+SignatureSize)
	b = appendVector(m.DKGHead.append(b), m.Vector)
	b = append(b, m.Ephemeral[:]...)
	b = append(b, m.IVSeed[:]...)
	b = appendCompact(b, len(m.Shares))
	for _, s := range m.Shares {
		b = append(append(b, EncryptedShareSize), s[:]...)
	}
	return append(b, m.Signature[:]...)
}

// ID identifies the message byte for byte.
func (m Contribution) ID() Hash { return DoubleHash(m.Bytes()) }

// SignHash covers the encoding with zeros for the signature.
func (m Contribution) SignHash() Hash {
	m.Signature = Signature{}
	return m.ID()
}

// OperatorSignature returns the signature.
func (m Contribution) OperatorSignature() Signature { return m.Signature }

// Signed returns m with the signature s.
func (m Contribution) Signed(s Signature) DKGMessage {
	m.Signature = s
	return m
}

// ParseContribution decodes b, which must hold one contribution and nothing
// after it.
func ParseContribution(b []byte) (Contribution, error) {
	r := &reader{rest: b}
	m := Contribution{DKGHead: readDKGHead(r)}
	keys := r.array("coefficients", r.compact("coefficients", MaxQuorumMembers), OperatorKeySize)
	for ; len(keys) > 0; keys = keys[OperatorKeySize:] {
		m.Vector = append(m.Vector, OperatorKey(keys))
	}
	m.Ephemeral = r.operatorKey()
	m.IVSeed = r.hash()
	n := r.compact("shares", MaxQuorumMembers)
	if shares := r.array("shares", n, 1+EncryptedShareSize); len(shares) > 0 {
		sr := &reader{rest: shares}
		m.Shares = make([]EncryptedShare, n)
		for i := range m.Shares {
			if length := sr.compact("bytes of share", EncryptedShareSize); length != EncryptedShareSize {
				sr.fail("share of another length than 32")
			}
			copy(m.Shares[i][:], sr.bytes(EncryptedShareSize))
		}
		if r.err == nil {
			r.err = sr.err
		}
	}
	m.Signature = r.signature()
	return m, r.end("contribution")
}

// VectorHash commits to a quorum's verification vector.
// Source: spec/dash.md 5.5.
func VectorHash(vector []OperatorKey) Hash { return DoubleHash(appendVector(nil, vector)) }

func appendVector(b []byte, vector []OperatorKey) []byte {
	b = appendCompact(b, len(vector))
	for _, k := range vector {
		b = append(b, k[:]...)
	}
	return b
}
