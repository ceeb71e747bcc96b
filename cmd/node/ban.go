package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/testnet"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

func banCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "ban",
		Short: "Inspect, verify, sign and submit platform bans",
		Example: `  proctor ban verify HEX --quorum-key HEX --llmq-type 106
  proctor ban submit HEX --config evo-1/proctor.toml`,
	}
	group.AddCommand(banInspectCommand(), banVerifyCommand(), banSignCommand(), banSubmitCommand())
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
			key, err := parseQuorumKey(quorumKey)
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

func banSignCommand() *cobra.Command {
	var dealer, proTx string
	var height int32
	var signers int
	var asJSON bool
	c := &cobra.Command{
		Use:   "sign",
		Short: "Sign a platform ban with the shares of a test network's trusted dealer",
		Long: `Sign a platform ban with the shares of a test network's trusted dealer: so many
members' shares sign, and their signatures are recovered to the quorum's. Fewer
than the threshold make none. ` + "`proctor demo --keep DIR`" + ` leaves a dealer file.`,
		Example: `  proctor ban sign --dealer DIR/dealer.json --protx HASH --height 620`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			hash, err := wire.ParseHash(proTx)
			if err != nil {
				return unusable{fmt.Errorf("--protx: %w", err)}
			}
			if !c.Flags().Changed("height") {
				return unusable{fmt.Errorf("--height is not given: a ban is signed at a block height")}
			}
			d, err := readDealer(dealer)
			if err != nil {
				return unusable{err}
			}
			if n := len(d.Shares); signers < 0 || signers > n {
				return unusable{fmt.Errorf("--signers is %d, want 0 to %d, the shares in %s", signers, n, dealer)}
			}
			if signers == 0 {
				signers = d.Threshold
			}
			m, err := d.Ban(hash, height, signers)
			if err != nil {
				return err
			}
			encoded := hex.EncodeToString(m.Bytes())
			if asJSON {
				return printJSON(c.OutOrStdout(), struct {
					Hex string `json:"hex"`
					banReport
				}{encoded, newBanReport(m, d.LLMQType)})
			}
			fmt.Fprintln(c.OutOrStdout(), encoded)
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&dealer, "dealer", "dealer.json", "file with the shares")
	c.Flags().StringVar(&proTx, "protx", "", "ProTxHash of the evonode to ban, 64 hex digits (required)")
	c.Flags().Int32Var(&height, "height", 0, "block height the ban is signed at (required)")
	c.Flags().IntVar(&signers, "signers", 0, "members whose shares sign; 0 for as many as needed")
	return c
}

func readDealer(path string) (testnet.Dealer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return testnet.Dealer{}, fmt.Errorf("--dealer: %w", err)
	}
	d, err := testnet.ParseDealer(raw)
	if err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	if d.Threshold < 1 || d.Threshold > len(d.Shares) {
		return d, fmt.Errorf("%s: threshold is %d of %d shares", path, d.Threshold, len(d.Shares))
	}
	return d, nil
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
	if _, err := params.LLMQByType(wire.LLMQType(llmq)); err != nil {
		return wire.PlatformBan{}, fmt.Errorf("--llmq-type: %w", err)
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

func parseQuorumKey(text string) (bls.PublicKey, error) {
	var raw wire.OperatorKey
	if err := wire.DecodeHex(raw[:], "--quorum-key", []byte(text)); err != nil {
		return bls.PublicKey{}, err
	}
	key, err := bls.ParsePublicKey(raw)
	if err != nil {
		return key, fmt.Errorf("--quorum-key: %w", err)
	}
	return key, nil
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
