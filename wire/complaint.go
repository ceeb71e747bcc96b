package wire

// Complaint says which members the sender wants out, and from which it had no
// usable share. Source: DIP-0006; spec/dash.md 5.2.
//
//	size  field
//	  65  DKGHead
//	   n  BadMembers   bit set
//	   n  ComplainFor  bit set
//	  96  Signature    by the operator key over SignHash
type Complaint struct {
	DKGHead
	BadMembers  Bitset
	ComplainFor Bitset
	Signature   Signature
}

// Kind is KindComplaint.
func (m Complaint) Kind() DKGKind { return KindComplaint }

// Bytes returns the encoding of m.
func (m Complaint) Bytes() []byte {
	b := appendBitset(m.DKGHead.append(nil), m.BadMembers)
	b = appendBitset(b, m.ComplainFor)
	return append(b, m.Signature[:]...)
}

// ID identifies the message byte for byte.
func (m Complaint) ID() Hash { return DoubleHash(m.Bytes()) }

// SignHash covers the encoding with zeros for the signature.
func (m Complaint) SignHash() Hash {
	m.Signature = Signature{}
	return m.ID()
}

// OperatorSignature returns the signature.
func (m Complaint) OperatorSignature() Signature { return m.Signature }

// Signed returns m with the signature s.
func (m Complaint) Signed(s Signature) DKGMessage {
	m.Signature = s
	return m
}

// ParseComplaint decodes b, which must hold one complaint and nothing after
// it.
func ParseComplaint(b []byte) (Complaint, error) {
	r := &reader{rest: b}
	m := Complaint{
		DKGHead:     readDKGHead(r),
		BadMembers:  r.bitset("bad members"),
		ComplainFor: r.bitset("complaints"),
		Signature:   r.signature(),
	}
	return m, r.end("complaint")
}
