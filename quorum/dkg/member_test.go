package dkg

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// vectors reads a file of "name value" lines; # begins a comment.
func vectors(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := make(map[string]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			v[name] = strings.TrimSpace(value)
		}
	}
	return v
}

func text(format string, a ...any) wire.Hash { return sha256.Sum256(fmt.Appendf(nil, format, a...)) }

// candidates are those of testdata/members.txt.
func candidates() (list []Candidate) {
	for i := range 12 {
		c := Candidate{ProTxHash: text("protx-%d", i), ConfirmedHash: text("confirmed-%d", i), Evo: i%3 != 0, Banned: i == 4}
		c.OperatorKey[0] = byte(i)
		if i == 7 {
			c.ConfirmedHash = wire.Hash{}
		}
		list = append(list, c)
	}
	return list
}

func each(list []Candidate) iter.Seq[Candidate] { return slices.Values(list) }

func TestSelect_Vectors(t *testing.T) {
	v := vectors(t, "testdata/members.txt")
	var signature wire.Signature
	for i := range signature {
		signature[i] = 0x60 + byte(i)
	}
	block, chainLock := BlockModifier(106, text("block W")), ChainLockModifier(4, 1987784, signature)
	score := Score(candidates()[1], block)
	got := map[string]string{
		"block_modifier": hex.EncodeToString(block[:]), "chainlock_modifier": hex.EncodeToString(chainLock[:]), "score_1": hex.EncodeToString(score[:]),
	}
	for name, modifier := range map[string]wire.Hash{"block": block, "chainlock": chainLock} {
		for _, size := range []int{3, 12} {
			for which, evoOnly := range map[string]bool{"all": false, "evo": true} {
				list := candidates()
				rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				var indices []string
				for _, m := range Select(params.LLMQ{Size: size}, evoOnly, modifier, each(list)) {
					i := int(m.OperatorKey[0])
					if m.ProTxHash != text("protx-%d", i) {
						t.Errorf("member %s has the key of candidate %d", m.ProTxHash, i)
					}
					indices = append(indices, fmt.Sprint(i))
				}
				got[fmt.Sprintf("%s_%d_%s", name, size, which)] = strings.Join(indices, " ")
			}
		}
	}
	if len(got) != len(v) {
		t.Errorf("%d values checked, %d in the file", len(got), len(v))
	}
	for name, want := range v {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

func TestSelect_OfNobody(t *testing.T) {
	if got := Select(params.LLMQ{Size: 3}, false, wire.Hash{}, each(nil)); len(got) != 0 {
		t.Errorf("members %v of no candidates", got)
	}
}

func TestNewRoster_RefusesBadLists(t *testing.T) {
	q := shape(t, 5)
	good := newRoster(t, q, 5)
	many := append(slices.Clone(good.members), Member{ProTxHash: hashOf("protx", 9)})
	equal := append(slices.Clone(good.members[:4]), good.members[0])
	zero := append(slices.Clone(good.members[:4]), Member{})
	for _, c := range []struct {
		name    string
		base    int32
		members []Member
		want    error
	}{
		{"too few", base, good.members[:2], ErrTooFewMembers},
		{"just enough", base, good.members[:3], nil},
		{"too many", base, many, ErrMember},
		{"one twice", base, equal, ErrMember},
		{"zero id", base, zero, ErrMember},
		{"no base", base + 1, good.members, ErrBase},
		{"below genesis", -24, good.members, ErrBase},
	} {
		r, err := NewRoster(q, c.base, good.hash, c.members)
		if (c.want == nil) != (err == nil) || c.want != nil && !isError(err, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, r, err, c.want)
		}
	}
}

// A member whose key is none cannot take part, and stops nobody else.
func TestSession_MemberWithoutKey(t *testing.T) {
	roster := newRoster(t, shape(t, 5), 5)
	members := slices.Clone(roster.members)
	members[2].OperatorKey = wire.OperatorKey{0xc0}
	roster, err := NewRoster(roster.llmq, base, roster.hash, members)
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, roster, 1).run()
	if _, member := c.sessions[2].Self(); member {
		t.Error("an identity whose key is not the member's takes its place")
	}
	if final := c.agreed(c.everybody()...); final.ValidMembers.String() != "11011" || final.Signers.String() != "11011" {
		t.Errorf("valid %s, signers %s", final.ValidMembers, final.Signers)
	}
}
