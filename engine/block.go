package engine

import (
	"encoding/binary"
	"errors"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// block judges a block and goes on with the best branch there is then. asked
// says that we asked for it.
func (e *Engine) block(in Block, asked bool, out *Effects) validation.Verdict {
	header := in.Block.Header
	place, err := e.tree.Judge(header, e.slot(), asked)
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
	case chain.Orphan:
		e.sync.has(in.From, header.Height)
		e.fetch(out)
		return validation.BlockOrphan.Verdict()
	case chain.Twin:
		return validation.BlockTwin.Verdict()
	case chain.Deep: // it can never be ours, but it can prove that two final blocks contradict each other
		e.addHeader(header, out)
		return validation.BlockDeep.Verdict()
	case chain.Dead:
		e.addHeader(header, out)
		return validation.BlockDead.Verdict()
	}
	return e.join(in, place, out)
}

// join takes a block whose header is in order.
func (e *Engine) join(in Block, place chain.Place, out *Effects) validation.Verdict {
	header := in.Block.Header
	if place == chain.Extends {
		link, err := e.apply(e.branch, in.Block)
		e.addHeader(header, out)
		switch {
		case err != nil:
			e.kill(header.Hash())
			return validation.BlockContent.Verdict()
		case out.Fatal != nil:
			return validation.Internal.Verdict()
		}
		e.sync.has(in.From, header.Height)
		e.adopt(link.Tip.Height-1, []*Link{link}, out)
		e.reorganise(out) // a block of another branch may have become final with it
		return validation.Valid.Verdict()
	}
	e.keepBody(in.Block)
	e.addHeader(header, out)
	e.sync.has(in.From, header.Height)
	e.sawBranch(header.Height)
	e.reorganise(out)
	return validation.Valid.Verdict()
}

// addHeader puts a header into the tree. A contradiction between final blocks
// ends the node: no rule says which of them holds.
func (e *Engine) addHeader(h wire.Header, out *Effects) {
	forgotten, err := e.tree.Add(h)
	for _, hash := range forgotten {
		e.dropBody(hash)
	}
	if err != nil && out.Fatal == nil {
		out.Fatal = err
	}
}

// kill marks a block's contents as invalid.
func (e *Engine) kill(hash wire.Hash) {
	for _, dead := range e.tree.Kill(hash) {
		e.dropBody(dead)
	}
}

// reorganise goes over to the best branch there is. A branch that turns out to
// be invalid is dead, and the next best has its turn; ours stands meanwhile.
func (e *Engine) reorganise(out *Effects) {
	for out.Fatal == nil {
		to, better := e.tree.Better()
		if !better {
			return
		}
		undo, apply, err := e.tree.Path(to.Hash)
		if err != nil {
			panic(err) // the tree has just offered it
		}
		fork := e.tree.Tip().Height - int32(len(undo))
		if links, ok := e.rehearse(fork, apply); ok {
			e.adopt(fork, links, out)
		}
	}
}

// rehearse applies the blocks of another branch to the state at its fork.
func (e *Engine) rehearse(fork int32, hashes []wire.Hash) (links []*Link, ok bool) {
	branch := e.branch.upTo(fork)
	for _, hash := range hashes {
		body, have := e.bodies[hash]
		if !have {
			panic("engine: a block of a kept branch has no body")
		}
		link, err := e.apply(branch, body)
		if err != nil {
			e.kill(hash)
			return nil, false
		}
		branch = append(branch, link)
		links = append(links, link)
	}
	return links, true
}

// keepBody keeps a block that is not on our branch. The tree bounds them: as
// many as chain.MaxSide, or a better branch could find no room.
func (e *Engine) keepBody(b wire.Block) {
	e.bodies[b.Header.Hash()] = b
}

// dropBody forgets it.
func (e *Engine) dropBody(hash wire.Hash) { delete(e.bodies, hash) }

func heightKey(h int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(h)) }
