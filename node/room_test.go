package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/validation"
)

// Every message of these topics waits whose verdict is about us, but for a
// fault that would come again; nothing else does.
func TestWaitsInRoom_IsWhatIsAboutUs(t *testing.T) {
	topics := []engine.Topic{
		engine.TopicUptime, engine.TopicVote, engine.TopicCheckpoint, engine.TopicCommitment, engine.TopicRecovered, engine.DKGTopic(106),
	}
	for _, topic := range append(engine.Topics(), engine.DKGTopic(106)) {
		for _, row := range validation.Table() {
			want := slices.Contains(topics, topic) && row.Nature == validation.OfUs && row.Reason != validation.Internal
			if got := waitsInRoom(topic, row.Reason); got != want || got && (row.Points != 0 || row.Outcome != validation.Ignore) {
				t.Errorf("%s judged %s waits: %t, want %t, ignored and without points", topic, row.Reason, got, want)
			}
		}
	}
}

// testRoom is a room of slots of a second whose verdicts a test gives.
type testRoom struct {
	*room
	registry *prometheus.Registry

	mu       sync.Mutex
	at       standpoint
	verdicts map[string]validation.Reason // default: not-synced
	judged   []string
	sent     []string
}

func newTestRoom() *testRoom {
	r := &testRoom{registry: prometheus.NewRegistry(), verdicts: make(map[string]validation.Reason)}
	r.room = &room{
		slot: time.Second,
		standpoint: func() standpoint {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.at
		},
		judge: func(_ context.Context, m early, held bool) validation.Verdict {
			r.mu.Lock()
			defer r.mu.Unlock()
			judged := string(m.data)
			if held {
				judged += " for the last time"
			}
			r.judged = append(r.judged, judged)
			if reason, ok := r.verdicts[string(m.data)]; ok {
				return reason.Verdict()
			}
			return validation.NotSynced.Verdict()
		},
		send: func(p engine.Publication) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.sent = append(r.sent, p.Topic.String()+" "+string(p.Bytes))
		},
		door: make(chan early, roomDoor), moved: make(chan struct{}, 1),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "lost"}), size: prometheus.NewGauge(prometheus.GaugeOpts{Name: "size"}),
	}
	r.registry.MustRegister(r.lost, r.size)
	return r
}

func (r *testRoom) number(t *testing.T, name string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// running runs the room in a bubble until the end of the test.
func (r *testRoom) running(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the room ended with %v", err)
		}
	})
	synctest.Wait()
}

// move lets the tip grow by a block.
func (r *testRoom) move() {
	r.mu.Lock()
	r.at.tip.Height++
	r.mu.Unlock()
	r.wake()
	synctest.Wait()
}

func (r *testRoom) put(from, data string) {
	r.enter(early{engine.TopicVote, engine.Peer(from), []byte(data), r.standpoint(), time.Now()})
	synctest.Wait()
}

// take returns what was judged and sent since the last call.
func (r *testRoom) take() (judged, sent []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	judged, sent, r.judged, r.sent = r.judged, r.sent, nil, nil
	slices.Sort(judged)
	slices.Sort(sent)
	return judged, sent
}

func (r *testRoom) expect(t *testing.T, when string, judged, sent []string, waiting, lost int) {
	t.Helper()
	j, s := r.take()
	if !slices.Equal(j, judged) || !slices.Equal(s, sent) {
		t.Errorf("%s: judged %q and sent %q, want %q and %q", when, j, s, judged, sent)
	}
	if got := r.number(t, "size"); got != float64(waiting) {
		t.Errorf("%s: %v wait, want %d", when, got, waiting)
	}
	if got := r.number(t, "lost"); got != float64(lost) {
		t.Errorf("%s: %v lost, want %d", when, got, lost)
	}
}

func TestRoom_JudgesAgainWhenTheTipHasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRoom()
		r.verdicts["good"] = validation.Valid
		r.verdicts["bad"] = validation.VoteSignature
		r.verdicts["evidence"] = validation.VoteConflict
		r.verdicts["stored when our time was up"] = validation.Duplicate
		r.verdicts["busy"] = validation.Overload
		r.running(t)
		for _, m := range []string{"good", "bad", "evidence", "stored when our time was up", "busy", "still early"} {
			r.put("peer", m)
		}
		r.wake()
		time.Sleep(time.Second)
		synctest.Wait()
		r.expect(t, "while nothing moves", nil, nil, 6, 0)
		r.move()
		r.expect(t, "when the tip moves",
			[]string{"bad", "busy", "evidence", "good", "still early", "stored when our time was up"},
			[]string{"vote evidence", "vote good", "vote stored when our time was up"}, 2, 0)
		r.wake()
		synctest.Wait()
		r.expect(t, "woken for nothing", nil, nil, 2, 0)
		r.mu.Lock()
		r.at.synced = true // the tip stands, but peers have confirmed it
		r.verdicts["still early"] = validation.Valid
		r.mu.Unlock()
		r.wake()
		synctest.Wait()
		r.expect(t, "when our standpoint is another", []string{"busy", "still early"}, []string{"vote still early"}, 1, 0)
	})
}

// The tip may move while a message is on its way in.
func TestRoom_JudgesAtOnceWhatWasJudgedUnderAnotherTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRoom()
		r.verdicts["late"] = validation.Valid
		r.running(t)
		old := r.standpoint()
		r.move()
		r.enter(early{engine.TopicUptime, "peer", []byte("late"), old, time.Now()})
		synctest.Wait()
		r.expect(t, "at once", []string{"late"}, []string{"uptime late"}, 0, 0)
	})
}

func TestRoom_DropsAfterAFewSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRoom()
		r.running(t)
		r.put("peer", "first")
		time.Sleep(2500 * time.Millisecond)
		r.put("peer", "second")
		for range 3 { // a tip that moves makes nothing wait longer
			time.Sleep(time.Second)
			r.move()
		}
		r.take()
		r.expect(t, "after 5.5 slots", nil, nil, 2, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		r.expect(t, "after 6.5 slots", nil, nil, 1, 1)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r.expect(t, "after all", nil, nil, 0, 2)
		r.move()
		r.expect(t, "later", nil, nil, 0, 2)
	})
}

// A message of a session has waited for its base block: if that has not come,
// it is judged as what it looks like.
func TestRoom_JudgesMessagesOfSessionsALastTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRoom()
		r.verdicts["foreign"] = validation.Unsure
		r.running(t)
		r.enter(early{engine.DKGTopic(106), "peer", []byte("foreign"), r.standpoint(), time.Now()})
		time.Sleep(roomSlots*time.Second - time.Millisecond)
		synctest.Wait()
		r.expect(t, "before its time is up", nil, nil, 1, 0)
		r.mu.Lock()
		r.verdicts["foreign"] = validation.DKGUnknownBlock
		r.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		r.expect(t, "when its time is up", []string{"foreign for the last time"}, nil, 0, 0)
	})
}

func TestRoom_OnePeerHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRoom()
		r.running(t)
		for i := range maxOfPeer + 3 {
			r.put("greedy", fmt.Sprint(i))
		}
		r.put("other", "one")
		r.expect(t, "a greedy peer and another", nil, nil, maxOfPeer+1, 3)
	})
}

// Whoever fills the room cannot keep out those who have less in it.
func TestRoom_WhoHasTheMostGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRoom()
		r.running(t)
		for p := range maxInRoom / maxOfPeer {
			for i := range maxOfPeer {
				r.put(fmt.Sprint("greedy ", p), fmt.Sprintf("g %d %d", p, i))
			}
		}
		r.expect(t, "full", nil, nil, maxInRoom, 0)
		for i := range 10 {
			r.put("honest", fmt.Sprint("h ", i))
		}
		r.expect(t, "an honest peer comes", nil, nil, maxInRoom, 10)
		r.move()
		judged, _ := r.take()
		for i := range 10 {
			if !slices.Contains(judged, fmt.Sprint("h ", i)) {
				t.Errorf("message %d of the honest peer is not in the room", i)
			}
		}
		if slices.Contains(judged, "g 0 0") || !slices.Contains(judged, "g 0 63") {
			t.Error("who gave way did not give its oldest")
		}
	})
	synctest.Test(t, func(t *testing.T) { // where all have as much, the newcomer is turned away
		r := newTestRoom()
		r.running(t)
		for p := range maxInRoom {
			r.put(fmt.Sprint("peer ", p), fmt.Sprint(p))
		}
		r.put("peer 5", "a second one")
		r.expect(t, "one more of a peer in it", nil, nil, maxInRoom, 1)
	})
}

// Whoever hands in never waits.
func TestRoom_FullDoorIsCounted(t *testing.T) {
	r := newTestRoom()
	for range roomDoor + 2 {
		r.enter(early{topic: engine.TopicVote})
	}
	if got := r.number(t, "lost"); got != 2 {
		t.Errorf("%v lost, want 2", got)
	}
}

func TestStandpointOf_IsWhatVerdictsFollowFrom(t *testing.T) {
	s := &engine.Snapshot{Tip: chain.Tip{Height: 3}}
	same, tip, synced, settled := *s, *s, *s, *s
	tip.Tip.Hash[0] = 1 // another branch of that height
	synced.IsSynced = true
	settled.Doubtful = engine.BranchNear
	if standpointOf(s) != standpointOf(&same) {
		t.Error("two readings of one view differ")
	}
	for _, other := range []*engine.Snapshot{&tip, &synced, &settled} {
		if standpointOf(s) == standpointOf(other) {
			t.Errorf("%+v is the standpoint of two views", standpointOf(s))
		}
	}
}
