package config

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

func TestReadServiceKey_Errors(t *testing.T) {
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
			key, err := ReadServiceKey(path)
			wantWords(t, err, append(c.words, path, "service key")...)
			if key != nil {
				t.Error("a key beside the error")
			}
			if strings.Contains(err.Error(), "5e5e") {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
	none := filepath.Join(t.TempDir(), "none.key")
	_, err := ReadServiceKey(none)
	wantWords(t, err, "does not exist", "proctor key new "+none)
	_, err = ReadServiceKey(filepath.Join(file(t, ""), "below"))
	wantWords(t, err, "not a directory")
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
