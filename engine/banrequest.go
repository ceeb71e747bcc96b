package engine

import (
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// BanRequest is a ban that this node, as a member, asks its platform quorum
// for, until the node is flagged, the request expires or is withdrawn.
type BanRequest struct {
	ProTxHash wire.Hash `json:"protx_hash"`
	Since     int32     `json:"since"`              // height
	Until     int32     `json:"until"`              // height at which it expires
	Monitor   bool      `json:"monitor"`            // asked for by our monitor, not by our operator
	Evidence  []Attempt `json:"evidence,omitempty"` // of the monitor
	Signed    []int32   `json:"signed"`             // heights that we signed the ban at, ascending
}

// Attempt is one probe of a platform endpoint.
type Attempt struct {
	Height   int32  `json:"height"`
	Endpoint string `json:"endpoint"`
	Failed   string `json:"failed"` // why; empty if it answered
}

func (e *Engine) requestBan(in RequestBan, out *Effects) validation.Verdict {
	return validation.Internal.Verdict()
}
