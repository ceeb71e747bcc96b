package engine

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// block judges a block and, if it extends the tip, makes it the tip.
func (e *Engine) block(in Block, out *Effects) validation.Verdict {
	header := in.Block.Header
	place, err := e.chain.Judge(header, e.slot())
	switch {
	case errors.Is(err, chain.ErrAuthor):
		return validation.BlockAuthor.Verdict()
	case err != nil:
		return validation.BlockLink.Verdict()
	}
	switch place {
	case chain.Known:
		return validation.Duplicate.Verdict()
	case chain.Early: // or our clock is slow, and it is the only sign that we fall behind
		e.sync.has(in.From, e.plausible(header.Height))
		e.fetch(out)
		return validation.BlockEarly.Verdict()
	case chain.Side:
		e.chain.Keep(header)
		e.sawBranch(header.Height)
		return validation.BlockSide.Verdict()
	case chain.Orphan:
		e.sync.has(in.From, header.Height)
		e.fetch(out)
		return validation.BlockOrphan.Verdict()
	}
	if !e.connect(in.Block, out) {
		return validation.BlockContent.Verdict()
	}
	e.sync.has(in.From, header.Height)
	return validation.Valid.Verdict()
}

// connect applies a block that extends the tip. It reports false, and changes
// nothing, when the block's contents are wrong.
func (e *Engine) connect(b wire.Block, out *Effects) bool {
	for _, event := range b.Events {
		if !e.signedByOperator(event) {
			return false
		}
	}
	next, changes, err := e.state.Apply(b)
	if err != nil {
		return false
	}
	e.chain.Extend(b.Header)
	e.state = next
	out.put(KindBlock, heightKey(b.Header.Height), b.Bytes())
	for _, c := range changes {
		out.put(KindNode, c.Node.ProTxHash[:], c.Node.Bytes())
		e.clearFlag(c, b.Header.Height, out)
	}
	deleteBans(e.inventory.Expire(e.windowFloor()), out)
	deleteRefusals(e.refused.Expire(e.windowFloor()), out)
	e.dropStaleEvents()
	e.putMeta(out)
	return true
}

// clearFlag clears the platform-ban flag of a node whose service was updated,
// as the profile says. The height is kept even where no flag is set, so that
// an older ban which arrives late cannot set one.
func (e *Engine) clearFlag(c state.Change, height int32, out *Effects) {
	if !c.Node.Evo || !c.Revived && !e.state.Profile().ServiceUpdateClearsBan {
		return
	}
	flag := e.flag(c.Node.ProTxHash).Cleared(height)
	e.flags = e.flags.Set(c.Node.ProTxHash, flag)
	out.put(KindFlag, c.Node.ProTxHash[:], flag.Bytes())
}

// signedByOperator checks an event's signature. A block has few events, so
// they are checked one by one: about a millisecond each.
func (e *Engine) signedByOperator(event wire.UpdateService) bool {
	node, ok := e.state.Node(event.ProTxHash)
	if !ok {
		return false
	}
	key, err := bls.ParsePublicKey(node.OperatorKey)
	if err != nil {
		return false
	}
	sig, err := bls.ParseSignature(event.Signature)
	return err == nil && bls.Verify(key, event.SignHash(), sig)
}

// event takes an event of our operator into the pool.
func (e *Engine) event(event wire.UpdateService) validation.Verdict {
	if _, err := wire.ParseUpdateService(event.Bytes()); err != nil { // or nobody could read our block
		return validation.Event.Verdict()
	}
	if e.state.CheckEvent(event) != nil || !e.signedByOperator(event) {
		return validation.Event.Verdict()
	}
	// A node has one event in a block, as each needs the next sequence number.
	// An operator who thinks again replaces what waits.
	i := slices.IndexFunc(e.pool, func(waiting wire.UpdateService) bool { return waiting.ProTxHash == event.ProTxHash })
	if i >= 0 {
		e.pool[i] = event
		return validation.Valid.Verdict()
	}
	if len(e.pool) >= maxPool {
		return validation.PoolFull.Verdict()
	}
	e.pool = append(e.pool, event)
	return validation.Valid.Verdict()
}

// dropStaleEvents forgets the events that can no longer stand in a block.
func (e *Engine) dropStaleEvents() {
	var kept []wire.UpdateService
	for _, event := range e.pool {
		if e.state.CheckEvent(event) == nil {
			kept = append(kept, event)
		}
	}
	e.pool = kept
}

// produce makes a block when the slot is ours.
func (e *Engine) produce(out *Effects) {
	slot, tip := e.slot(), e.chain.Tip()
	if e.config.ServiceKey == nil || slot <= tip.Slot || e.config.Genesis.Authority(slot) != e.config.ProTxHash || !e.mayProduce() {
		return
	}
	b := e.nextBlock(slot)
	if !e.connect(b, out) {
		panic("engine: our own block is not valid")
	}
	out.Publications = append(out.Publications, Publication{TopicBlock, b.Bytes()})
}

// nextBlock builds and signs a block on our tip with the events that wait.
func (e *Engine) nextBlock(slot uint64) wire.Block {
	tip := e.chain.Tip()
	h := wire.Header{
		Height:    tip.Height + 1,
		Slot:      slot,
		Parent:    tip.Hash,
		StateRoot: e.state.Root(),
		Content:   wire.ContentHash(e.pool),
	}
	h.Signature = wire.ServiceSignature(ed25519.Sign(e.config.ServiceKey, h.SignedBytes()))
	return wire.Block{Header: h, Events: e.pool}
}

func heightKey(h int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(h)) }
