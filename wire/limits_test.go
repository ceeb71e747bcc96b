package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
)

func longest(n, length int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.Repeat("~", length)
	}
	return list
}

// What keeps every limit must fit: no honest author may make an event, proof
// or block that is over its own.
func TestLimits_FitTogether(t *testing.T) {
	addresses := longest(MaxAddresses, MaxAddressLength)
	endpoint := "https://a/" + strings.Repeat("a", MaxEndpointLength-len("https://a/"))
	register := Register{Addresses: addresses, Platform: endpoint, Amount: 1}
	update := UpdateService{Addresses: addresses, Platform: endpoint}
	for _, e := range []Event{register, update, layoutRevoke, layoutStake, layoutExit} {
		if _, err := ParseEvent(e.Bytes()); err != nil || len(e.Bytes()) > MaxEventSize {
			t.Errorf("the longest %s has %d bytes of %d: %v", e.Kind(), len(e.Bytes()), MaxEventSize, err)
		}
	}
	proof := UptimeProof{Agent: longest(1, MaxAgentLength)[0], Addresses: addresses}
	if _, err := ParseUptimeProof(proof.Bytes()); err != nil {
		t.Errorf("the longest proof has %d bytes: %v", len(proof.Bytes()), err)
	}
	status := Status{Agent: proof.Agent}
	if _, err := ParseStatus(status.Bytes()); err != nil {
		t.Errorf("the longest status has %d bytes: %v", len(status.Bytes()), err)
	}

	full := blockOf(MaxBlockEvents, register, MaxBlockCommitments, MaxBlockCertificates)
	got, err := ParseBlock(full.Bytes())
	if err != nil || len(got.Events) != MaxBlockEvents || len(got.Commitments) != MaxBlockCommitments || len(got.Certificates) != MaxBlockCertificates {
		t.Errorf("a full block of %d bytes: %d events, %d commitments, %d certificates, %v", len(full.Bytes()), len(got.Events), len(got.Commitments), len(got.Certificates), err)
	}
	if most := HeaderSize + 2 + MaxBlockEvents*(2+MaxEventSize) + 2 + MaxBlockCommitments*(2+MaxFinalCommitmentSize) + 2 + MaxBlockCertificates*CertificateSize; most > MaxBlockSize {
		t.Errorf("limits add up to a block of %d bytes, over the %d of a block", most, MaxBlockSize)
	}
}

func blockOf(events int, e Event, commitments, certificates int) (b Block) {
	for range events {
		b.Events = append(b.Events, e)
	}
	for range commitments {
		b.Commitments = append(b.Commitments, NullCommitment(CommitmentIndexed, 1, Hash{}, 0, MaxQuorumMembers))
	}
	for range certificates {
		b.Certificates = append(b.Certificates, layoutCert)
	}
	b.Header.Content = b.Content.Hash()
	return b
}

func TestDecoders_RefuseBadValues(t *testing.T) {
	event := func(b []byte) error { _, err := ParseEvent(b); return err }
	proof := func(b []byte) error { _, err := ParseUptimeProof(b); return err }
	vote := func(b []byte) error { _, err := ParseVote(b); return err }
	certificate := func(b []byte) error { _, err := ParseCertificate(b); return err }
	block := func(b []byte) error { _, err := ParseBlock(b); return err }
	status := func(b []byte) error { _, err := ParseStatus(b); return err }
	blockRange := func(b []byte) error { _, err := ParseBlockRange(b); return err }
	at := func(b []byte, i int, v byte) []byte { b[i] = v; return b }

	register := func(addresses ...string) []byte { return Register{Addresses: addresses, Amount: 1}.Bytes() }
	update := func(addresses ...string) []byte { return UpdateService{Addresses: addresses}.Bytes() }
	alive := func(addresses ...string) []byte { return UptimeProof{Agent: "a", Addresses: addresses}.Bytes() }
	long, five := strings.Repeat("a", MaxAddressLength+1), []string{"a", "b", "c", "d", "e"}
	badEvent := Block{Content: Content{Events: []Event{Contribute{}}}}
	badEvent.Header.Content = badEvent.Content.Hash()
	badCommitment := Block{Content: Content{Commitments: []FinalCommitment{{Version: 2}}}}
	badCommitment.Header.Content = badCommitment.Content.Hash()
	badAnswer := Block{Content: Content{Certificates: []Certificate{{}}}}
	badAnswer.Header.Content = badAnswer.Content.Hash()

	for _, c := range []struct {
		name  string
		parse func([]byte) error
		b     []byte
		want  error
	}{
		{"empty event", event, nil, ErrSize},
		{"event of kind 0", event, at(update("a"), 0, 0), ErrValue},
		{"event of kind 3, Dash's update-registrar", event, at(update("a"), 0, 3), ErrValue},
		{"event over the limit", event, make([]byte, MaxEventSize+1), ErrSize},
		{"register, evo 2", event, at(register(), 73, 2), ErrValue},
		{"register, evo 255", event, at(register(), 73, 255), ErrValue},
		{"register of no stake", event, Register{}.Bytes(), ErrValue},
		{"register with 5 addresses", event, register(five...), ErrSize},
		{"register with an empty address", event, register(""), ErrValue},
		{"register with a long address", event, register(long), ErrSize},
		{"update without address", event, update(), ErrValue},
		{"update with 5 addresses", event, update(five...), ErrSize},
		{"update with an empty address", event, update("a", ""), ErrValue},
		{"update with a long address", event, update("a", long), ErrSize},
		{"update with a control character", event, update("a\nb"), ErrValue},
		{"register with a bad endpoint", event, Register{Platform: "tcp://a", Amount: 1}.Bytes(), ErrValue},
		{"update with a bad endpoint", event, UpdateService{Addresses: []string{"a"}, Platform: "a:1"}.Bytes(), ErrValue},
		{"update with a long endpoint", event, UpdateService{Addresses: []string{"a"}, Platform: "https://" + long}.Bytes(), ErrSize},
		{"revoke, reason 4", event, Revoke{Reason: 4}.Bytes(), ErrValue},
		{"revoke, reason 255", event, Revoke{Reason: 255}.Bytes(), ErrValue},
		{"contribute nothing", event, Contribute{}.Bytes(), ErrValue},
		{"proof over the limit", proof, make([]byte, MaxUptimeProofSize+1), ErrSize},
		{"proof without address", proof, alive(), ErrValue},
		{"proof with 5 addresses", proof, alive(five...), ErrSize},
		{"proof with an empty address", proof, alive(""), ErrValue},
		{"proof with a long address", proof, alive(long), ErrSize},
		{"proof with a long agent", proof, UptimeProof{Agent: long[:MaxAgentLength+1], Addresses: []string{"a"}}.Bytes(), ErrSize},
		{"proof with a blank in the agent", proof, UptimeProof{Agent: "a b", Addresses: []string{"a"}}.Bytes(), ErrValue},
		{"vote, answer 0", vote, Vote{}.Bytes(), ErrValue},
		{"vote, answer 5", vote, Vote{Ballot: Ballot{Answer: 5}}.Bytes(), ErrValue},
		{"certificate, answer 0", certificate, Certificate{}.Bytes(), ErrValue},
		{"certificate, answer 5", certificate, Certificate{Ballot: Ballot{Answer: 5}}.Bytes(), ErrValue},
		{"block over the limit", block, make([]byte, MaxBlockSize+1), ErrSize},
		{"block with too many events", block, blockOf(MaxBlockEvents+1, layoutExit, 0, 0).Bytes(), ErrSize},
		{"block with too many commitments", block, blockOf(0, nil, MaxBlockCommitments+1, 0).Bytes(), ErrSize},
		{"block with too many certificates", block, blockOf(0, nil, 0, MaxBlockCertificates+1).Bytes(), ErrSize},
		{"block with a bad event", block, badEvent.Bytes(), ErrValue},
		{"block with a bad commitment", block, badCommitment.Bytes(), ErrValue},
		{"block with a bad certificate", block, badAnswer.Bytes(), ErrValue},
		{"block with other content than its header's", block, Block{Header: Header{Content: Hash{1}}}.Bytes(), ErrValue},
		{"status over the limit", status, make([]byte, MaxStatusSize+1), ErrSize},
		{"status half synced", status, at(Status{Agent: "x"}.Bytes(), 2+32+32+4+32, 2), ErrValue},
		{"status with a long agent", status, Status{Agent: long[:MaxAgentLength+1]}.Bytes(), ErrSize},
		{"range from genesis", blockRange, BlockRange{0, 1}.Bytes(), ErrValue},
		{"range of nothing", blockRange, BlockRange{1, 0}.Bytes(), ErrValue},
		{"range too long", blockRange, BlockRange{1, MaxRangeBlocks + 1}.Bytes(), ErrValue},
		{"hash too short", parseHashText, []byte("00"), ErrSize},
		{"hash not hex", parseHashText, []byte(strings.Repeat("z", 64)), ErrValue},
	} {
		if err := c.parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func parseHashText(b []byte) error { _, err := ParseHash(string(b)); return err }

// The ends of what is allowed.
func TestParseEvent_TakesTheEnds(t *testing.T) {
	for _, e := range []Event{
		Register{Amount: 1},
		Register{Amount: 1<<64 - 1, EventHead: EventHead{Sequence: 1<<64 - 1}, Addresses: []string{"a", "b", "c", "d"}},
		Revoke{}, Revoke{Reason: MaxRevokeReason}, Contribute{Amount: 1}, Exit{},
	} {
		if _, err := ParseEvent(e.Bytes()); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	// An event inside a block must fill its length.
	b := blockOf(1, layoutExit, 0, 0)
	raw := b.Bytes()
	binary.BigEndian.PutUint16(raw[HeaderSize+2:], uint16(len(layoutExit.Bytes())-1))
	if _, err := ParseBlock(raw); !errors.Is(err, ErrSize) {
		t.Errorf("an event of one byte too few in a block: %v, want ErrSize", err)
	}
	// And so must a commitment.
	raw = blockOf(0, nil, 1, 0).Bytes()
	binary.BigEndian.PutUint16(raw[HeaderSize+4:], MaxFinalCommitmentSize-1)
	if _, err := ParseBlock(raw); !errors.Is(err, ErrSize) {
		t.Errorf("a commitment of one byte too few in a block: %v, want ErrSize", err)
	}
}

func TestText_IsPrintableASCII(t *testing.T) {
	for c := range 256 {
		want := c >= 0x21 && c <= 0x7e
		text := "a" + string([]byte{byte(c)})
		_, update := ParseEvent(UpdateService{Addresses: []string{text}}.Bytes())
		_, agent := ParseUptimeProof(UptimeProof{Agent: text, Addresses: []string{"a"}}.Bytes())
		_, address := ParseUptimeProof(UptimeProof{Addresses: []string{text}}.Bytes())
		_, status := ParseStatus(Status{Agent: text}.Bytes())
		for name, err := range map[string]error{"an event": update, "an agent": agent, "a proof": address, "a status": status, "CheckAddress": CheckAddress(text)} {
			if (err == nil) != want || err != nil && !errors.Is(err, ErrValue) {
				t.Errorf("byte %#02x in %s: error %v, want taken %t", c, name, err, want)
			}
		}
	}
}

// CheckAddress lets through what a decoder does, no more and no less.
func TestCheckAddress_AgreesWithTheDecoder(t *testing.T) {
	for _, n := range []int{0, 1, MaxAddressLength, MaxAddressLength + 1, 255} {
		a := strings.Repeat("a", n)
		_, decoded := ParseEvent(UpdateService{Addresses: []string{a}}.Bytes())
		if checked := CheckAddress(a); (checked == nil) != (decoded == nil) {
			t.Errorf("address of %d bytes: CheckAddress %v, ParseEvent %v", n, checked, decoded)
		}
	}
	if err := CheckAddress(strings.Repeat("a", 256)); !errors.Is(err, ErrSize) { // its length fits no byte
		t.Errorf("address of 256 bytes: %v, want ErrSize", err)
	}
}

// A count or a length that promises more than the message holds, or than the
// limit, must cost nothing.
func TestDecoders_AllocateNothingForHostileCounts(t *testing.T) {
	head := Header{}.Bytes()
	with := func(b []byte, more ...byte) []byte { return append(bytes.Clone(b), more...) }
	addresses := UpdateService{}.Bytes()[:73]
	event := func(b []byte) error { _, err := ParseEvent(b); return err }
	block := func(b []byte) error { _, err := ParseBlock(b); return err }
	for _, c := range []struct {
		name  string
		parse func([]byte) error
		b     []byte
	}{
		{"65535 events", block, with(head, 0xff, 0xff)},
		{"an event of 65535 bytes", block, with(head, 0, MaxBlockEvents, 0xff, 0xff)},
		{"all events, none there", block, with(head, 0, MaxBlockEvents)},
		{"65535 commitments", block, with(head, 0, 0, 0xff, 0xff)},
		{"a commitment of 65535 bytes", block, with(head, 0, 0, 0, MaxBlockCommitments, 0xff, 0xff)},
		{"all commitments, none there", block, with(head, 0, 0, 0, MaxBlockCommitments)},
		{"65535 certificates", block, with(head, 0, 0, 0, 0, 0xff, 0xff)},
		{"all certificates, none there", block, with(head, 0, 0, 0, 0, 0, MaxBlockCertificates)},
		{"255 addresses", event, with(addresses, 0xff)},
		{"an address of 255 bytes", event, with(addresses, MaxAddresses, 0xff)},
		{"an endpoint of 255 bytes", event, with(addresses, 1, 1, 'a', 0xff)},
	} {
		if err := c.parse(c.b); !errors.Is(err, ErrSize) {
			t.Errorf("%s: error %v, want ErrSize", c.name, err)
		}
		const runs = 1000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_ = c.parse(c.b)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 4096 {
			t.Errorf("%s: %d bytes allocated, want at most 4096", c.name, got)
		}
	}
}
