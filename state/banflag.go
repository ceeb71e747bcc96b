package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/proctornet/proctor/wire"
)

// BanFlag is the PlatformPoSeBan flag of one evonode as this node sees it:
// the newest ban and the newest fact that cleared one. Gossip delivers late,
// twice and in any order, so a flag only grows: nodes that heard the same facts
// agree whether it is set, by which ban, and which bans it still takes.
// Source: DIP-0031, Processing; height rule of spec/dash.md 1.5.
type BanFlag struct {
	BannedHeight  int32 // signed height of the newest ban; NoHeight if none
	ClearedHeight int32 // height of the newest clearing block; NoHeight if none
	Ban           wire.PlatformBan
}

// NoBanFlag is the flag of a node nothing was ever heard about.
func NoBanFlag() BanFlag { return BanFlag{BannedHeight: NoHeight, ClearedHeight: NoHeight} }

// Set reports whether the flag is set. A tie counts as banned.
func (f BanFlag) Set() bool { return f.BannedHeight != NoHeight && f.BannedHeight >= f.ClearedHeight }

// Takes reports whether a ban signed at height is not older than the flag's
// last change. One of equal height is taken again, so that the same ban signed
// by another quorum spreads too. Heights below zero are never taken.
func (f BanFlag) Takes(height int32) bool {
	return height >= max(0, f.BannedHeight, f.ClearedHeight)
}

// Banned returns f after ban, whose height f takes. Of two bans at one height
// the one with the lower bytes stays as evidence, so that order cannot matter.
func (f BanFlag) Banned(ban wire.PlatformBan) BanFlag {
	newer := ban.SignedHeight > f.BannedHeight
	lower := ban.SignedHeight == f.BannedHeight && bytes.Compare(ban.Bytes(), f.Ban.Bytes()) < 0
	if newer || lower {
		f.BannedHeight, f.Ban = ban.SignedHeight, ban
	}
	return f
}

// Cleared returns f after a block at height that clears it.
func (f BanFlag) Cleared(height int32) BanFlag {
	f.ClearedHeight = max(f.ClearedHeight, height)
	return f
}

const banFlagSize = 4 + 4 + wire.PlatformBanSize

// Bytes returns the one encoding of f.
func (f BanFlag) Bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(f.BannedHeight))
	b = binary.BigEndian.AppendUint32(b, uint32(f.ClearedHeight))
	return append(b, f.Ban.Bytes()...)
}

// ParseBanFlag decodes what Bytes returns. The error wraps ErrRecord.
func ParseBanFlag(b []byte) (BanFlag, error) {
	if len(b) != banFlagSize {
		return BanFlag{}, fmt.Errorf("%w: ban flag of %d bytes, want %d", ErrRecord, len(b), banFlagSize)
	}
	ban, err := wire.ParsePlatformBan(b[8:])
	if err != nil {
		return BanFlag{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return BanFlag{
		BannedHeight:  int32(binary.BigEndian.Uint32(b[0:4])),
		ClearedHeight: int32(binary.BigEndian.Uint32(b[4:8])),
		Ban:           ban,
	}, nil
}
