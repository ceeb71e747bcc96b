package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/gossip"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
)

// Lengths of an operator's ban, in hours.
const (
	defaultBanHours = int32(params.BanDuration / time.Hour)
	MaxBanHours     = 24 * 365
)

// PeerInfo shows a peer.
type PeerInfo struct {
	ID        peer.ID   `json:"id"`
	Address   string    `json:"addr"`
	Inbound   bool      `json:"inbound"`
	ProTxHash string    `json:"protx_hash"` // empty for an observer
	Agent     string    `json:"agent"`
	Height    int32     `json:"height"` // when it was met
	Synced    bool      `json:"synced"` // when it was met
	Since     time.Time `json:"since"`
	Points    int       `json:"points"` // of 100
}

func (n *Node) rpcPeers(context.Context, api.Params) (any, error) {
	peers := make([]PeerInfo, 0)
	for _, c := range n.gossip.Contacts() {
		peers = append(peers, n.peerInfo(c))
	}
	return peers, nil
}

func (n *Node) peerInfo(c gossip.Contact) PeerInfo {
	account, _ := n.Snapshot().Account(engine.Peer(c.Peer))
	info := PeerInfo{
		ID: c.Peer, Address: c.Address, Inbound: c.Inbound, Agent: c.Status.Agent, Height: c.Status.Height,
		Synced: c.Status.Synced, Since: c.Since.UTC().Truncate(time.Second), Points: account.At(time.Now()).Points,
	}
	if !c.Status.ProTxHash.IsZero() {
		info.ProTxHash = c.Status.ProTxHash.String()
	}
	return info
}

// ChargeInfo shows one charge of a peer's account.
type ChargeInfo struct {
	Time      time.Time         `json:"time"`
	Reason    validation.Reason `json:"reason"`
	When      string            `json:"when"` // the rule in words
	Points    int               `json:"points"`
	Forgiven  int               `json:"forgiven"` // since the charge before
	Total     int               `json:"total"`    // after it
	MessageID string            `json:"message_id,omitempty"`
}

// PeerBanInfo shows a ban.
type PeerBanInfo struct {
	ID      peer.ID           `json:"id"`
	Reason  validation.Reason `json:"reason"` // of the charge that reached the limit
	From    time.Time         `json:"from"`
	Until   time.Time         `json:"until"`
	DryRun  bool              `json:"dry_run"` // written down only
	Charges []ChargeInfo      `json:"charges"` // the last ones that led to it
}

// FarewellInfo shows the reason that a peer gave for leaving us.
type FarewellInfo struct {
	Time   time.Time         `json:"time"`
	Code   string            `json:"code"`
	Reason validation.Reason `json:"reason,omitempty"` // why it banned us, if it said so
	Until  *time.Time        `json:"until,omitempty"`  // end of its ban of us
}

// PeerExplanation answers `explainpeer`: why a peer stands as it does.
type PeerExplanation struct {
	ID       peer.ID       `json:"id"`
	Contact  *PeerInfo     `json:"contact,omitempty"`
	Points   int           `json:"points"` // now, of 100
	Charges  []ChargeInfo  `json:"charges"`
	Ban      *PeerBanInfo  `json:"ban,omitempty"`
	Farewell *FarewellInfo `json:"farewell,omitempty"`
	DryRun   bool          `json:"dry_run"` // penalties are not carried out
}

func (n *Node) rpcExplainPeer(_ context.Context, p api.Params) (any, error) {
	id, err := peerParam(p, 0)
	if err != nil {
		return nil, err
	}
	if len(p) > 1 {
		return nil, api.Invalid("%d parameters, want 1 (peer)", len(p))
	}
	s := n.Snapshot()
	account, _ := s.Account(engine.Peer(id))
	e := PeerExplanation{ID: id, Points: account.At(time.Now()).Points, Charges: charges(account.Entries), DryRun: n.config.DryRun}
	contacts := n.gossip.Contacts()
	if i := slices.IndexFunc(contacts, func(c gossip.Contact) bool { return c.Peer == id }); i >= 0 {
		info := n.peerInfo(contacts[i])
		e.Contact = &info
	}
	if b, ok := s.PeerBan(engine.Peer(id)); ok {
		info := banOf(b)
		e.Ban = &info
	}
	if f, ok := s.Farewell(engine.Peer(id)); ok {
		e.Farewell = &FarewellInfo{Time: f.Time, Code: gossip.GoodbyeText(f.Code), Reason: f.Reason}
		if !f.Until.IsZero() {
			e.Farewell.Until = &f.Until
		}
	}
	return e, nil
}

// charges shows the arithmetic of an account: each total is the one before,
// less what was forgiven meanwhile, plus the points, 100 at most.
func charges(entries []engine.Entry) []ChargeInfo {
	list := make([]ChargeInfo, 0, len(entries))
	for i, e := range entries {
		c := ChargeInfo{Time: e.Time, Reason: e.Reason, When: validation.Describe(e.Reason), Points: e.Points, Total: e.Total}
		if i > 0 {
			c.Forgiven = max(0, entries[i-1].Total+e.Points-e.Total)
		}
		if e.Total == params.PointsBan { // the sum may have been more than the limit
			c.Forgiven = 0
		}
		if !e.Evidence.IsZero() {
			c.MessageID = e.Evidence.String()
		}
		list = append(list, c)
	}
	return list
}

func banOf(b engine.PeerBan) PeerBanInfo {
	return PeerBanInfo{peer.ID(b.Peer), b.Cause().Reason, b.From, b.Until, b.DryRun, charges(b.Entries)}
}

func (n *Node) rpcListBanned(context.Context, api.Params) (any, error) {
	list := make([]PeerBanInfo, 0)
	for _, b := range n.Snapshot().PeerBans.All() {
		list = append(list, banOf(b))
	}
	slices.SortFunc(list, func(a, b PeerBanInfo) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

func (n *Node) rpcSetBan(ctx context.Context, p api.Params) (any, error) {
	id, err := peerParam(p, 0)
	if err != nil {
		return nil, err
	}
	if id == n.gossip.ID() {
		return nil, api.Invalid("peer %s is this node", id)
	}
	what, err := p.Text(1, "add or remove")
	if err != nil {
		return nil, err
	}
	hours := defaultBanHours
	switch {
	case what == "remove" && len(p) == 2:
		if _, banned := n.Snapshot().PeerBan(engine.Peer(id)); !banned {
			if _, charged := n.Snapshot().Account(engine.Peer(id)); !charged {
				return nil, api.Invalid("peer %s has neither a ban nor points", id)
			}
		}
		return "removed", n.command(ctx, engine.UnbanPeer{Peer: engine.Peer(id)})
	case what != "add" || len(p) > 3:
		return nil, api.Invalid("want PEER add [HOURS] or PEER remove, got %q and %d parameters", what, len(p))
	case len(p) == 3:
		if hours, err = p.Height(2, "hours"); err != nil {
			return nil, err
		}
	}
	if hours < 1 || hours > MaxBanHours {
		return nil, api.Invalid("%d hours, want 1 to %d", hours, MaxBanHours)
	}
	return "banned", n.command(ctx, engine.BanPeer{Peer: engine.Peer(id), For: time.Duration(hours) * time.Hour})
}

// command has the engine do what the operator says.
func (n *Node) command(ctx context.Context, in engine.Input) error {
	if v := n.ask(ctx, in); !v.OK() {
		return api.Invalid("the node is too busy (%s); try again", v.Reason)
	}
	return nil
}

func peerParam(p api.Params, i int) (peer.ID, error) {
	text, err := p.Text(i, "peer")
	if err != nil {
		return "", err
	}
	id, err := peer.Decode(text)
	if err != nil {
		return "", api.Invalid("peer %.80q is no peer id such as 12D3KooW...; `getpeerinfo` lists those connected", text)
	}
	return id, nil
}
