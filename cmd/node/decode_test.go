package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/wire"
)

// examples are messages of every kind, with all that each can carry.
func examples() map[string]interface{ Bytes() []byte } {
	hash := func(b byte) wire.Hash { return wire.Hash{b, 30: 1} }
	head := wire.EventHead{Network: hash(1), Sequence: 7}
	dkg := wire.DKGHead{Type: 106, QuorumHash: hash(2), ProTxHash: hash(3)}
	bits := wire.Bitset{true, false, true}
	ballot := wire.Ballot{Height: 9, BlockHash: hash(4), ProTxHash: hash(5), Answer: wire.FailsUptime}
	addresses := []string{"/ip4/203.0.113.7/tcp/19850"}
	register := wire.Register{EventHead: head, Staker: wire.StakerKey{6}, Evo: true, Addresses: addresses, Amount: 4000}
	update := wire.UpdateService{EventHead: head, ProTxHash: hash(3), Addresses: addresses}
	contribution := wire.Contribution{
		DKGHead: dkg, Vector: []wire.OperatorKey{{1}, {2}}, Ephemeral: wire.OperatorKey{3}, IVSeed: hash(7),
		Shares: []wire.EncryptedShare{{4}, {5}, {6}}, Signature: wire.Signature{8},
	}
	commitment := wire.FinalCommitment{
		Version: 4, Type: 103, QuorumHash: hash(2), QuorumIndex: 1, Signers: bits, ValidMembers: wire.Bitset{true, true, true}, PublicKey: wire.OperatorKey{9},
		VectorHash: hash(8), QuorumSignature: wire.Signature{10}, MembersSignature: wire.Signature{11},
	}
	certificate := wire.Certificate{Ballot: ballot, Voters: 0b101, Signature: wire.Signature{12}}
	content := wire.Content{
		Events: []wire.Event{register, update}, Commitments: []wire.FinalCommitment{commitment}, Certificates: []wire.Certificate{certificate},
	}
	return map[string]interface{ Bytes() []byte }{
		"platformban": wire.PlatformBan{ProTxHash: hash(3), SignedHeight: -1, QuorumHash: hash(2), Signature: wire.Signature{13}},
		"qcontrib":    contribution,
		"qcomplaint":  wire.Complaint{DKGHead: dkg, BadMembers: bits, ComplainFor: bits, Signature: wire.Signature{8}},
		"qjustify":    wire.Justification{DKGHead: dkg, Shares: []wire.RevealedShare{{Member: 2, Share: [32]byte{14}}}, Signature: wire.Signature{8}},
		"qpcommit":    wire.PrematureCommitment{DKGHead: dkg, ValidMembers: bits, PublicKey: wire.OperatorKey{9}, VectorHash: hash(8), Signature: wire.Signature{8}},
		"qfcommit":    commitment,
		"qsigshare":   wire.SigShares{{Type: 106, QuorumHash: hash(2), Member: 2, ID: hash(9), MessageHash: hash(10)}},
		"qsigrec":     wire.RecoveredSig{Type: 106, QuorumHash: hash(2), ID: hash(9), MessageHash: hash(10), Signature: wire.Signature{15}},

		"event":          register,
		"register":       register,
		"contribute":     wire.Contribute{EventHead: head, Staker: wire.StakerKey{6}, ProTxHash: hash(3), Amount: 1},
		"update-service": update,
		"revoke":         wire.Revoke{EventHead: head, ProTxHash: hash(3), Reason: 2},
		"exit":           wire.Exit{EventHead: head, Staker: wire.StakerKey{6}, ProTxHash: hash(3)},

		"block":       wire.Block{Header: wire.Header{Height: 9, Slot: 11, Parent: hash(4), Content: content.Hash()}, Content: content},
		"certificate": certificate,

		"uptime-proof": wire.UptimeProof{ProTxHash: hash(3), Sequence: 8, AnchorHeight: 9, AnchorHash: hash(4), Protocol: 1, Agent: "proctor/1", Addresses: addresses},
		"vote":         wire.Vote{Ballot: ballot, Voter: hash(11), Evidence: wire.Evidence{Digest: hash(12), First: -1, Second: -1}},
		"checkpoint":   wire.Checkpoint{Height: 8, BlockHash: hash(4), StateRoot: hash(13), Voter: hash(11)},

		"status":            wire.Status{Version: 1, Network: hash(1), Height: 9, Tip: hash(4), Synced: true, Agent: "proctor/1"},
		"goodbye":           wire.Goodbye{Code: 5, Reason: "signature", Until: 1_900_000_000},
		"block-range":       wire.BlockRange{From: 1, Count: 256},
		"inventory-request": wire.InventoryRequest{Kind: wire.AskRange, Range: wire.BanRange{From: -3, To: 5, Count: 7}},
		"ban-summary":       wire.BanSummary{{Height: -1, Count: 2}, {Height: 4, Count: 1}},
		"peer-list":         wire.PeerList{{ID: "\x00\x01", Addresses: addresses}},
	}
}

func hexOf(m interface{ Bytes() []byte }) string { return hex.EncodeToString(m.Bytes()) }

// leaves are the values in what JSON says, as text would show them.
func leaves(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(append(all, name), leaves(v[name])...)
		}
	case []any:
		all = append(all, fmt.Sprint(len(v)))
		for _, x := range v {
			all = append(all, leaves(x)...)
		}
	case string:
		if v == "" {
			v = "-"
		}
		all = append(all, v)
	default:
		all = append(all, fmt.Sprint(v))
	}
	return all
}

// Every kind is shown, and what is said in JSON is said as text too.
func TestDecode_EveryKind(t *testing.T) {
	messages := examples()
	for _, d := range decoders(106) {
		t.Run(d.kind, func(t *testing.T) {
			m, ok := messages[d.kind]
			if !ok {
				t.Fatal("no example")
			}
			o := proctor(t, "decode", d.kind, hexOf(m), "--json")
			o.wantOK(t)
			decoder := json.NewDecoder(strings.NewReader(o.stdout))
			decoder.UseNumber()
			var object map[string]any
			if err := decoder.Decode(&object); err != nil {
				t.Fatal(err)
			}
			for name := range object {
				if strings.ToLower(name) != name || strings.ContainsAny(name, " -") {
					t.Errorf("key %q is not in snake_case", name)
				}
			}
			text := proctor(t, "decode", d.kind, strings.ToUpper(hexOf(m))+"\n")
			text.wantOK(t)
			words := make(map[string]int)
			for _, w := range strings.Fields(text.stdout) {
				words[w]++
			}
			for _, leaf := range leaves(object) {
				for _, w := range strings.Fields(leaf) {
					if words[w]--; words[w] < 0 {
						t.Fatalf("%q is missing in the text, or too rare:\n%s", w, text.stdout)
					}
				}
			}
		})
	}
	if len(messages) != len(decoders(106)) {
		t.Errorf("%d examples of %d kinds", len(messages), len(decoders(106)))
	}
}

// What is shown, and under which names, is no accident.
func TestDecode_Golden(t *testing.T) {
	messages := examples()
	var all strings.Builder
	for _, d := range decoders(106) {
		o := proctor(t, "decode", d.kind, hexOf(messages[d.kind]))
		o.wantOK(t)
		fmt.Fprintf(&all, "# %s\n%s\n", d.kind, o.stdout)
	}
	golden(t, "decode.txt", all.String())
}

// What follows from a message is shown with it.
func TestDecode_DerivedHashes(t *testing.T) {
	messages := examples()
	ban := messages["platformban"].(wire.PlatformBan)
	contribution := messages["qcontrib"].(wire.Contribution)
	complaint := messages["qcomplaint"].(wire.Complaint)
	premature := messages["qpcommit"].(wire.PrematureCommitment)
	commitment := messages["qfcommit"].(wire.FinalCommitment)
	recovered := messages["qsigrec"].(wire.RecoveredSig)
	register := messages["register"].(wire.Register)
	for _, c := range []struct {
		kind, key string
		want      wire.Hash
	}{
		{"platformban", "protx_hash", ban.ProTxHash},
		{"platformban", "inventory_hash", ban.InventoryHash()},
		{"platformban", "sign_hash", ban.SignHash(106)},
		{"qcontrib", "sign_hash", contribution.SignHash()},
		{"qcontrib", "inventory_hash", contribution.ID()},
		{"qcontrib", "vvec_hash", wire.VectorHash(contribution.Vector)},
		{"qcomplaint", "sign_hash", complaint.SignHash()},
		{"qpcommit", "commitment_hash", premature.SignHash()},
		{"qfcommit", "commitment_hash", commitment.CommitmentHash()},
		{"qfcommit", "inventory_hash", commitment.ID()},
		{"qsigrec", "sign_hash", recovered.SignHash()},
		{"qsigrec", "inventory_hash", recovered.InventoryHash()},
		{"register", "protx_hash", register.ProTxHash()},
		{"register", "sign_hash", register.SignHash()},
		{"block", "hash", messages["block"].(wire.Block).Header.Hash()},
		{"uptime-proof", "digest", messages["uptime-proof"].(wire.UptimeProof).Digest()},
	} {
		o := proctor(t, "decode", c.kind, hexOf(messages[c.kind]), "--json")
		o.wantOK(t)
		var object map[string]any
		if err := json.Unmarshal([]byte(o.stdout), &object); err != nil {
			t.Fatal(err)
		}
		if object[c.key] != c.want.String() {
			t.Errorf("%s: %s is %v, want %s", c.kind, c.key, object[c.key], c.want)
		}
	}
	for _, llmq := range []string{"4", "6"} {
		if o := proctor(t, "decode", "platformban", hexOf(ban), "--llmq-type", llmq); strings.Contains(o.stdout, ban.SignHash(106).String()) {
			t.Errorf("quorum type %s signs as 106 does", llmq)
		}
	}
}

// A ban is shown as `ban inspect` shows it.
func TestDecode_BanAsInspected(t *testing.T) {
	for _, args := range [][]string{{}, {"--llmq-type", "4"}} {
		decoded := proctor(t, append([]string{"decode", "platformban", vectorBan(vectorSignature), "--json"}, args...)...)
		inspected := proctor(t, append([]string{"ban", "inspect", vectorBan(vectorSignature), "--json"}, args...)...)
		if decoded.stdout != inspected.stdout {
			t.Errorf("decode:\n%s\nban inspect:\n%s", decoded.stdout, inspected.stdout)
		}
	}
}

func TestDecode_StandardInput(t *testing.T) {
	longest := wire.Contribution{Vector: make([]wire.OperatorKey, wire.MaxQuorumMembers), Shares: make([]wire.EncryptedShare, wire.MaxQuorumMembers)}
	for _, c := range []struct {
		name, text string
		code       int
		word       string
	}{
		{"longest", hexOf(longest) + "\r\n", exitOK, longest.ID().String()},
		{"too long", hexOf(longest) + "00", exitUnusable, "at most"},
		{"endless", strings.Repeat("0", 1<<20), exitUnusable, "at most"},
		{"empty", "", exitUnusable, "qcontrib of 0 bytes"},
	} {
		path := filepath.Join(t.TempDir(), "hex")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		was := os.Stdin
		os.Stdin = in
		o := proctor(t, "decode", "qcontrib", "-")
		os.Stdin = was
		in.Close()
		if o.code != c.code || !strings.Contains(o.stdout+o.stderr, c.word) {
			t.Errorf("%s: exit code %d, want %d, and %q in %.300s%s", c.name, o.code, c.code, c.word, o.stdout, o.stderr)
		}
	}
}

// Whatever is wrong with a message, the kind, the size and the limit are named.
func TestDecode_UnusableInput(t *testing.T) {
	messages := examples()
	for _, d := range decoders(106) {
		good := hexOf(messages[d.kind])
		most := fmt.Sprint(d.most)
		for _, c := range []struct {
			name, text string
			words      []string
		}{
			{"empty", "", []string{d.kind + " of 0 bytes", most}},
			{"a byte short", good[:len(good)-2], []string{fmt.Sprintf("%s of %d bytes", d.kind, len(good)/2-1), most, "wrong"}},
			{"a byte long", good + "00", []string{d.kind, most, "wrong"}},
			{"half a byte", good[:len(good)-1], []string{d.kind, fmt.Sprintf("%d characters", len(good)-1), "hex"}},
			{"not hex", "zz" + good[2:], []string{d.kind, "'z'", "hex"}},
			{"with 0x", "0x", []string{d.kind, "2 characters", "hex"}},
			{"far too long", strings.Repeat("00", d.most+1), []string{d.kind, "at most " + most, "wrong size"}},
		} {
			if d.kind == "ban-summary" && c.name == "empty" {
				continue // a peer may have no bans
			}
			t.Run(d.kind+" "+c.name, func(t *testing.T) {
				proctor(t, "decode", d.kind, c.text).wantError(t, exitUnusable, c.words...)
				proctor(t, "decode", d.kind, c.text, "--json").wantError(t, exitUnusable, c.words...)
			})
		}
	}
	proctor(t, "decode", "exit", hexOf(messages["register"])).wantError(t, exitUnusable, "exit", "kind register")
	proctor(t, "decode", "platformban", vectorBan(vectorSignature), "--llmq-type", "99").wantError(t, exitUnusable, "--llmq-type", "99", "known")
	proctor(t, "decode", "platformban", vectorBan(vectorSignature), "--nonsense").wantError(t, exitUnusable, "--nonsense")
}

// No bytes of any kind break the decoders, and what they take is JSON.
func FuzzDecode(f *testing.F) {
	all := decoders(106)
	for i, d := range all {
		f.Add(uint8(i), examples()[d.kind].Bytes())
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		d := all[int(kind)%len(all)]
		shown, err := d.show(b)
		if err != nil {
			return
		}
		if len(b) > d.most {
			t.Errorf("%s of %d bytes is taken, at most %d are said", d.kind, len(b), d.most)
		}
		var asJSON, asText bytes.Buffer
		if err := show(&asJSON, shown, true); err != nil || !json.Valid(asJSON.Bytes()) {
			t.Errorf("%s %x as JSON: %v\n%s", d.kind, b, err, asJSON.String())
		}
		if err := show(&asText, shown, false); err != nil || asText.Len() == 0 {
			t.Errorf("%s %x as text: %v", d.kind, b, err)
		}
	})
}
