package node

import (
	"context"
	"fmt"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
)

// Health says whether a node follows its network, and what to do if it does
// not.
type Health struct {
	Healthy       bool     `json:"healthy"`
	Synced        bool     `json:"synced"` // the tip is the network's as far as we can tell
	Height        int32    `json:"height"` // of the tip; 0 at the genesis
	TipAgeSeconds float64  `json:"tip_age_seconds"`
	Peers         int      `json:"peers"`    // that have completed the handshake
	View          string   `json:"view"`     // of the chain: settled, or why peers are not blamed for contradicting it
	Problems      []string `json:"problems"` // a sentence each; empty if healthy
}

// Health returns the node's health at a time. It answers from memory.
func (n *Node) Health(now time.Time) Health {
	s := n.Snapshot()
	h := Health{
		Synced:        s.Synced(),
		Height:        s.TipHeight(),
		TipAgeSeconds: now.Sub(n.config.Genesis.SlotStart(s.Tip.Slot)).Seconds(),
		Peers:         len(n.gossip.Contacts()),
		View:          "settled",
		Problems:      []string{},
	}
	if s.Doubtful != engine.Settled {
		h.View = string(s.Doubtful)
	}
	others := s.State.NodeCount()
	if _, registered := s.NodeType(n.config.ProTxHash); registered {
		others--
	}
	h.judge(others)
	return h
}

// judge lists the problems of a node, given how many others are registered.
// The age of the tip is none by itself: a network whose authors rest is not
// made healthy by restarting whoever waits for them.
func (h *Health) judge(others int) {
	if h.Peers == 0 && others > 0 {
		h.Problems = append(h.Problems, fmt.Sprintf(
			"No peer has completed the handshake, of %d registered: check that those in p2p.bootstrap run, have the same genesis and can be reached.", others))
	}
	if !h.Synced {
		h.Problems = append(h.Problems, fmt.Sprintf(
			"The tip, height %d, is %.0f s old and nobody has confirmed it: wait while the height grows; if it stands still, check this machine's clock and `proctor peers`.",
			h.Height, h.TipAgeSeconds))
	}
	h.Healthy = len(h.Problems) == 0
}

func (n *Node) healthMethod() api.Method {
	return api.Method{
		Name: "health", Usage: "",
		Help: "show whether the node follows its network, and what to do if it does not",
		Call: func(context.Context, api.Params) (any, error) { return n.Health(time.Now()), nil },
	}
}
