package params

import (
	"testing"
	"time"
)

// Sources: seed "Deregistration Rules" for profile spec; spec/oxen.md 1.2,
// 1.5 and 1.6 for profile core. A nominal block of Oxen and of a devnet has
// 120 s, one of Dash 150 s.
func TestService(t *testing.T) {
	for _, c := range []struct {
		network, profile string
		want             Service
	}{
		{"devnet", "spec", Service{
			InitialCredit: 60, CreditPerDay: 24, BlocksPerDay: 720, MaxCredit: 1440, MinimumCredit: 60,
			ProofEvery: 30, ProofSpacing: 15, ProofValidity: 60, AnchorWindow: 15, AddressWindow: 720, AddressGrace: 60,
			StakeLock: 21600, ExitDelay: 10800,
		}},
		{"devnet", "core", Service{
			InitialCredit: 60, CreditPerDay: 24, BlocksPerDay: 720, MaxCredit: 1440, MinimumCredit: 60, KeepsCredit: true,
			ProofEvery: 5, ProofSpacing: 2, ProofValidity: 10, AnchorWindow: 10, AddressWindow: 720, AddressGrace: 60,
			StakeLock: 1440, ExitDelay: 720,
		}},
		{"dash-mainnet", "spec", Service{
			InitialCredit: 48, CreditPerDay: 19, BlocksPerDay: 576, MaxCredit: 1152, MinimumCredit: 48,
			ProofEvery: 24, ProofSpacing: 12, ProofValidity: 48, AnchorWindow: 12, AddressWindow: 576, AddressGrace: 48,
			StakeLock: 17280, ExitDelay: 8640,
		}},
		{"dash-mainnet", "core", Service{
			InitialCredit: 48, CreditPerDay: 19, BlocksPerDay: 576, MaxCredit: 1152, MinimumCredit: 48, KeepsCredit: true,
			ProofEvery: 24, ProofSpacing: 12, ProofValidity: 50, AnchorWindow: 12, AddressWindow: 576, AddressGrace: 48,
			StakeLock: 17280, ExitDelay: 8640,
		}},
	} {
		n, err := NetworkByName(c.network)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ProfileByName(c.profile)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.Service(p); got != c.want {
			t.Errorf("%s, %s:\n%+v, want\n%+v", c.network, c.profile, got, c.want)
		}
	}
}

// What must hold for the rules to work together, wherever they are in force.
func TestService_HoldsTogether(t *testing.T) {
	for _, n := range networks {
		for _, p := range profiles {
			s := n.Service(p)
			switch {
			case s.ProofSpacing < 1 || s.AnchorWindow < 1,
				s.ProofSpacing >= s.ProofEvery,    // or an honest node's next proof came too early
				s.ProofValidity < 2*s.ProofEvery,  // or one lost proof were a failure
				s.AnchorWindow > s.ProofValidity,  // or a proof were stale when it arrives
				s.MinimumCredit > s.InitialCredit, // or a new node had no second chance
				s.InitialCredit > s.MaxCredit,
				s.CreditPerDay < 1 || s.CreditPerDay >= s.BlocksPerDay,
				s.AddressGrace > s.AddressWindow,
				s.StakeLock < s.ExitDelay: // or being thrown out were quicker than leaving
				t.Errorf("%s, %s: %+v contradicts itself", n.Name, p.Name, s)
			}
			if time.Duration(s.BlocksPerDay)*n.BlockTime != 24*time.Hour {
				t.Errorf("%s: a day of %d blocks of %s", n.Name, s.BlocksPerDay, n.BlockTime)
			}
			if s.KeepsCredit != (p.Name == "core") {
				t.Errorf("%s, %s keeps credit: %t", n.Name, p.Name, s.KeepsCredit)
			}
		}
	}
}

// Source: seed "Deregistration Rules"; spec/oxen.md 1.3, 1.4; DESIGN.md section 6.
func TestRules_OfTestingQuorums(t *testing.T) {
	for name, c := range map[string]struct{ got, want int }{
		"testers":                       {Testers, 10},
		"votes of 10":                   {SuperMajorityOf10, 7},
		"voters of a negative answer":   {MinAccusers, 3},
		"targets at least":              {MinTargets, 50},
		"targets, one in":               {TargetsShare, 100},
		"answers wait":                  {VoteDelay, 12},
		"first block of a certificate":  {CertificateFirst, 13},
		"last block of a certificate":   {CertificateLast, 59},
		"checkpoints every":             {CheckpointEvery, 4},
		"depth of a checkpoint's root":  {CheckpointDepth, 12},
		"hashes that end a probation":   {ProbationHashes, 2},
		"brake at least":                {BrakeFloor, 2},
		"brake, one in":                 {BrakeShare, 4},
		"removals of a block, at least": {RemovalFloor, 2},
		"removals of a block, one in":   {RemovalShare, 100},
		"price of a recommission":       {RecommissionPrice, 2},
		"stakers of a node":             {MaxStakers, 10},
		"pledges of a staker":           {MaxStakerPledges, 64},
		"least maximum of PoSe":         {PoSeFloor, 100},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
	// Votes are given at q+12, so that the first certificate can stand one
	// block later; a voter's bits must fit a certificate's two bytes.
	if CertificateFirst <= VoteDelay || CertificateLast <= CertificateFirst || Testers > 16 || CheckpointEvery > VoteDelay {
		t.Error("the rules of testing quorums contradict themselves")
	}
}
