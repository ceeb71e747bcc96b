package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func quorumVerifyCommand() *cobra.Command {
	var operatorKeys []string
	var shape string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify-commitment HEX",
		Short: "Check a quorum's final commitment under the operator keys of its members",
		Long: `Check a final commitment, the message qfcommit of version 3 or 4, as a node does
before it lets a block carry it: its members and signers by the rules of its quorum
type, the quorum's signature under the quorum's key, the members' signature under the
operator keys of the signers. Whether the base block it names starts a session, and
who its members are, need a chain and are not asked. HEX may be - to read it from
standard input.

The size and the threshold are those of the quorum type that the commitment names.
Networks give llmq_test_platform (106) a size of their own: there the size is the
length of the sets in the commitment, the threshold a majority. --llmq states both,
for any type.

Exit codes: 0 valid, 1 not valid, 2 the input cannot be used.`,
		Example: `  proctor quorum verify-commitment HEX --operator-keys HEX,HEX,HEX
  proctor quorum verify-commitment HEX --operator-keys HEX,HEX,HEX,HEX --llmq 4:3 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := readHex(c.InOrStdin(), args[0], "qfcommit", wire.MaxFinalCommitmentSize)
			if err != nil {
				return unusable{err}
			}
			commitment, err := wire.ParseFinalCommitment(raw)
			if err != nil {
				return unusable{fmt.Errorf("qfcommit of %d bytes, at most %d: %w", len(raw), wire.MaxFinalCommitmentSize, err)}
			}
			q, err := llmqOf(commitment, shape)
			if err != nil {
				return unusable{err}
			}
			keys, err := parseOperatorKeys(operatorKeys, q)
			if err != nil {
				return unusable{err}
			}
			report, valid := verifyCommitment(commitment, q, keys)
			if err := show(c.OutOrStdout(), report, asJSON); err != nil {
				return err
			}
			if !valid {
				return errNo
			}
			return nil
		},
	}
	c.Flags().StringSliceVar(&operatorKeys, "operator-keys", nil, "operator keys of all members in order of their index, 96 hex digits each (required)")
	c.Flags().StringVar(&shape, "llmq", "", "SIZE:THRESHOLD of the quorum type on this network, if not the published ones")
	jsonFlag(c, &asJSON)
	return c
}

// llmqOf returns the parameters of the quorum type that a commitment names, in
// the shape that the user states, if any.
func llmqOf(c wire.FinalCommitment, shape string) (params.LLMQ, error) {
	q, err := params.LLMQByType(c.Type)
	size := len(c.ValidMembers)
	switch {
	case err != nil:
		return q, err
	case shape != "":
		return shaped(q, shape)
	case q.Type == params.TestPlatform && size != q.Size:
		if own, err := q.Shaped(size, size/2+1); err == nil { // or the size is wrong, which is a verdict
			return own, nil
		}
	}
	return q, nil
}

func shaped(q params.LLMQ, shape string) (params.LLMQ, error) {
	size, threshold, ok := strings.Cut(shape, ":")
	n, err1 := strconv.Atoi(size)
	t, err2 := strconv.Atoi(threshold)
	if !ok || err1 != nil || err2 != nil {
		return q, fmt.Errorf("--llmq: %.40q is no SIZE:THRESHOLD such as 4:3", shape)
	}
	own, err := q.Shaped(n, t)
	if err != nil {
		return q, fmt.Errorf("--llmq: %w", err)
	}
	return own, nil
}

func parseOperatorKeys(texts []string, q params.LLMQ) ([]bls.PublicKey, error) {
	if len(texts) == 0 || len(texts) > q.Size {
		return nil, fmt.Errorf("--operator-keys: %d keys, want 1 to %d, the size of %s", len(texts), q.Size, q.Name)
	}
	keys := make([]bls.PublicKey, len(texts))
	for i, text := range texts {
		key, err := parseBLSKey(fmt.Sprintf("--operator-keys: key %d", i), strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		keys[i] = key
	}
	return keys, nil
}

// verifyCommitment judges a commitment, and each signature for itself even if
// something else is wrong.
func verifyCommitment(c wire.FinalCommitment, q params.LLMQ, keys []bls.PublicKey) (report fields, valid bool) {
	// Of the base block no more is known than its hash. That of a rotated
	// quorum stands as far behind the start of the interval as its index says.
	quorum := dkg.Quorum{LLMQ: q, Hash: c.QuorumHash}
	if q.Rotated {
		quorum.Base = max(0, int32(c.QuorumIndex))
	}
	verdict := dkg.Verify(c, quorum, keys)
	reason := verdict.String()
	if valid = verdict == dkg.CommitmentGood; valid {
		reason = string(validation.Valid)
	}
	s := dkg.VerifySignatures(c, keys)
	return append(showCommitment(c), fields{
		{"llmq_size", q.Size}, {"llmq_threshold", q.Threshold}, {"operator_keys", len(keys)},
		{"quorum_sig_valid", s.Quorum}, {"members_sig_valid", s.Members}, {"valid", valid}, {"reason", reason},
	}...), valid
}
