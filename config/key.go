package config

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// secretSize is the length of a secret in a key file, in bytes. A file holds
// it as hex digits, and others than its owner must not be able to read it.
const secretSize = 32

// kindOfKey is what a key file holds, and what to do when there is none: a
// format in which %[2]s is the path.
type kindOfKey struct{ name, missing string }

var (
	serviceKey  = kindOfKey{"service key", "make a new one with `proctor key new %[2]s`"}
	stakerKey   = kindOfKey{"staker key", "make a new one with `proctor key new --kind staker %[2]s`"}
	operatorKey = kindOfKey{"operator key", "set operator_key to '' for a node that never votes"}
)

// ReadServiceKey reads a service key file: the 32-byte seed of an Ed25519 key
// as 64 hex digits.
func ReadServiceKey(path string) (ed25519.PrivateKey, error) { return serviceKey.readEd25519(path) }

// ReadStakerKey reads a staker key file, which is made like a service key's.
func ReadStakerKey(path string) (ed25519.PrivateKey, error) { return stakerKey.readEd25519(path) }

func (k kindOfKey) readEd25519(path string) (ed25519.PrivateKey, error) {
	seed, err := k.read(path)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// WriteServiceKey writes a service key file that must not exist yet.
func WriteServiceKey(path string, key ed25519.PrivateKey) error {
	return serviceKey.write(path, key.Seed())
}

// ReadOperatorKey reads an operator key file: the secret scalar of a BLS key,
// big endian, as 64 hex digits.
func ReadOperatorKey(path string) (bls.SecretKey, error) {
	scalar, err := operatorKey.read(path)
	if err != nil {
		return bls.SecretKey{}, err
	}
	key, err := bls.ParseSecretKey(scalar)
	if err != nil {
		return bls.SecretKey{}, fmt.Errorf("%s: operator key is 0 or not below the order of the group: %w", path, err)
	}
	return key, nil
}

// WriteOperatorKey writes an operator key file that must not exist yet.
func WriteOperatorKey(path string, key bls.SecretKey) error {
	scalar := key.Bytes()
	return operatorKey.write(path, scalar[:])
}

func (k kindOfKey) read(path string) (secret [secretSize]byte, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return secret, fmt.Errorf("%[1]s: %[2]s does not exist; put the registered key there, or "+k.missing, k.name, path)
	}
	if err != nil {
		return secret, fmt.Errorf("%s: %w", k.name, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return secret, fmt.Errorf("%s: %s has mode %#o, others can read it; run `chmod 600 %s`, and make a new key if somebody may have", k.name, path, mode, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return secret, fmt.Errorf("%s: %w", k.name, err)
	}
	if err := wire.DecodeHex(secret[:], k.name, bytes.TrimSpace(raw)); err != nil {
		return [secretSize]byte{}, fmt.Errorf("%s: %w", path, err)
	}
	return secret, nil
}

func (k kindOfKey) write(path string, secret []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %s exists and is not overwritten; name another file", k.name, path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(secret))
	return errors.Join(err, f.Close())
}
