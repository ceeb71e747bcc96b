package config

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/proctornet/proctor/wire"
)

// ReadServiceKey reads a service key file: the 32-byte seed of an Ed25519 key
// as 64 hex digits. Others than its owner must not be able to read it.
func ReadServiceKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("service key: %s does not exist; put the registered key there, or make a new one with `proctor key new %s`", path, path)
	}
	if err != nil {
		return nil, fmt.Errorf("service key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("service key: %s has mode %#o, others can read it; run `chmod 600 %s`, and make a new key if somebody may have", path, mode, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("service key: %w", err)
	}
	var seed [ed25519.SeedSize]byte
	if err := wire.DecodeHex(seed[:], "service key", bytes.TrimSpace(raw)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// WriteServiceKey writes a service key file that must not exist yet.
func WriteServiceKey(path string, key ed25519.PrivateKey) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("service key: %s exists and is not overwritten; name another file", path)
	}
	if err != nil {
		return fmt.Errorf("service key: %w", err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(key.Seed()))
	return errors.Join(err, f.Close())
}
