package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func banCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "ban",
		Short: "Inspect, verify, request and submit platform bans",
		Example: `  proctor ban verify HEX --quorum-key HEX --llmq-type 106
  proctor ban submit HEX --config evo-1/proctor.toml`,
	}
	group.AddCommand(banInspectCommand(), banVerifyCommand(), banRequestCommand(), banSubmitCommand())
	return group
}

// banReport is what is shown of a ban. Hashes are in display order.
type banReport struct {
	ProTxHash     wire.Hash `json:"protx_hash"`
	SignedHeight  int32     `json:"signed_height"`
	QuorumHash    wire.Hash `json:"quorum_hash"`
	Signature     string    `json:"signature"`
	InventoryHash wire.Hash `json:"inventory_hash"`
	RequestID     wire.Hash `json:"request_id"`
	MessageHash   wire.Hash `json:"message_hash"`
	SignHash      wire.Hash `json:"sign_hash"`
}

func newBanReport(m wire.PlatformBan, t wire.LLMQType) banReport {
	return banReport{
		ProTxHash:     m.ProTxHash,
		SignedHeight:  m.SignedHeight,
		QuorumHash:    m.QuorumHash,
		Signature:     m.Signature.String(),
		InventoryHash: m.InventoryHash(),
		RequestID:     m.RequestID(),
		MessageHash:   m.MessageHash(),
		SignHash:      m.SignHash(t),
	}
}

func (r banReport) print(w io.Writer) {
	for _, line := range [][2]string{
		{"protx_hash", r.ProTxHash.String()},
		{"signed_height", strconv.Itoa(int(r.SignedHeight))},
		{"quorum_hash", r.QuorumHash.String()},
		{"signature", r.Signature},
		{"inventory_hash", r.InventoryHash.String()},
		{"request_id", r.RequestID.String()},
		{"message_hash", r.MessageHash.String()},
		{"sign_hash", r.SignHash.String()},
	} {
		fmt.Fprintf(w, "%-15s %s\n", line[0], line[1])
	}
}

// verdictReport adds whether the quorum signed the ban, and the reason as a
// node would name it.
type verdictReport struct {
	banReport
	Valid  bool              `json:"valid"`
	Reason validation.Reason `json:"reason"`
}

func banInspectCommand() *cobra.Command {
	var llmq uint8
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect HEX",
		Short: "Show the fields and the hashes of a platform ban",
		Long: `Show the fields and the hashes of a platform ban, given as 328 hex digits. The
sign hash depends on the quorum type of the network. Nothing is judged.`,
		Example: `  proctor ban inspect HEX
  proctor ban inspect HEX --llmq-type 4 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := parseBan(args[0], llmq)
			if err != nil {
				return unusable{err}
			}
			r := newBanReport(m, wire.LLMQType(llmq))
			if asJSON {
				return printJSON(c.OutOrStdout(), r)
			}
			r.print(c.OutOrStdout())
			return nil
		},
	}
	llmqFlag(c, &llmq)
	jsonFlag(c, &asJSON)
	return c
}

func banVerifyCommand() *cobra.Command {
	var llmq uint8
	var quorumKey string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify HEX",
		Short: "Check a platform ban's signature under a quorum's public key",
		Long: `Check a platform ban's signature under a quorum's public key, as step 6 of
DIP-0031's validation does. The other steps need a chain and are not asked.

Exit codes: 0 valid, 1 not valid, 2 the input cannot be used.`,
		Example: `  proctor ban verify HEX --quorum-key HEX --llmq-type 106
  proctor ban verify HEX --quorum-key HEX --llmq-type 4 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := parseBan(args[0], llmq)
			if err != nil {
				return unusable{err}
			}
			key, err := parseBLSKey("--quorum-key", quorumKey)
			if err != nil {
				return unusable{err}
			}
			v := verifyBan(m, wire.LLMQType(llmq), key)
			r := verdictReport{newBanReport(m, wire.LLMQType(llmq)), v.OK(), v.Reason}
			if asJSON {
				err = printJSON(c.OutOrStdout(), r)
			} else {
				r.print(c.OutOrStdout())
				fmt.Fprintf(c.OutOrStdout(), "%-15s %t\n%-15s %s\n", "valid", r.Valid, "reason", r.Reason)
			}
			if err == nil && !r.Valid {
				return errNo
			}
			return err
		},
	}
	llmqFlag(c, &llmq)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&quorumKey, "quorum-key", "", "public key of the quorum, 96 hex digits (required)")
	return c
}

// verifyBan is step 6.
func verifyBan(m wire.PlatformBan, t wire.LLMQType, key bls.PublicKey) validation.Verdict {
	sig, err := bls.ParseSignature(m.Signature)
	if err != nil {
		return validation.Checked(false, false)
	}
	return validation.Checked(true, bls.Verify(key, m.SignHash(t), sig))
}

func parseBan(text string, llmq uint8) (wire.PlatformBan, error) {
	if _, err := knownLLMQ(llmq); err != nil {
		return wire.PlatformBan{}, err
	}
	return parseBanHex(text)
}

func parseBanHex(text string) (wire.PlatformBan, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return wire.PlatformBan{}, fmt.Errorf("platformban of %d characters, want %d hex digits: %w", len(text), 2*wire.PlatformBanSize, err)
	}
	return wire.ParsePlatformBan(raw)
}

// parseBLSKey reads a public key; what names it in errors.
func parseBLSKey(what, text string) (bls.PublicKey, error) {
	var raw wire.OperatorKey
	if err := wire.DecodeHex(raw[:], what, []byte(text)); err != nil {
		return bls.PublicKey{}, err
	}
	key, err := bls.ParsePublicKey(raw)
	if err != nil {
		return key, fmt.Errorf("%s: %w", what, err)
	}
	return key, nil
}

func knownLLMQ(llmq uint8) (params.LLMQ, error) {
	q, err := params.LLMQByType(wire.LLMQType(llmq))
	if err != nil {
		return q, fmt.Errorf("--llmq-type: %w", err)
	}
	return q, nil
}

func llmqFlag(c *cobra.Command, llmq *uint8) {
	c.Flags().Uint8Var(llmq, "llmq-type", uint8(params.TestPlatform), "number of the quorum type that signs platform bans: 4 on mainnet, 6 on testnet, 106 on devnets")
}

func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
