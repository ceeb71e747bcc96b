package testnet

import (
	"errors"
	"slices"

	"github.com/proctornet/proctor/store"
)

// History lets the members run through the slots that lie in the past, in
// virtual time. The blocks, proofs and hashes are the same that live nodes
// would have made.
func (n *Network) History() (*Simulation, error) {
	s, err := n.Simulate(Link{}, 0)
	if err != nil {
		return nil, err
	}
	return s, s.Run(int(n.start) - 1) // the present slot is left to the live nodes
}

// Cluster prepares a directory for every member's node, with what it has
// stored in the simulation. Nothing runs yet.
func (s *Simulation) Cluster(dir string) (*Cluster, error) {
	c := &Cluster{Network: s.Network, Dir: dir, nodes: make([]*running, len(s.Members))}
	var err error
	if c.Quorums, err = s.Quorums(); err != nil {
		return nil, err
	}
	if len(c.Quorums) > 0 {
		c.Signers = c.Quorums[0]
	}
	return c, c.each(func(i int) error { return s.Save(i, c.dataDir(i)) })
}

// historyBatch is how many records of a history are committed together.
const historyBatch = 4096

// Save writes what a member has stored into a new database in dir.
func (s *Simulation) Save(i int, dir string) (err error) {
	db, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for writes := range slices.Chunk(s.members[i].disk.all(), historyBatch) {
		if err := db.Commit(writes); err != nil {
			return err
		}
	}
	return nil
}
