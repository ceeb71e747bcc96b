package engine

import (
	"bytes"
	"slices"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/wire"
)

// monitor has the platform endpoints of other evonodes probed if we are a
// member of the newest quorum that may ban them: round robin, so many at a
// time. What it finds is in memory only; a restart starts afresh.
func (e *Engine) monitor(out *Effects) {
	tip := e.tree.Tip().Height
	if since := tip - e.probedAt; 0 <= since && since < params.MonitorEvery || !e.synced() {
		return
	}
	e.probedAt = tip
	list := e.watched()
	e.forgetEndpoints(list)
	next, found := slices.BinarySearchFunc(list, e.lastProbed, func(n state.Node, last wire.Hash) int {
		return bytes.Compare(n.ProTxHash[:], last[:])
	})
	if found {
		next++
	}
	for i := range min(len(list), params.MaxProbes) {
		n := list[(next+i)%len(list)]
		out.Probes = append(out.Probes, Probe{ProTxHash: n.ProTxHash, Service: Platform, Endpoint: n.Platform})
		e.lastProbed = n.ProTxHash
	}
}

// watched lists the nodes whose endpoints are ours to watch, ascending.
func (e *Engine) watched() (list []state.Node) {
	active := e.platformQuorums()
	if len(active) == 0 || !e.holdsShare(active[0]) {
		return nil
	}
	for _, n := range e.state.Nodes() {
		if e.watches(n) {
			list = append(list, n)
		}
	}
	return list
}

// watches reports whether a member watches the platform endpoint of n: one
// that serves, and whose flag is not set yet.
func (e *Engine) watches(n state.Node) bool {
	return n.Evo && n.Platform != "" && n.Tester() && n.ProTxHash != e.config.ProTxHash && !e.flag(n.ProTxHash).Set()
}

// forgetEndpoints keeps what we know of the endpoints in list.
func (e *Engine) forgetEndpoints(list []state.Node) {
	var kept trie.Map[Endpoint]
	for _, n := range list {
		if x, ok := e.endpoints.Get(n.ProTxHash); ok && x.url() == n.Platform {
			kept = kept.Set(n.ProTxHash, x)
		}
	}
	e.endpoints = kept
}

// probed takes the answer to a Probe.
func (e *Engine) probed(in Probed, out *Effects) {
	switch in.Probe.Service {
	case Transport:
		e.transportProbed(in)
	case Platform:
		e.platformProbed(in, out)
	}
}

// platformProbed asks for the ban of a node whose endpoint is dead, and no
// longer when it answers.
func (e *Engine) platformProbed(in Probed, out *Effects) {
	n, registered := e.state.Node(in.Probe.ProTxHash)
	if !registered || n.Platform != in.Probe.Endpoint || !e.watches(n) {
		return
	}
	x, _ := e.endpoints.Get(n.ProTxHash)
	x = x.tried(Attempt{e.tree.Tip().Height, in.Probe.Endpoint, in.Failed})
	e.endpoints = e.endpoints.Set(n.ProTxHash, x)
	r, has := e.requests.Get(n.ProTxHash)
	asked := has && r.Stands()
	switch {
	case !x.fails():
		if asked && r.Monitor { // our operator's word is the operator's to take back
			e.dropRequest(r, out)
		}
	case x.dead() && !asked && e.mayAccuse():
		e.ask(BanRequest{ProTxHash: n.ProTxHash, Monitor: true, Evidence: x.Attempts}, out)
	}
}

// mayAccuse reports whether we trust ourselves to say that an endpoint is dead:
// we are healthy, and others' endpoints do answer.
func (e *Engine) mayAccuse() bool {
	failing := 0
	for _, x := range e.endpoints.All() {
		if x.fails() {
			failing++
		}
	}
	return othersAnswer(failing, e.endpoints.Len()) && e.ailment() == quorum.Sound
}
