package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/proctornet/proctor/engine"
)

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func inMemory(t *testing.T) *Store {
	t.Helper()
	s, err := OpenInMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s) })
	return s
}

func commit(t *testing.T, s *Store, writes ...engine.Write) {
	t.Helper()
	if err := s.Commit(writes); err != nil {
		t.Fatal(err)
	}
}

func TestStore_KeepsWhatWasCommitted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	const batches = 12
	s := opened(t, dir)
	populate(t, s, batches)
	for _, when := range []string{"before closing", "after closing", "after closing again"} {
		got, err := read(s)
		if err != nil {
			t.Fatal(when, err)
		}
		if want := after(batches); !maps.Equal(got, want) {
			t.Errorf("%s: %d records, want %d", when, len(got), len(want))
		}
		closed(t, s)
		s = opened(t, dir)
	}
	closed(t, s)
}

func TestStore_WalkIsAscendingFromAKeyAndWithinAKind(t *testing.T) {
	s := inMemory(t)
	keys := []string{"", "\x00", "\x00\x01", "a", "ab", "b", "\xff", "\xff\xff"}
	for _, k := range []engine.Kind{engine.KindBlock, engine.KindNode, engine.KindFlag} {
		for _, i := range []int{5, 0, 7, 2, 3, 6, 1, 4} {
			commit(t, s, engine.Write{Kind: k, Key: []byte(keys[i]), Value: fmt.Appendf(nil, "%d %d", k, i)})
		}
	}
	for first, from := range keys {
		var got []string
		err := s.Walk(engine.KindNode, []byte(from), func(key, value []byte) error {
			if want := fmt.Sprintf("%d %d", engine.KindNode, slices.Index(keys, string(key))); string(value) != want {
				t.Errorf("value at %q is %q, want %q", key, value, want)
			}
			got = append(got, string(key))
			return nil
		})
		if err != nil || !slices.Equal(got, keys[first:]) {
			t.Errorf("walk from %q: %q, %v; want %q", from, got, err, keys[first:])
		}
	}
}

func TestStore_WalkStopsWhereTheCallerFails(t *testing.T) {
	s := inMemory(t)
	populate(t, s, 3)
	enough := errors.New("enough")
	calls := 0
	err := s.Walk(engine.KindBlock, nil, func(_, _ []byte) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, error %v; want 1 and %v", calls, err, enough)
	}
}

func TestStore_NilDeletesAndEmptyIsARecord(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	commit(t, s,
		engine.Write{Kind: engine.KindNode, Key: []byte("empty"), Value: []byte{}},
		engine.Write{Kind: engine.KindNode, Key: []byte("gone"), Value: []byte("x")},
		engine.Write{Kind: engine.KindNode, Key: []byte("twice"), Value: []byte("first")},
		engine.Write{Kind: engine.KindNode, Key: []byte("twice"), Value: []byte("second")},
		engine.Write{Kind: engine.KindMeta, Value: []byte("under the empty key")},
	)
	commit(t, s,
		engine.Write{Kind: engine.KindNode, Key: []byte("gone")},
		engine.Write{Kind: engine.KindNode, Key: []byte("never there")},
	)
	for range 2 {
		for key, want := range map[string][]byte{"empty": {}, "gone": nil, "never there": nil, "twice": []byte("second")} {
			got, err := s.Get(engine.KindNode, []byte(key))
			if err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%q: got %#v, %v; want %#v", key, got, err, want)
			}
		}
		if got, err := s.Get(engine.KindMeta, nil); err != nil || string(got) != "under the empty key" {
			t.Errorf("meta: got %q, %v", got, err)
		}
		closed(t, s)
		s = opened(t, dir)
	}
	closed(t, s)
}

func TestStore_CommitIsAllOrNothing(t *testing.T) {
	s := inMemory(t)
	commit(t, s, engine.Write{Kind: engine.KindMeta, Value: []byte("before")})
	writes := []engine.Write{
		{Kind: engine.KindMeta, Value: []byte("after")},
		{Kind: engine.KindNode, Key: []byte("good"), Value: []byte("x")},
		{Kind: engine.KindNode, Key: make([]byte, 1<<17), Value: []byte("a key that is too long")},
	}
	if err := s.Commit(writes); err == nil {
		t.Fatal("a record that cannot be stored was committed")
	}
	if got, err := s.Get(engine.KindMeta, nil); err != nil || string(got) != "before" {
		t.Errorf("meta is %q, %v; want what it was before the failed commit", got, err)
	}
	if got, err := s.Get(engine.KindNode, []byte("good")); err != nil || got != nil {
		t.Errorf("got %q, %v; want nothing of the failed commit", got, err)
	}
}

// The engine's loop closes a batch at 512 KiB; the last input comes on top.
func TestStore_CommitsAMebibyteAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	defer closed(t, s)
	var writes []engine.Write
	for i := range 16 {
		writes = append(writes, engine.Write{Kind: engine.KindBlock, Key: []byte{byte(i)}, Value: make([]byte, 64<<10)})
	}
	commit(t, s, writes...)
}

func TestOpen_NewerSchema(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	if err := s.update([]entry{{schemaKey, fmt.Appendf(nil, "%d", SchemaVersion+6)}}); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	_, err := Open(dir)
	if !errors.Is(err, ErrNewerSchema) {
		t.Fatalf("got %v, want %v", err, ErrNewerSchema)
	}
	for _, want := range []string{dir, fmt.Sprint(SchemaVersion + 6), fmt.Sprintf("knows %d", SchemaVersion)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %q", err, want)
		}
	}
}

// Nothing is converted, and nothing touched: the older proctor still reads it.
func TestOpen_OlderSchema(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	populate(t, s, 3)
	if err := s.update([]entry{{schemaKey, fmt.Appendf(nil, "%d", SchemaVersion-1)}}); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	for range 2 {
		_, err := Open(dir)
		if !errors.Is(err, ErrOlderSchema) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("got %v, want %v", err, ErrOlderSchema)
		}
		for _, want := range []string{dir, fmt.Sprintf("version %d", SchemaVersion-1), fmt.Sprintf("writes %d", SchemaVersion), "move the directory away"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not name %q", err, want)
			}
		}
	}
	db, err := openBadger(tuned(badger.DefaultOptions(dir)))
	if err != nil {
		t.Fatal(err)
	}
	s = &Store{db, dir}
	if got, err := read(s); err != nil || !maps.Equal(got, after(3)) {
		t.Errorf("after the refusal: %d records, %v; want %d", len(got), err, len(after(3)))
	}
	closed(t, s)
}

func TestOpen_SchemaThatIsNoNumber(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	if err := s.update([]entry{{schemaKey, []byte("one")}}); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if _, err := Open(dir); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want %v", err, ErrCorrupt)
	}
}

func TestOpen_InUse(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	populate(t, s, 3)
	_, err := Open(dir)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want %v naming %s", err, ErrInUse, dir)
	}
	if got, err := read(s); err != nil || !maps.Equal(got, after(3)) {
		t.Errorf("the one who was first reads %d records, %v; want %d", len(got), err, len(after(3)))
	}
	closed(t, s)
	closed(t, opened(t, dir))
}

func TestOpen_WhereNothingCanBeCreated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) || errors.Is(err, ErrCorrupt) {
			t.Errorf("open %s: got %v, want an error that names it and does not speak of damage", dir, err)
		}
	}
}

func TestOpen_UnwritableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("every directory is writable for root")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want %v naming %s", err, os.ErrPermission, dir)
	}
}

func TestStore_Size(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	populate(t, s, 3)
	closed(t, s)
	var want int64
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		want += info.Size()
	}
	if got, err := s.Size(); err != nil || got != want {
		t.Errorf("got %d, %v; want %d", got, err, want)
	}
	if _, err := (&Store{dir: filepath.Join(dir, "absent")}).Size(); err == nil {
		t.Error("the size of an absent directory is known")
	}
}
