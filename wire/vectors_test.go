package wire

import (
	"bufio"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// vectors reads a file of "name value" lines; # begins a comment.
func vectors(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := make(map[string]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			v[name] = strings.TrimSpace(value)
		}
	}
	return v
}

func mustHash(t *testing.T, display string) Hash {
	t.Helper()
	h, err := ParseHash(display)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func internal(h Hash) string { return hex.EncodeToString(h[:]) }

// vectorBan is the message of spec/dash.md 11.1 with the signature of 11.2.
func vectorBan(t *testing.T) (PlatformBan, map[string]string) {
	t.Helper()
	v := vectors(t, "testdata/platformban.txt")
	height, err := strconv.Atoi(v["height"])
	if err != nil {
		t.Fatal(err)
	}
	m := PlatformBan{
		ProTxHash:    mustHash(t, v["protx_display"]),
		SignedHeight: int32(height),
		QuorumHash:   mustHash(t, v["quorum_display"]),
	}
	if err := DecodeHex(m.Signature[:], "signature", []byte(v["signature"])); err != nil {
		t.Fatal(err)
	}
	return m, v
}

func TestPlatformBan_Vector(t *testing.T) {
	m, v := vectorBan(t)
	sign := m.SignHash(106)
	for _, c := range []struct{ name, got string }{
		{"request_id", internal(m.RequestID())},
		{"message_hash", internal(m.MessageHash())},
		{"sign_hash", internal(sign)},
		{"inventory_hash", internal(m.InventoryHash())},
		{"request_id_display", m.RequestID().String()},
		{"message_hash_display", m.MessageHash().String()},
		{"sign_hash_display", sign.String()},
		{"inventory_hash_display", m.InventoryHash().String()},
		{"message_head", hex.EncodeToString(m.Bytes()[:68])},
		{"signature", hex.EncodeToString(m.Bytes()[68:])},
	} {
		if want := v[c.name]; c.got != want || want == "" {
			t.Errorf("%s is %s, want %s", c.name, c.got, want)
		}
	}
}

// Published sign hashes: a Tenderdash test and a mainnet InstantSend lock.
func TestSignHash_Vectors(t *testing.T) {
	v := vectors(t, "testdata/signhash.txt")
	got := SignHash(100, mustHash(t, v["tenderdash_quorum"]), mustHash(t, v["tenderdash_id"]), mustHash(t, v["tenderdash_message"]))
	if got.String() != v["tenderdash_sign_hash"] {
		t.Errorf("sign hash %s, want %s", got, v["tenderdash_sign_hash"])
	}
	tx := mustHash(t, v["islock_input_txid"])
	id := DoubleHash([]byte("\x06islock\x01"), tx[:], []byte{1, 0, 0, 0})
	got = SignHash(5, mustHash(t, v["islock_quorum"]), id, mustHash(t, v["islock_txid"]))
	if got.String() != v["islock_sign_hash"] {
		t.Errorf("sign hash %s, want %s", got, v["islock_sign_hash"])
	}
}

func TestPlatformBan_InventoryHashLeavesTheSignatureOut(t *testing.T) {
	m, _ := vectorBan(t)
	forged := m
	forged.Signature[95] ^= 1
	if forged.InventoryHash() != m.InventoryHash() || string(forged.Bytes()) == string(m.Bytes()) {
		t.Error("a forged twin must have the inventory hash of the genuine message and other bytes")
	}
	for name, change := range map[string]func(*PlatformBan){
		"protx":  func(m *PlatformBan) { m.ProTxHash[0] ^= 1 },
		"height": func(m *PlatformBan) { m.SignedHeight++ },
		"quorum": func(m *PlatformBan) { m.QuorumHash[31] ^= 1 },
	} {
		other := m
		change(&other)
		if other.InventoryHash() == m.InventoryHash() {
			t.Errorf("another %s has the same inventory hash", name)
		}
	}
}
