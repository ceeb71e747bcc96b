package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/state"
)

// badVoteReasons says in words why members vote one out.
var badVoteReasons = map[engine.BadVoteReason]string{
	engine.VoteFlagged:     "its platform-ban flag is set",
	engine.VoteUnreachable: "it cannot be reached",
	engine.VoteProtocol:    "its protocol is older than the network's least",
	engine.VoteRecalled:    "a vote of before this node's restart, its reason is not kept",
}

// printPunishment tells of a session of DKG that found the node not valid.
func printPunishment(w io.Writer, p engine.Failure) {
	fmt.Fprintf(w, "  session      quorum %s of type %d, base block %d: member %d of %d was not valid; %d were, %d signed so\n",
		p.Quorum.Short(), p.Type, p.Base, p.Index, p.Members, p.Valid, p.Signers)
	fmt.Fprintf(w, "  score        %d + %d = %d; %d bans, as %d nodes are registered\n", p.Before, p.Increase, p.After, p.Maximum, p.Registered)
	fmt.Fprintf(w, "  result       %s\n", punished(p.Punishment))
}

func punished(p state.Punishment) string {
	switch {
	case p.Bans:
		return "PoSe-banned: no duties and rewards until its operator revives it"
	case p.After >= p.Maximum:
		return "it was PoSe-banned before"
	default:
		return fmt.Sprintf("punished; the score falls by one each block, to 0 after block %d", int64(p.Height)+int64(p.After))
	}
}

// printPlatformBan tells who signed the ban of an evonode, and what the node
// that is asked saw itself.
func printPlatformBan(w io.Writer, x node.Explanation) {
	b := x.PlatformBan
	if b == nil {
		return
	}
	fmt.Fprintln(w, "\nplatform ban, as the node that is asked knows it")
	switch {
	case b.SignedHeight < 0:
		fmt.Fprintln(w, "  flag         never set")
	case b.FlagSet:
		fmt.Fprintf(w, "  flag         set by a ban signed at height %d (%s)\n", b.SignedHeight, b.InventoryHash.Short())
	default:
		fmt.Fprintf(w, "  flag         cleared by block %d; it was set by a ban signed at height %d (%s)\n", b.ClearedHeight, b.SignedHeight, b.InventoryHash.Short())
	}
	if q := b.Quorum; q != nil {
		fmt.Fprintf(w, "  quorum       %s of %s, base block %d: any %d of the %d members with a share\n", q.QuorumHash.Short(), q.Type, q.Height, q.Threshold, q.Valid)
		fmt.Fprintf(w, "    %s\n", strings.Join(shareholders(q.Members), ", "))
	}
	printRequest(w, b.Request)
	attempts := b.Attempts
	if len(attempts) == 0 && b.Request != nil {
		attempts = b.Request.Evidence
	}
	for _, a := range attempts {
		outcome := "answered"
		if a.Failed != "" {
			outcome = a.Failed
		}
		fmt.Fprintf(w, "  probed       at height %d, %s: %s\n", a.Height, a.Endpoint, outcome)
	}
}

func printRequest(w io.Writer, r *engine.BanRequest) {
	if r == nil {
		return
	}
	who := "its operator"
	if r.Monitor {
		who = "its monitor"
	}
	end := fmt.Sprintf("until height %d", r.Until)
	if !r.Stands() {
		end = fmt.Sprintf("until the ban signed at height %d", r.Done)
	}
	signed := "it has not signed yet"
	if len(r.Signed) > 0 {
		signed = "it signed at height " + heightList(r.Signed)
	}
	fmt.Fprintf(w, "  asked for    by %s from height %d %s; %s\n", who, r.Since, end, signed)
}

func shareholders(members []node.QuorumMember) (names []string) {
	for _, m := range members {
		if m.Valid {
			names = append(names, title(m.Name, m.ProTxHash))
		}
	}
	return names
}

// heightList shows heights, none as a dash.
func heightList(list []int32) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ", ")
}
