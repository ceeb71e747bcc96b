package wire

// Limits of the addresses of a service node.
const (
	MaxAddresses     = 4   // per node
	MaxAddressLength = 128 // characters of one multiaddress
)

// UpdateService is the event by which an operator announces where a service
// node is reached; it revives a PoSe-banned node (DIP-0003, ProUpServTx).
//
//	size  field
//	  73  head, see Event; the record is ProTxHash
//	   1  number of addresses, then each as 1 length byte and ASCII
//	   1  length of Platform, then as many bytes of ASCII
//	  96  Signature  by the operator key over SignHash
type UpdateService struct {
	EventHead
	ProTxHash Hash
	Addresses []string // 1..MaxAddresses multiaddresses, unverified
	Platform  string   // endpoint of an evonode's platform service, see CheckEndpoint; "" for none
	Signature Signature
}

// CheckAddress reports why a cannot stand in an event or an uptime proof; nil
// if it can.
func CheckAddress(a string) error { return checkAddress(a, MaxAddressLength) }

// Kind returns KindUpdateService.
func (UpdateService) Kind() EventKind { return KindUpdateService }

// Record returns the node's ProTxHash.
func (e UpdateService) Record() Hash { return e.ProTxHash }

// Bytes returns the encoding of e.
func (e UpdateService) Bytes() []byte { return append(e.body(), e.Signature[:]...) }

func (e UpdateService) body() []byte {
	return appendText(appendAddresses(appendEventHead(e.Kind(), e.EventHead, e.ProTxHash), e.Addresses), e.Platform)
}

// SignHash is what the operator key signs.
func (e UpdateService) SignHash() Hash { return eventHash(e.body()) }

func readUpdateService(r *reader, h EventHead, record Hash) UpdateService {
	return UpdateService{
		EventHead: h,
		ProTxHash: record,
		Addresses: r.addresses(1, MaxAddresses, MaxAddressLength),
		Platform:  r.endpoint(),
		Signature: r.signature(),
	}
}
