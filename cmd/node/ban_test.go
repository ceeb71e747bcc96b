package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Source: spec/dash.md 11.1 and 11.2.
const (
	vectorProTx  = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	vectorQuorum = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	vectorHeight = 1234567

	vectorInventory = "87022cca3cfc30fa8d628a5b44b0f37cb01c073973478f3514e2bf713e49c865"
	vectorRequest   = "ec83999e33903f5ffedc60f1657efa9e2c4d2e75fdb23be33dbc92ac69ce560d"
	vectorMessage   = "ba450bd767f08260e3a739b68af8e09bfc3770dde121ec020a5dd801e1681fb0"
	vectorSignHash  = "2a4afc13a1199e45107073ab64dee0df7bf8212bee6382bf765c784e0127e045"

	vectorSignature = "a4f87946395daa5c795ed13a7ec456bcbdd253fb90231be80a7ff97f116b7689e3bf3bc1c892c5dc6b609e58a8499db7" +
		"0945f4bca3e1789d5d671f4c9986dcb5a1a7580ce52c4dd0eb5ceb7723465438c8dc63cce17ca1232f68f4143ad47fdb"
	vectorLegacyEncoding = "8945f4bca3e1789d5d671f4c9986dcb5a1a7580ce52c4dd0eb5ceb7723465438c8dc63cce17ca1232f68f4143ad47fdb" +
		"04f87946395daa5c795ed13a7ec456bcbdd253fb90231be80a7ff97f116b7689e3bf3bc1c892c5dc6b609e58a8499db7"
	vectorLegacyScheme = "10e57f9bc203851bba744d5677da9407ef9048ea26944dd3d84cca7c5dbf2e58c32342ae931ecfee3f19694214ef92ee" +
		"081fa827501ee4b49e370191019a8d62b10f28af6c9c49abbefd2a0416315f93f2b44a82fba925bda48e0bcbc5f68dca"

	vectorKey       = "a35c6a936238a8d421d2255c0402a6bdf00f8b46ee853517cd25ab1babd44a2cee1e4857416e4c971b8dc6c3491d64f5"
	vectorOtherKey  = "930a793636ef509bba5347256f08db552bd5d2ef38e11c1b17cf7d33a9533da4ba8d333a9c1dd930c64bbd459377fd52"
	vectorLegacyKey = "835c6a936238a8d421d2255c0402a6bdf00f8b46ee853517cd25ab1babd44a2cee1e4857416e4c971b8dc6c3491d64f5"
)

// vectorBan is the message of spec/dash.md 11.1, put together byte by byte,
// with any signature.
func vectorBan(signature string) string {
	return reverseHex(vectorProTx) + "87d61200" + reverseHex(vectorQuorum) + signature
}

func reverseHex(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	slices.Reverse(b)
	return hex.EncodeToString(b)
}

// flipped flips one bit of a message.
func flipped(message string, bit int) string {
	b, err := hex.DecodeString(message)
	if err != nil {
		panic(err)
	}
	b[bit/8] ^= 1 << (bit % 8)
	return hex.EncodeToString(b)
}

// inspectKeys are the keys of the JSON form; verify adds two.
var inspectKeys = []string{"inventory_hash", "message_hash", "protx_hash", "quorum_hash", "request_id", "sign_hash", "signature", "signed_height"}

// object decodes the one JSON object on stdout and checks its keys.
func (o outcome) object(t testing.TB, keys ...string) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.UseNumber()
	if err := d.Decode(&m); err != nil || d.More() {
		t.Fatalf("proctor %.200q: stdout is not one JSON object: %v\n%s", o.args, err, o.stdout)
	}
	slices.Sort(keys)
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, keys) {
		t.Fatalf("proctor %.200q: keys %q, want %q", o.args, got, keys)
	}
	return m
}

// lines decodes the text form: a name and a value in every line.
func (o outcome) lines(t testing.TB) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for line := range strings.Lines(o.stdout) {
		words := strings.Fields(line)
		if len(words) != 2 {
			t.Fatalf("proctor %.200q: line %q is not a name and a value", o.args, line)
		}
		m[words[0]] = words[1]
	}
	return m
}

func TestBanInspect_Vector(t *testing.T) {
	want := map[string]any{
		"protx_hash":     vectorProTx,
		"signed_height":  json.Number(fmt.Sprint(vectorHeight)),
		"quorum_hash":    vectorQuorum,
		"signature":      vectorSignature,
		"inventory_hash": vectorInventory,
		"request_id":     vectorRequest,
		"message_hash":   vectorMessage,
		"sign_hash":      vectorSignHash,
	}
	o := proctor(t, "ban", "inspect", vectorBan(vectorSignature), "--json")
	o.wantOK(t)
	if got := o.object(t, inspectKeys...); !maps.Equal(got, want) {
		t.Errorf("JSON %v\nwant %v", got, want)
	}

	o = proctor(t, "ban", "inspect", " "+strings.ToUpper(vectorBan(vectorSignature))+"\n")
	o.wantOK(t)
	text := o.lines(t)
	if len(text) != len(want) {
		t.Errorf("%d lines, want %d", len(text), len(want))
	}
	for key, value := range want {
		if text[key] != fmt.Sprint(value) {
			t.Errorf("%s is %q as text, want %v", key, text[key], value)
		}
	}
}

// Only what is signed depends on who signs.
func TestBanInspect_QuorumTypeChangesTheSignHashOnly(t *testing.T) {
	base := proctor(t, "ban", "inspect", vectorBan(vectorSignature), "--json").object(t, inspectKeys...)
	seen := map[any]string{base["sign_hash"]: "106"}
	for _, llmq := range []string{"4", "6"} {
		o := proctor(t, "ban", "inspect", vectorBan(vectorSignature), "--json", "--llmq-type", llmq)
		o.wantOK(t)
		got := o.object(t, inspectKeys...)
		if other, twice := seen[got["sign_hash"]]; twice {
			t.Errorf("types %s and %s have one sign hash %s", llmq, other, got["sign_hash"])
		}
		seen[got["sign_hash"]] = llmq
		got["sign_hash"] = base["sign_hash"]
		if !maps.Equal(got, base) {
			t.Errorf("type %s: %v\nwant %v", llmq, got, base)
		}
	}
}

func TestBanInspect_AnyHeight(t *testing.T) {
	for _, height := range []int32{math.MinInt32, -1, 0, 1, math.MaxInt32} {
		m := wire.PlatformBan{SignedHeight: height}
		o := proctor(t, "ban", "inspect", hex.EncodeToString(m.Bytes()), "--json")
		o.wantOK(t)
		got := o.object(t, inspectKeys...)
		if want := json.Number(fmt.Sprint(height)); got["signed_height"] != want {
			t.Errorf("signed_height is %v, want %v", got["signed_height"], want)
		}
		if got["inventory_hash"] != m.InventoryHash().String() {
			t.Errorf("height %d: inventory_hash is %v, want %s", height, got["inventory_hash"], m.InventoryHash())
		}
		text := proctor(t, "ban", "inspect", hex.EncodeToString(m.Bytes())).lines(t)
		if text["signed_height"] != fmt.Sprint(height) {
			t.Errorf("signed_height is %q as text, want %d", text["signed_height"], height)
		}
	}
}

// uncanonical adds the field's modulus to the second coordinate of a
// signature: the same number, which no encoder writes.
func uncanonical(signature string) string {
	p, _ := new(big.Int).SetString("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16)
	x, _ := new(big.Int).SetString(signature[96:], 16)
	return signature[:96] + fmt.Sprintf("%096x", x.Add(x, p))
}

func TestBanVerify(t *testing.T) {
	zero := strings.Repeat("0", 192)
	type row struct {
		name    string
		message string
		key     string
		llmq    string
		want    validation.Reason
	}
	rows := []row{
		{"valid", vectorBan(vectorSignature), vectorKey, "106", validation.Valid},
		{"upper case", strings.ToUpper(vectorBan(vectorSignature)), strings.ToUpper(vectorKey), "106", validation.Valid},

		{"wrong key", vectorBan(vectorSignature), vectorOtherKey, "106", validation.Signature},
		{"negated key", vectorBan(vectorSignature), vectorLegacyKey, "106", validation.Signature},
		{"mainnet's quorum type", vectorBan(vectorSignature), vectorKey, "4", validation.Signature},
		{"testnet's quorum type", vectorBan(vectorSignature), vectorKey, "6", validation.Signature},
		{"bit of the protx flipped", flipped(vectorBan(vectorSignature), 0), vectorKey, "106", validation.Signature},
		{"bit of the height flipped", flipped(vectorBan(vectorSignature), 8*32), vectorKey, "106", validation.Signature},
		{"sign of the height flipped", flipped(vectorBan(vectorSignature), 8*36-1), vectorKey, "106", validation.Signature},
		{"bit of the quorum flipped", flipped(vectorBan(vectorSignature), 8*67), vectorKey, "106", validation.Signature},
		{"negated signature", flipped(vectorBan(vectorSignature), 8*68+5), vectorKey, "106", validation.Signature},

		{"legacy encoding", vectorBan(vectorLegacyEncoding), vectorKey, "106", validation.SignatureEncoding},
		{"legacy scheme", vectorBan(vectorLegacyScheme), vectorKey, "106", validation.SignatureEncoding},
		{"infinity", vectorBan("c0" + zero[2:]), vectorKey, "106", validation.SignatureEncoding},
		{"infinity with a sign", vectorBan("e0" + zero[2:]), vectorKey, "106", validation.SignatureEncoding},
		{"infinity with a coordinate", vectorBan("c0" + zero[2:191] + "1"), vectorKey, "106", validation.SignatureEncoding},
		{"all zero", vectorBan(zero), vectorKey, "106", validation.SignatureEncoding},
		{"all ones", vectorBan(strings.Repeat("f", 192)), vectorKey, "106", validation.SignatureEncoding},
		{"second coordinate not reduced", vectorBan(uncanonical(vectorSignature)), vectorKey, "106", validation.SignatureEncoding},
		{"first coordinate is the modulus", vectorBan("9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab" + zero[96:]),
			vectorKey, "106", validation.SignatureEncoding},
		{"compression bit missing", flipped(vectorBan(vectorSignature), 8*68+7), vectorKey, "106", validation.SignatureEncoding},
		{"infinity bit set", flipped(vectorBan(vectorSignature), 8*68+6), vectorKey, "106", validation.SignatureEncoding},
		{"coordinates reversed", vectorBan(vectorSignature[96:] + vectorSignature[:96]), vectorKey, "106", validation.SignatureEncoding},
	}
	for x := range 8 { // some are on the curve, none in the subgroup
		rows = append(rows, row{fmt.Sprintf("outside the subgroup, x = %d", x),
			vectorBan("80" + zero[2:190] + fmt.Sprintf("%02x", x)), vectorKey, "106", validation.SignatureEncoding})
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"ban", "verify", c.message, "--quorum-key", c.key, "--llmq-type", c.llmq}
			valid, code := c.want == validation.Valid, exitFailed
			if valid {
				code = exitOK
			}
			o := proctor(t, append(args, "--json")...)
			if o.code != code || o.stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q, want none", o.code, code, o.stderr)
			}
			got := o.object(t, append([]string{"valid", "reason"}, inspectKeys...)...)
			if got["valid"] != valid || got["reason"] != string(c.want) {
				t.Errorf("valid %v, reason %v; want %t, %s", got["valid"], got["reason"], valid, c.want)
			}

			o = proctor(t, args...)
			text := o.lines(t)
			if o.code != code || o.stderr != "" || text["valid"] != fmt.Sprint(valid) || text["reason"] != string(c.want) {
				t.Errorf("as text: exit code %d, valid %s, reason %s, stderr %q", o.code, text["valid"], text["reason"], o.stderr)
			}
			for key, value := range got {
				if text[key] != fmt.Sprint(value) {
					t.Errorf("%s is %q as text, %v as JSON", key, text[key], value)
				}
			}
		})
	}
}

func TestBan_UnusableInput(t *testing.T) {
	good := vectorBan(vectorSignature)
	zeroKey := strings.Repeat("0", 96)
	for _, c := range []struct {
		name    string
		message string
		key     string // verify only; "-" leaves the flag out
		llmq    string
		words   []string
	}{
		{"message empty", "", vectorKey, "106", []string{"platformban", "0 bytes", "164"}},
		{"message one byte short", good[:326], vectorKey, "106", []string{"platformban", "163 bytes", "164"}},
		{"message one byte long", good + "00", vectorKey, "106", []string{"platformban", "165 bytes", "164"}},
		{"message twice", good + good, vectorKey, "106", []string{"platformban", "328 bytes", "164"}},
		{"message without a signature", good[:136], vectorKey, "106", []string{"platformban", "68 bytes", "164"}},
		{"message with half a byte", good[:327], vectorKey, "106", []string{"platformban", "327 characters", "328 hex digits"}},
		{"message not hex", good[:326] + "zz", vectorKey, "106", []string{"platformban", "328 characters", "328 hex digits", "'z'"}},
		{"message with 0x", "0x" + good, vectorKey, "106", []string{"platformban", "330 characters", "328 hex digits"}},
		{"unknown quorum type", good, vectorKey, "99", []string{"--llmq-type", "99", "4 (llmq_100_67)", "6 (llmq_25_67)", "106 (llmq_test_platform)"}},
		{"quorum type 0", good, vectorKey, "0", []string{"--llmq-type", "0", "known"}},
		{"quorum type too large", good, vectorKey, "256", []string{"--llmq-type", "256"}},
		{"quorum type no number", good, vectorKey, "x", []string{"--llmq-type", `"x"`}},

		{"key missing", good, "-", "106", []string{"--quorum-key", "0 characters", "96 hex digits"}},
		{"key short", good, vectorKey[:94], "106", []string{"--quorum-key", "94 characters", "96 hex digits"}},
		{"key long", good, vectorKey + "00", "106", []string{"--quorum-key", "98 characters", "96 hex digits"}},
		{"key not hex", good, vectorKey[:94] + "zz", "106", []string{"--quorum-key", "hex"}},
		{"key not on the curve", good, vectorKey[:94] + "00", "106", []string{"--quorum-key"}},
		{"key at infinity", good, "c0" + zeroKey[2:], "106", []string{"--quorum-key", "infinity"}},
		{"key all zero", good, zeroKey, "106", []string{"--quorum-key"}},
		{"key outside the subgroup", good, "80" + zeroKey[2:95] + "4", "106", []string{"--quorum-key"}},
		{"key not reduced", good, "9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", "106", []string{"--quorum-key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"ban", "verify", c.message, "--llmq-type", c.llmq}
			if c.key != "-" {
				args = append(args, "--quorum-key", c.key)
			}
			proctor(t, args...).wantError(t, exitUnusable, c.words...)
			proctor(t, append(args, "--json")...).wantError(t, exitUnusable, c.words...)
			if !slices.Contains(c.words, "--quorum-key") {
				proctor(t, "ban", "inspect", c.message, "--llmq-type", c.llmq).wantError(t, exitUnusable, c.words...)
			}
		})
	}
}
