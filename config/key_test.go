package config

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

func TestServiceKey_WriteRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "service.key")
	want := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if err := WriteServiceKey(path, want); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o600 {
		t.Errorf("mode %#o, want 0600", got)
	}
	got, err := ReadServiceKey(path)
	if err != nil || !got.Equal(want) {
		t.Errorf("read back another key, err %v", err)
	}

	if err := WriteServiceKey(path, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))); err == nil {
		t.Error("an existing key was overwritten")
	}
	if got, err = ReadServiceKey(path); err != nil || !got.Equal(want) {
		t.Errorf("the key changed, err %v", err)
	}
}

// A link is followed to where nothing is only if one may overwrite by it.
func TestWriteServiceKey_DoesNotFollowLinks(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	err := WriteServiceKey(filepath.Join(dir, "link"), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if _, gone := os.Stat(target); err == nil || gone == nil {
		t.Errorf("a key was written through a link, err %v", err)
	}
}

func TestReadServiceKey_Format(t *testing.T) {
	seed := strings.Repeat("5e", ed25519.SeedSize)
	for _, text := range []string{seed, seed + "\n", " " + strings.ToUpper(seed) + "\r\n"} {
		path := file(t, text)
		key, err := ReadServiceKey(path)
		if err != nil || hex.EncodeToString(key.Seed()) != seed {
			t.Errorf("%q: err %v, want the key", text, err)
		}
	}
}

func TestReadKeys_Errors(t *testing.T) {
	seed := strings.Repeat("5e", ed25519.SeedSize)
	for _, c := range []struct {
		name  string
		text  string
		mode  os.FileMode
		words []string
	}{
		{"others may read", seed, 0o644, []string{"0644", "chmod 600 "}},
		{"group may read", seed, 0o640, []string{"0640", "chmod 600 "}},
		{"others may write", seed, 0o602, []string{"0602", "chmod 600 "}},
		{"short", seed[:62], 0o600, []string{"62 characters", "64 hex digits"}},
		{"long", seed + "5e", 0o600, []string{"66 characters", "64 hex digits"}},
		{"empty", "", 0o600, []string{"0 characters", "64 hex digits"}},
		{"not hex", seed[:63] + "z", 0o600, []string{"not hex"}},
		{"two keys", seed + "\n" + seed, 0o600, []string{"129 characters", "64 hex digits"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := file(t, c.text)
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			service, err := ReadServiceKey(path)
			wantWords(t, err, append(c.words, path, "service key")...)
			operator, operatorErr := ReadOperatorKey(path)
			wantWords(t, operatorErr, append(c.words, path, "operator key")...)
			if service != nil || operator != (bls.SecretKey{}) {
				t.Error("a key beside the error")
			}
			if strings.Contains(err.Error()+operatorErr.Error(), "5e5e") {
				t.Errorf("the secret is in an error: %v, %v", err, operatorErr)
			}
		})
	}
	none, below := filepath.Join(t.TempDir(), "none.key"), filepath.Join(file(t, ""), "below")
	_, err := ReadServiceKey(none)
	wantWords(t, err, "service key", "does not exist", "proctor key new "+none)
	_, err = ReadServiceKey(below)
	wantWords(t, err, "not a directory")
	_, err = ReadOperatorKey(none)
	wantWords(t, err, "operator key", none, "does not exist", "operator_key")
	_, err = ReadOperatorKey(below)
	wantWords(t, err, "operator key", "not a directory")
}

func TestOperatorKey_WriteRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operator.key")
	want := bls.GenerateSecretKey([32]byte{7})
	if err := WriteOperatorKey(path, want); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info, err)
	}
	if got, err := ReadOperatorKey(path); err != nil || got != want {
		t.Errorf("read back another key, err %v", err)
	}
	err := WriteOperatorKey(path, bls.GenerateSecretKey([32]byte{8}))
	wantWords(t, err, "operator key", path, "not overwritten")
	if got, err := ReadOperatorKey(path); err != nil || got != want {
		t.Errorf("the key changed, err %v", err)
	}
}

// A scalar is big endian, more than 0 and less than the order of the group.
func TestReadOperatorKey_Scalar(t *testing.T) {
	const order = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
	for _, c := range []struct {
		text  string
		words []string
	}{
		{strings.Repeat("0", 64), []string{"operator key", "is 0 or not below"}},
		{order, []string{"operator key", "is 0 or not below"}},
		{strings.Repeat("f", 64), []string{"operator key", "is 0 or not below"}},
	} {
		path := file(t, c.text)
		key, err := ReadOperatorKey(path)
		wantWords(t, err, append(c.words, path)...)
		if key != (bls.SecretKey{}) || strings.Contains(err.Error(), c.text[:8]) {
			t.Errorf("%s: key %v, error %v", c.text, key, err)
		}
	}
	// The generator of G1 is the public key of 1, as the standard gives it.
	key, err := ReadOperatorKey(file(t, strings.Repeat("0", 63)+"1\n"))
	if err != nil || !strings.HasPrefix(wire.OperatorKey(key.PublicKey().Bytes()).String(), "97f1d3a73197d794") {
		t.Errorf("of 1: %v", err)
	}
	if _, err := ReadOperatorKey(file(t, order[:63]+"0")); err != nil {
		t.Errorf("the largest: %v", err)
	}
}

func TestConfig_Operator(t *testing.T) {
	ours, others := bls.GenerateSecretKey([32]byte{1}), bls.GenerateSecretKey([32]byte{2})
	protx := wire.Hash{1}
	genesis := chain.Genesis{Nodes: []chain.GenesisNode{
		{ProTxHash: wire.Hash{2}, OperatorKey: others.PublicKey().Bytes()},
		{ProTxHash: protx, OperatorKey: ours.PublicKey().Bytes()},
	}}
	path := filepath.Join(t.TempDir(), "operator.key")
	if err := WriteOperatorKey(path, ours); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.key")
	for _, c := range []struct {
		name  string
		c     Config
		votes bool
		words []string // of the error
	}{
		{"registered", Config{ProTxHash: protx.String(), OperatorKey: path}, true, nil},
		{"not in the genesis", Config{ProTxHash: wire.Hash{3}.String(), OperatorKey: path}, true, nil},
		{"observer", Config{OperatorKey: path}, false, nil},
		{"observer without the file", Config{OperatorKey: none}, false, nil},
		{"never votes", Config{ProTxHash: protx.String()}, false, nil},
		{"no file", Config{ProTxHash: protx.String(), OperatorKey: none}, false, []string{"operator key", none, "does not exist"}},
		{"another's", Config{ProTxHash: wire.Hash{2}.String(), OperatorKey: path}, false,
			[]string{"operator key", path, wire.Hash{2}.String(), genesis.Nodes[0].OperatorKey.String(), genesis.Nodes[1].OperatorKey.String()}},
		{"no node", Config{ProTxHash: "ab", OperatorKey: path}, false, []string{"protx_hash"}},
	} {
		key, votes, err := c.c.Operator(genesis)
		if c.words != nil {
			wantWords(t, err, c.words...)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		want := bls.SecretKey{}
		if c.votes {
			want = ours
		}
		if votes != c.votes || key != want {
			t.Errorf("%s: votes %t, want %t; or another key", c.name, votes, c.votes)
		}
	}
}

// Root may read what nobody may.
func TestReadServiceKey_NotOurs(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := file(t, "")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := ReadServiceKey(path)
	wantWords(t, err, path, "permission denied")
}
