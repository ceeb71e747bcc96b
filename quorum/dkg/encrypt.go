package dkg

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/wire"
)

// Shares are encrypted by a key agreement of an ephemeral key with the
// recipient's operator key, and AES-256-CBC without padding. There is no
// authentication: a forged share shows by not fitting its dealer's vector.
// Source: spec/dash.md 5.4, "IES".

// nextIV is the seed after that of one share. A share's initialisation vector is
// the first 16 bytes of its seed; the first share has the message's.
func nextIV(seed wire.Hash) wire.Hash { return wire.DoubleHash(seed[:]) }

// shareCipher is for the secret of one side and the public key of the other.
func shareCipher(own bls.SecretKey, other bls.PublicKey) cipher.Block {
	point := own.Agree(other).Bytes()
	block, err := aes.NewCipher(point[:32])
	if err != nil {
		panic(err) // only ever of the key's length
	}
	return block
}

func encryptShare(ephemeral bls.SecretKey, recipient bls.PublicKey, iv wire.Hash, share [bls.SecretKeySize]byte) (e wire.EncryptedShare) {
	cipher.NewCBCEncrypter(shareCipher(ephemeral, recipient), iv[:aes.BlockSize]).CryptBlocks(e[:], share[:])
	return e
}

func decryptShare(operator bls.SecretKey, ephemeral bls.PublicKey, iv wire.Hash, e wire.EncryptedShare) (share [bls.SecretKeySize]byte) {
	cipher.NewCBCDecrypter(shareCipher(operator, ephemeral), iv[:aes.BlockSize]).CryptBlocks(share[:], e[:])
	return share
}
