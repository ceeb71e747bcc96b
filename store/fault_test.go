package store

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/engine"
)

// Outcomes of reading a database.
const (
	intact  = "intact"  // everything committed is there
	prefix  = "prefix"  // what the first batches left, no more and no less
	refused = "refused" // an error of Open, Get or Walk
	silent  = "silent"  // no error, and records that no sequence of batches left
)

// populate commits batches of records of every kind. Some values are large
// enough that the tables have many blocks. Batch i also records its number.
func populate(t *testing.T, s *Store, batches int) {
	t.Helper()
	for i := range batches {
		if err := s.Commit(batchOf(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func batchOf(i int) []engine.Write {
	writes := []engine.Write{{Kind: engine.KindMeta, Value: fmt.Appendf(nil, "batch %d", i)}}
	for _, k := range engine.Kinds()[1:] {
		for j := range 3 {
			key := fmt.Appendf(nil, "key %03d %d", i, j)
			value := bytes.Repeat(fmt.Appendf(nil, "value %d %d %d;", k, i, j), 1+60*j)
			writes = append(writes, engine.Write{Kind: k, Key: key, Value: value})
		}
	}
	if i > 0 { // something to delete, and something to overwrite
		writes = append(writes,
			engine.Write{Kind: engine.KindBan, Key: fmt.Appendf(nil, "key %03d 0", i-1)},
			engine.Write{Kind: engine.KindFlag, Key: fmt.Appendf(nil, "key %03d 1", i-1), Value: fmt.Appendf(nil, "changed by %d", i)})
	}
	return writes
}

// contents is what a database holds: "kind/key" to value.
type contents map[string]string

// after is what a database must hold after so many batches.
func after(batches int) contents {
	c := contents{}
	for i := range batches {
		for _, w := range batchOf(i) {
			if w.Value == nil {
				delete(c, name(w.Kind, w.Key))
			} else {
				c[name(w.Kind, w.Key)] = string(w.Value)
			}
		}
	}
	return c
}

func name(k engine.Kind, key []byte) string { return fmt.Sprintf("%d/%s", k, key) }

// read walks all kinds and gets each record once more by its key.
func read(s *Store) (contents, error) {
	c := contents{}
	for _, k := range engine.Kinds() {
		var keys [][]byte
		err := s.Walk(k, nil, func(key, value []byte) error {
			keys = append(keys, bytes.Clone(key))
			c[name(k, key)] = string(value)
			return nil
		})
		if err != nil {
			return c, err
		}
		for _, key := range keys {
			v, err := s.Get(k, key)
			if err != nil {
				return c, err
			}
			if string(v) != c[name(k, key)] {
				return c, fmt.Errorf("get of %q differs from walk", key)
			}
		}
	}
	return c, nil
}

// aloneEnv marks the process that runs one test for another.
const aloneEnv = "PROCTOR_TEST_ALONE"

// alone runs the calling test in a process of its own and reports false; in
// that process it reports true. Badger leaves goroutines behind when it cannot
// open a database, and meets some broken files with a panic on one of them.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// outcome opens dir and compares what it reads with what so many batches left.
func outcome(dir string, batches int) (outcome, detail string) {
	s, err := Open(dir)
	if err != nil {
		return refused, err.Error()
	}
	defer s.Close()
	c, err := read(s)
	if err != nil {
		return refused, err.Error()
	}
	if maps.Equal(c, after(batches)) {
		return intact, ""
	}
	for n := range batches {
		if maps.Equal(c, after(n)) {
			return prefix, fmt.Sprint(n)
		}
	}
	return silent, fmt.Sprintf("%d records", len(c))
}

// copyTo makes a copy of a database's directory that takes little room where
// Badger's files are mostly holes.
func copyTo(t *testing.T, dst, src string) {
	t.Helper()
	files, err := os.ReadDir(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(src, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		writeSparse(t, filepath.Join(dst, f.Name()), b)
	}
}

func writeSparse(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, bytes.TrimRight(b, "\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

// damage is one way to break a file.
type damage struct {
	name  string
	bytes []byte
}

// damages cuts b, adds to it and flips bits, at both ends and in between. An
// empty MANIFEST has 8 bytes.
func damages(b []byte, flips int) (all []damage) {
	for _, n := range []int{0, 8, len(b) / 2, len(b) - 1} {
		all = append(all, damage{fmt.Sprintf("cut to %d of %d", n, len(b)), b[:n]})
	}
	all = append(all, damage{"three bytes too many", append(bytes.Clone(b), 1, 2, 3)})
	var at []int
	for i := range flips {
		at = append(at, i*len(b)/flips)
	}
	for i := 1; i < 16; i += 5 {
		at = append(at, max(0, len(b)-i))
	}
	slices.Sort(at)
	for _, i := range slices.Compact(at) {
		c := bytes.Clone(b)
		c[i] ^= 0x41
		all = append(all, damage{fmt.Sprintf("flipped at %d of %d", i, len(b)), c})
	}
	return all
}

const damagedBatches = 20

func TestOpen_DamagedFileOfAClosedDatabase(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	populate(t, s, damagedBatches)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, f := range files {
		kind := cmp.Or(filepath.Ext(f.Name()), f.Name())
		kinds[kind] = true
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(f.Name(), func(t *testing.T) {
			for _, d := range damages(b, 4) {
				broken := t.TempDir()
				copyTo(t, broken, dir)
				if err := os.WriteFile(filepath.Join(broken, f.Name()), d.bytes, 0o600); err != nil {
					t.Fatal(err)
				}
				got, detail := outcome(broken, damagedBatches)
				// The records are in the tables, and the MANIFEST lists them.
				must := kind == ".sst" || kind == "MANIFEST"
				if got != refused && (must || got != intact) {
					t.Errorf("%s: %s %s, want %s", d.name, got, detail, refused)
				}
				if got == refused && !strings.Contains(detail, ErrCorrupt.Error()) {
					t.Errorf("%s: %s, want %v", d.name, detail, ErrCorrupt)
				}
			}
			t.Run("missing", func(t *testing.T) {
				broken := t.TempDir()
				copyTo(t, broken, dir)
				if err := os.Remove(filepath.Join(broken, f.Name())); err != nil {
					t.Fatal(err)
				}
				must := kind == ".sst" || kind == "MANIFEST"
				if got, detail := outcome(broken, damagedBatches); got != refused && (must || got != intact) {
					t.Errorf("%s %s, want %s", got, detail, refused)
				}
			})
		})
	}
	for _, kind := range []string{".sst", ".vlog", "MANIFEST", "KEYREGISTRY", "DISCARD"} {
		if !kinds[kind] {
			t.Errorf("the database has no %s file: the test has lost its subject", kind)
		}
	}
}

// Commit has returned, the process ends without Close.
func TestOpen_AfterACrash(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range damagedBatches {
		if err := s.Commit(batchOf(n)); err != nil {
			t.Fatal(err)
		}
		if n%7 != 0 && n != damagedBatches-1 {
			continue
		}
		crashed := t.TempDir()
		copyTo(t, crashed, dir)
		if got, detail := outcome(crashed, n+1); got != intact {
			t.Errorf("after batch %d: %s %s, want %s", n, got, detail, intact)
		}
	}
}

// A write-ahead log that a crash left behind ends, for Badger, at its first
// broken entry: what a disk breaks in its middle costs the batches behind it,
// without an error. What is left must be what the first batches left, never
// half of one.
func TestOpen_DamagedLogAfterACrash(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	populate(t, s, damagedBatches)
	crashed := t.TempDir()
	copyTo(t, crashed, dir)

	logs, err := filepath.Glob(filepath.Join(crashed, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v; want one", logs, err)
	}
	whole, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(whole, "\x00"))
	prefixes := make(map[string]bool)
	for _, d := range damages(whole[:end], 12) {
		broken := t.TempDir()
		copyTo(t, broken, crashed)
		// The file keeps its length, as a log that was not written to its end.
		b := append(bytes.Clone(d.bytes), make([]byte, len(whole)-len(d.bytes))...)
		writeSparse(t, filepath.Join(broken, filepath.Base(logs[0])), b)
		got, detail := outcome(broken, damagedBatches)
		switch got {
		case prefix:
			prefixes[detail] = true
		case intact, refused:
		default:
			t.Errorf("%s: %s %s, want %s, %s or %s", d.name, got, detail, prefix, intact, refused)
		}
	}
	if len(prefixes) < 8 {
		t.Errorf("%d different prefixes %v: the damage did not reach the batches", len(prefixes), prefixes)
	}
}
