package dkg

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// scalar is SHA256(label) mod r, as the vectors of spec/dash.md 11 use it.
func scalar(t *testing.T, label string) bls.SecretKey {
	t.Helper()
	order, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	digest := sha256.Sum256([]byte(label))
	var b [bls.SecretKeySize]byte
	n := new(big.Int).SetBytes(digest[:])
	n.Mod(n, order).FillBytes(b[:])
	sk, err := bls.ParseSecretKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

// Source: spec/dash.md 11.4; the share is sk1 of 11.2.
func TestEncryptShare_Vector(t *testing.T) {
	const share = "0325f1a09bbc520ebba5d409d8a672eeea06871ffbf47c14564d1a7cea7e189a"
	plain, err := hex.DecodeString(share)
	if err != nil {
		t.Fatal(err)
	}
	ephemeral, operator := scalar(t, "eph"), scalar(t, "op-1")
	var iv wire.Hash
	for i := range iv {
		iv[i] = byte(i)
	}
	for i, want := range []struct{ iv, encrypted string }{
		{"000102030405060708090a0b0c0d0e0f", "801734e1996bceb47fca602bbb2c291ff1fa42b4498d1a75f185d421662e47e4"},
		{"2f287b4d3d4910f6cada9e1bd1b46480", "d253127ee25fb9e420513392116b5bf8f53aa6dfdfb6786793bdf804d3fc32c4"},
		{"cefc1232dee44cc53fccf8cc078f657f", "754a4d89a409e5b6168bcf31bde38035fccc8b31e0ca510e369f205f46923bb0"},
	} {
		got := encryptShare(ephemeral, operator.PublicKey(), iv, [32]byte(plain))
		if hex.EncodeToString(got[:]) != want.encrypted || hex.EncodeToString(iv[:16]) != want.iv {
			t.Errorf("share %d is %x with iv %x, want %s with %s", i, got, iv[:16], want.encrypted, want.iv)
		}
		if back := decryptShare(operator, ephemeral.PublicKey(), iv, got); hex.EncodeToString(back[:]) != share {
			t.Errorf("share %d decrypts to %x", i, back)
		}
		iv = nextIV(iv)
	}
}
