package dkg

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

const base = 48 // height of the base block in tests

func hashOf(words ...any) wire.Hash { return sha256.Sum256(fmt.Append(nil, words...)) }

func operator(i int) bls.SecretKey { return bls.GenerateSecretKey(hashOf("operator", i)) }

// shape is a quorum type for n members: as on a network of n evonodes if there
// is one, else the published type of that size.
func shape(t testing.TB, n int) params.LLMQ {
	t.Helper()
	if n >= 4 && n <= 12 {
		q, err := params.SmallPlatformQuorum(n)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q, err := params.LLMQByType(map[int]wire.LLMQType{3: 106, 25: 6, 50: 1}[n])
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func newRoster(t testing.TB, q params.LLMQ, n int) *Roster {
	t.Helper()
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{hashOf("protx", i), operator(i).PublicKey().Bytes()}
	}
	r, err := NewRoster(q, base, hashOf("block"), members)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Roster) who(i int) Identity {
	return Identity{r.members[i].ProTxHash, operator(i), hashOf("seed", i)}
}

// cluster runs sessions of all members of one roster, and one watcher, against
// each other. A message is opened once for all of them.
type cluster struct {
	t        testing.TB
	roster   *Roster
	sessions []*Session // the watcher's last
	random   *rand.Rand
	opened   map[wire.Hash]Opened

	bad    func(viewer int, proTx wire.Hash) bool
	tamper func(member int, m wire.DKGMessage) []wire.DKGMessage // what a member sends instead; nil sends m
	route  func(m wire.DKGMessage, from, to int) bool            // nil delivers everything
}

func newCluster(t testing.TB, roster *Roster, seed uint64) *cluster {
	c := &cluster{t: t, roster: roster, random: rand.New(rand.NewPCG(seed, 0)), opened: make(map[wire.Hash]Opened)}
	for i := range roster.members {
		c.sessions = append(c.sessions, NewSession(roster, roster.who(i)))
	}
	c.sessions = append(c.sessions, NewSession(roster, Identity{Seed: hashOf("watcher")}))
	return c
}

// open takes a message through bytes, Check, its signature and Open.
func (c *cluster) open(m wire.DKGMessage, height int32) (Opened, Reason) {
	c.t.Helper()
	if o, ok := c.opened[m.ID()]; ok {
		return o, 0
	}
	again, err := wire.ParseDKG(m.Kind(), m.Bytes())
	if err != nil {
		c.t.Fatal(err)
	}
	checked, reason := c.roster.Check(again, height)
	if reason != 0 {
		return Opened{}, reason
	}
	if !bls.Verify(checked.Item.Key, checked.Item.Hash, checked.Item.Signature) {
		return Opened{}, ReasonSignature
	}
	o, reason := c.roster.Open(checked)
	if reason == 0 {
		c.opened[m.ID()] = o
	}
	return o, reason
}

type delivery struct {
	to int
	m  wire.DKGMessage
}

// advance takes every session to a height, in any order, and delivers what
// they send to all others, in any order, some of it twice.
func (c *cluster) advance(height int32) {
	c.t.Helper()
	var queue []delivery
	for _, i := range c.random.Perm(len(c.sessions)) {
		var bad func(wire.Hash) bool
		if c.bad != nil {
			bad = func(proTx wire.Hash) bool { return c.bad(i, proTx) }
		}
		for _, o := range c.sessions[i].Advance(height, bad) {
			send := []wire.DKGMessage{o.Message}
			if c.tamper != nil {
				send = c.tamper(i, o.Message)
			}
			queue = append(queue, c.deliveries(i, send)...)
		}
	}
	c.deliver(queue, height)
}

func (c *cluster) deliveries(from int, send []wire.DKGMessage) (queue []delivery) {
	for _, m := range send {
		for to := range c.sessions {
			if to != from && (c.route == nil || c.route(m, from, to)) {
				queue = append(queue, delivery{to, m})
				if c.random.IntN(4) == 0 {
					queue = append(queue, delivery{to, m})
				}
			}
		}
	}
	return queue
}

func (c *cluster) deliver(queue []delivery, height int32) {
	c.random.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	for ; len(queue) > 0; queue = queue[1:] {
		d := queue[0]
		o, reason := c.open(d.m, height)
		if reason != 0 || c.sessions[d.to].Add(o) != ReasonLate {
			continue
		}
		if answer, ok := c.sessions[d.to].Answer(o); ok {
			queue = append(queue, c.deliveries(d.to, []wire.DKGMessage{answer.Message})...)
		}
	}
}

// run goes through the whole session.
func (c *cluster) run() *cluster {
	c.t.Helper()
	for h := int32(base); h <= base+12; h++ {
		c.advance(h)
	}
	return c
}

// resign signs a changed message as its member would.
func resign(m wire.DKGMessage, member int) wire.DKGMessage {
	return m.Signed(operator(member).Sign(m.SignHash()).Bytes())
}

// agreed checks what must hold between honest members: one result, one best
// commitment that outsiders take, shares any threshold of which sign for its
// key, and none fewer. It returns the commitment.
func (c *cluster) agreed(honest ...int) wire.FinalCommitment {
	c.t.Helper()
	want := c.sessions[honest[0]].Commitments()
	if len(want) != 1 {
		c.t.Fatalf("%d final commitments, want 1: %+v", len(want), c.sessions[honest[0]].Status())
	}
	final := want[0]
	q := Quorum{c.roster.llmq, base, c.roster.hash}
	if reason := Verify(final, q, c.roster.Keys()); reason != CommitmentGood {
		c.t.Fatalf("the final commitment is %s", reason)
	}
	var shares []bls.SignatureShare
	hash := hashOf("message")
	var quorum bls.PublicKey
	for _, i := range honest {
		s := c.sessions[i]
		got := s.Commitments()
		if len(got) != 1 || string(got[0].Bytes()) != string(final.Bytes()) {
			c.t.Fatalf("member %d has commitments %+v, member %d %+v", i, got, honest[0], want)
		}
		r, ok := s.Result()
		if !ok || r.Hash != final.CommitmentHash() || r.PublicKey().Bytes() != final.PublicKey {
			c.t.Fatalf("member %d found %+v, %t", i, r, ok)
		}
		quorum = r.PublicKey()
		if _, member := s.Self(); !member {
			if _, _, ok := s.Share(final.ValidMembers); ok {
				c.t.Errorf("watcher %d has a share", i)
			}
			continue
		}
		share, _, ok := s.Share(final.ValidMembers)
		if !ok {
			c.t.Fatalf("member %d has no share", i)
		}
		public, err := r.Vector.Share(c.roster.ids[i])
		if err != nil || public != share.PublicKey() {
			c.t.Fatalf("member %d has another share than the vector says, %v", i, err)
		}
		shares = append(shares, bls.SignatureShare{ID: c.roster.ids[i], Signature: share.Sign(hash)})
	}
	c.random.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
	if _, err := bls.Recover(c.roster.llmq.Threshold, shares, quorum, hash); err != nil {
		c.t.Fatalf("recover: %v", err)
	}
	if _, err := bls.Recover(c.roster.llmq.Threshold-1, shares, quorum, hash); err == nil {
		c.t.Fatal("one share fewer than the threshold signs")
	}
	return final
}

func (c *cluster) everybody() (all []int) {
	for i := range c.sessions {
		all = append(all, i)
	}
	return all
}

func (c *cluster) but(members ...int) []int {
	return slices.DeleteFunc(c.everybody(), func(i int) bool { return slices.Contains(members, i) })
}

// stored is what a session keeps, as it comes back from a disk.
func (c *cluster) stored(member int) (list []Opened) {
	c.t.Helper()
	for _, o := range c.sessions[member].Kept() {
		m, err := wire.ParseDKG(o.Message.Kind(), o.Message.Bytes())
		if err != nil {
			c.t.Fatal(err)
		}
		again, reason := c.roster.Reopen(m)
		if reason != 0 {
			c.t.Fatal(reason)
		}
		list = append(list, again)
	}
	c.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}
