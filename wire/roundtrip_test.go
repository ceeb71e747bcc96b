package wire

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// printable are the characters of texts: all of ASCII that leaves ink.
var printable = func() []rune {
	var all []rune
	for c := rune(0x21); c <= 0x7e; c++ {
		all = append(all, c)
	}
	return all
}()

var (
	hashes     = fixed[Hash](HashSize)
	stakers    = fixed[StakerKey](StakerKeySize)
	signatures = fixed[Signature](SignatureSize)
	seals      = fixed[ServiceSignature](ServiceSignatureSize)
	amounts    = rapid.Uint64Min(1)

	heads = rapid.Custom(func(t *rapid.T) EventHead {
		return EventHead{hashes.Draw(t, "network"), rapid.Uint64().Draw(t, "sequence")}
	})
	events = rapid.OneOf(
		rapid.Custom(func(t *rapid.T) Event {
			return Register{
				heads.Draw(t, "head"), stakers.Draw(t, "staker"), rapid.Bool().Draw(t, "evo"), fixed[OperatorKey](OperatorKeySize).Draw(t, "operator"),
				fixed[ServiceKey](ServiceKeySize).Draw(t, "service"), addresses(0).Draw(t, "addresses"), endpoints.Draw(t, "platform"), amounts.Draw(t, "amount"),
				signatures.Draw(t, "operator proof"), seals.Draw(t, "service proof"), seals.Draw(t, "signature"),
			}
		}),
		rapid.Custom(func(t *rapid.T) Event {
			return UpdateService{heads.Draw(t, "head"), hashes.Draw(t, "protx"), addresses(1).Draw(t, "addresses"), endpoints.Draw(t, "platform"), signatures.Draw(t, "signature")}
		}),
		rapid.Custom(func(t *rapid.T) Event {
			return Revoke{heads.Draw(t, "head"), hashes.Draw(t, "protx"), rapid.Uint8Max(MaxRevokeReason).Draw(t, "reason"), signatures.Draw(t, "signature")}
		}),
		rapid.Custom(func(t *rapid.T) Event {
			return Contribute{heads.Draw(t, "head"), stakers.Draw(t, "staker"), hashes.Draw(t, "protx"), amounts.Draw(t, "amount"), seals.Draw(t, "signature")}
		}),
		rapid.Custom(func(t *rapid.T) Event {
			return Exit{heads.Draw(t, "head"), stakers.Draw(t, "staker"), hashes.Draw(t, "protx"), seals.Draw(t, "signature")}
		}),
	)
	ballots = rapid.Custom(func(t *rapid.T) Ballot {
		return Ballot{rapid.Int32().Draw(t, "height"), hashes.Draw(t, "block"), hashes.Draw(t, "node"), rapid.SampledFrom(Answers()).Draw(t, "answer")}
	})
	certificates = rapid.Custom(func(t *rapid.T) Certificate {
		return Certificate{ballots.Draw(t, "ballot"), rapid.Uint16().Draw(t, "voters"), signatures.Draw(t, "signature")}
	})
)

func fixed[T Hash | Signature | ServiceSignature | StakerKey | OperatorKey | ServiceKey](size int) *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T { return T(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "bytes")) })
}

func texts(shortest, longest int) *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom(printable), shortest, longest, -1)
}

// endpoints are what CheckEndpoint takes, "" for none included.
var endpoints = rapid.Custom(func(t *rapid.T) string {
	host := rapid.SampledFrom([]string{"a", "a-1.example.org", "127.0.0.1", "[::1]", "[2001:db8::7]"}).Draw(t, "host")
	port := fmt.Sprint(":", rapid.IntRange(1, 65535).Draw(t, "port"))
	return rapid.SampledFrom([]string{"", "tcp://" + host + port, "http://" + host + port + "/", "https://" + host + "/a/b?c=d", "https://" + host}).Draw(t, "endpoint")
})

func addresses(least int) *rapid.Generator[[]string] {
	return rapid.Map(rapid.SliceOfN(texts(1, MaxAddressLength), least, MaxAddresses), noneIsNil[string])
}

// noneIsNil is a list as decoders return it.
func noneIsNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func roundTrip[M interface{ Bytes() []byte }](t *rapid.T, want M, parse func([]byte) (M, error)) {
	t.Helper()
	if got, err := parse(want.Bytes()); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v comes back as %+v, %v", want, got, err)
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, PlatformBan{hashes.Draw(t, "protx"), rapid.Int32().Draw(t, "height"), hashes.Draw(t, "quorum"), signatures.Draw(t, "signature")}, ParsePlatformBan)
		roundTrip(t, events.Draw(t, "event"), ParseEvent)
		roundTrip(t, certificates.Draw(t, "certificate"), ParseCertificate)
		evidence := Evidence{hashes.Draw(t, "digest"), rapid.Int32().Draw(t, "first"), rapid.Int32().Draw(t, "second")}
		roundTrip(t, Vote{ballots.Draw(t, "ballot"), hashes.Draw(t, "voter"), signatures.Draw(t, "signature"), evidence, seals.Draw(t, "seal")}, ParseVote)
		roundTrip(t, Checkpoint{rapid.Int32().Draw(t, "height"), hashes.Draw(t, "block"), hashes.Draw(t, "root"), hashes.Draw(t, "voter"), seals.Draw(t, "seal")}, ParseCheckpoint)
		roundTrip(t, UptimeProof{
			hashes.Draw(t, "protx"), rapid.Uint64().Draw(t, "sequence"), rapid.Int32().Draw(t, "height"), hashes.Draw(t, "anchor"), rapid.Uint16().Draw(t, "protocol"),
			texts(0, MaxAgentLength).Draw(t, "agent"), addresses(1).Draw(t, "addresses"), seals.Draw(t, "seal"),
		}, ParseUptimeProof)
		roundTrip(t, Status{
			rapid.Uint16().Draw(t, "version"), hashes.Draw(t, "network"), hashes.Draw(t, "protx"), rapid.Int32().Draw(t, "height"),
			hashes.Draw(t, "tip"), rapid.Bool().Draw(t, "synced"), texts(0, MaxAgentLength).Draw(t, "agent"),
		}, ParseStatus)
		roundTrip(t, BlockRange{rapid.Int32Min(1).Draw(t, "from"), rapid.Uint16Range(1, MaxRangeBlocks).Draw(t, "count")}, ParseBlockRange)
	})
}

func TestBlock_RoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Content{
			noneIsNil(rapid.SliceOfN(events, 0, 3).Draw(t, "events")), noneIsNil(rapid.SliceOfN(finalCommitments, 0, 3).Draw(t, "commitments")),
			noneIsNil(rapid.SliceOfN(certificates, 0, 3).Draw(t, "certificates")),
		}
		h := Header{rapid.Int32().Draw(t, "height"), rapid.Uint64().Draw(t, "slot"), hashes.Draw(t, "parent"), hashes.Draw(t, "root"), c.Hash(), seals.Draw(t, "signature")}
		roundTrip(t, Block{h, c}, ParseBlock)
	})
}
