package docs

import (
	"testing"

	"github.com/proctornet/proctor/validation"
)

// What operators are told, see docs/operations.md.
const (
	sender   = "The sender's doing."
	harmless = "Harmless."
	race     = "Race."
	evidence = "Evidence."
	ownLoad  = "This node is busy: [QueueDrops](runbooks/QueueDrops.md)."
	handedIn = " Handed in yourself: "
	newer    = " Many from honest peers: one side runs an older version or another genesis."
)

// advice is what an operator does about a reason.
var advice = map[validation.Reason]string{
	validation.Valid:     "Nothing.",
	validation.Malformed: sender + newer + handedIn + "the hex digits are cut or of something else; `proctor decode` shows them.",
	validation.Duplicate: harmless + handedIn + "it was accepted before, and was sent once more.",
	validation.NotSynced: "Wait until `proctor health` is content, then hand it in again; if it stays so: [NodeNotSynced](runbooks/NodeNotSynced.md).",
	validation.Unsure:    "Wait: the view of the chain is being settled, and the message is judged again. If `proctor health` shows another view than settled for minutes: clock, peers.",

	validation.ForgedTwin:        sender,
	validation.Ahead:             harmless + " Many: is this node behind? `proctor status`." + handedIn + "wait for the block it was signed at.",
	validation.UnknownNode:       race + handedIn + "the ProTxHash is wrong, or the node has left: `proctor nodes`.",
	validation.RegularNode:       sender + handedIn + "only evonodes are banned from Platform.",
	validation.HeightNear:        race + handedIn + "it is too old: let the quorum sign anew.",
	validation.HeightFar:         sender + handedIn + "it is too old, or of another network: let the quorum sign anew.",
	validation.UnknownQuorum:     sender + handedIn + "`proctor quorum list --height 700` shows which quorums sign at a height.",
	validation.SignatureEncoding: sender + handedIn + "the signature is cut or mistyped.",
	validation.Signature:         sender + handedIn + "another quorum signed it, or another height, node or network: `proctor ban verify`.",
	validation.Stale:             harmless + " The node was revived, or banned by a newer one, since." + handedIn + "if it is still dead, let the quorum sign anew.",

	validation.BlockAuthor:  sender + newer,
	validation.BlockLink:    sender + newer,
	validation.BlockContent: "An author makes blocks that others refuse: other version, or misconduct. If this node alone refuses: [RootAlarm](runbooks/RootAlarm.md).",
	validation.BlockServed:  sender + newer,
	validation.BlockEarly:   "Compare the clock of this machine with others', NTP: one of the two is wrong.",
	validation.BlockOrphan:  harmless + " It is asked for.",
	validation.BlockTwin:    evidence + " An authority signs several blocks for a slot: does it run twice?",
	validation.BlockDeep:    race + " If it goes on, the peers that send it were cut off for long, and are on a dead branch.",
	validation.BlockDead:    harmless,

	validation.EventNetwork:   sender + handedIn + "it was signed for another genesis.",
	validation.EventSequence:  harmless + handedIn + "sign it again with the number of `event next`; commands that ask a node do.",
	validation.EventRefused:   race + handedIn + "stake, state, keys or addresses do not allow it now: `proctor explain`, `proctor event decode`.",
	validation.EventWaiting:   harmless + handedIn + "another one of this node or staker waits for a block: `proctor event list`; wait.",
	validation.PoolFull:       "Too many wait for a block: hand it in again later. If no blocks come: [TipStale](runbooks/TipStale.md).",
	validation.EventSignature: sender + handedIn + "it was signed with another key than is registered.",

	validation.ProofUnregistered:  race,
	validation.ProofSequence:      harmless + " Of one node all the time: two processes have its keys.",
	validation.ProofEarly:         harmless + " Of one node all the time: two processes have its keys.",
	validation.ProofAnchorAhead:   race,
	validation.ProofAnchorNear:    race,
	validation.ProofAnchorFar:     sender,
	validation.ProofAnchorUnknown: race + " Many: are you on the branch of the others? `getblockhash` on both.",
	validation.ProofAddress:       sender + " Is it yours that is refused? Set p2p.announce to an address that others reach.",
	validation.ProofSeal:          sender,

	validation.VoteRepeated:      harmless,
	validation.VoteEarly:         race,
	validation.VoteLate:          race,
	validation.VoteExpired:       sender,
	validation.VoteUnknownQuorum: race,
	validation.VoteMember:        sender,
	validation.VoteTarget:        sender,
	validation.VoteSignature:     sender,
	validation.VoteConflict:      evidence,

	validation.CheckpointRepeated: harmless,
	validation.CheckpointEarly:    race,
	validation.CheckpointLate:     race,
	validation.CheckpointExpired:  sender,
	validation.CheckpointBranch:   race,
	validation.CheckpointMember:   sender,
	validation.CheckpointSeal:     sender,
	validation.CheckpointConflict: evidence + " [RootAlarm](runbooks/RootAlarm.md).",

	validation.DKGType:         sender + newer,
	validation.DKGBase:         sender,
	validation.DKGUnknownBlock: race,
	validation.DKGOutsider:     race,
	validation.DKGSession:      race,
	validation.DKGMember:       sender,
	validation.DKGEarly:        race,
	validation.DKGLate:         race + " If quorums fail: [DKGFailing](runbooks/DKGFailing.md).",
	validation.DKGSignature:    sender,
	validation.DKGPoint:        sender,
	validation.DKGThird:        evidence,
	validation.DKGTooMany:      sender,
	validation.DKGResult:       harmless + " Members heard different things; the most common result wins. If none does: [DKGFailing](runbooks/DKGFailing.md).",
	validation.DKGEquivocation: evidence,

	validation.CommitmentType:         sender + newer,
	validation.CommitmentBase:         sender,
	validation.CommitmentUnknownBlock: race,
	validation.CommitmentEarly:        race,
	validation.CommitmentLate:         race,
	validation.CommitmentStale:        sender,
	validation.CommitmentMined:        harmless,
	validation.CommitmentNull:         sender,
	validation.CommitmentInvalid:      sender + newer,
	validation.CommitmentSignature:    sender,
	validation.CommitmentWorse:        harmless,

	validation.ShareUnknownQuorum: race,
	validation.ShareNotOurs:       race + " After a start with an empty database: until the next quorum.",
	validation.ShareDecided:       harmless,
	validation.ShareFull:          ownLoad,
	validation.ShareMember:        sender,
	validation.ShareSignature:     sender,

	validation.RecoveredUnknownQuorum: race,
	validation.RecoveredSignature:     sender,
	validation.RecoveredConflict:      evidence + " A threshold of a quorum has signed two things: an alarm, tell the other operators.",

	validation.RequestRefused:  "Is it an evonode, not this one, and neither flagged nor PoSe-banned? `proctor nodes`; `platformban requests` shows what is asked for.",
	validation.RequestNoMember: "Ask a member: `proctor quorum info` lists them. A node is one from the next session on.",
	validation.RequestNoQuorum: "`proctor quorum list` shows the quorums; a network's first signs 8 blocks after it was mined.",
	validation.RequestOther:    "Nothing else is ever signed for that id: `quorum getrecsig` shows what the quorum has signed. Another decision needs another id.",

	validation.Handshake: sender + newer,
	validation.Rate:      ownLoad + " If it is one peer: `proctor peers explain`.",
	validation.Overload:  ownLoad,
	validation.Internal:  "A fault of this node: report it with the log around it.",
	validation.Operator:  "You, or whoever runs this node, did `proctor peers ban`; `proctor peers unban` takes it back.",
}

func reasons(t *testing.T) [][]string {
	rows := [][]string{{"Reason", "Means", "Do"}}
	for _, r := range validation.Table() {
		do := advice[r.Reason]
		if do == "" {
			t.Errorf("nobody tells operators what to do about %s", r.Reason)
		}
		rows = append(rows, []string{code(string(r.Reason)), r.When, do})
	}
	if len(advice) != len(validation.Table()) {
		t.Errorf("advice about %d reasons, there are %d", len(advice), len(validation.Table()))
	}
	return rows
}
