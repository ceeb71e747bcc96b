// Package store keeps a node's records in one Badger database. It knows kinds
// and bytes, not what they mean. What Commit has returned for is on disk.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/proctornet/proctor/engine"
)

// SchemaVersion is the version of the records' layout.
const SchemaVersion = 3

// Errors of Open. Their text says which directory and what to do.
var (
	ErrNewerSchema = errors.New("store: written by a newer version of proctor")
	ErrOlderSchema = errors.New("store: written by an older version of proctor")
	ErrInUse       = errors.New("store: in use by another process")
	ErrCorrupt     = errors.New("store: damaged")
)

// schemaKey lies outside every kind, see key.
var schemaKey = []byte{0}

// Store is an open database. Reads may run beside one Commit at a time.
type Store struct {
	db  *badger.DB
	dir string
}

// Open opens or creates the database in dir, a directory of its own.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: create %s: %w", dir, err)
	}
	o := tuned(badger.DefaultOptions(dir))
	if err := check(dir, o); err != nil {
		return nil, openError(err, dir)
	}
	return open(o, dir)
}

// OpenInMemory opens a database that ends with the process, for tests.
func OpenInMemory() (*Store, error) {
	return open(tuned(badger.DefaultOptions("")).WithInMemory(true), "memory")
}

// tuned keeps an idle database at some 80 MB of sparse files and a few MB of
// memory; Badger's own defaults take two gigabytes (spec/limits.md 4).
func tuned(o badger.Options) badger.Options {
	return o.
		WithLogger(nil).
		WithSyncWrites(true).       // see Commit
		WithMemTableSize(16 << 20). // a transaction may take 15 % of it: 2.4 MB, 25000 records
		WithNumMemtables(2).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(8 << 20).
		WithNumCompactors(2).
		WithCompression(options.None).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead) // check has read the tables
}

func open(o badger.Options, dir string) (*Store, error) {
	db, err := openBadger(o)
	if err != nil {
		return nil, openError(err, dir)
	}
	s := &Store{db, dir}
	if err := s.checkSchema(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func openError(err error, dir string) error {
	class := classify(err)
	advice := "restore " + dir + " from a backup, or move it away to start afresh: blocks come back from peers, flags of bans no longer gossiped do not"
	switch class {
	case ErrInUse:
		advice = "stop the other proctor that uses " + dir + ", or use another data_dir"
	case fs.ErrPermission:
		advice = "let the user of this process write to " + dir
	}
	return fmt.Errorf("%w: %w; %s", class, err, advice)
}

// openBadger turns the panics with which Badger meets some broken files into
// errors: what lies on a disk must not end in a stack trace.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger: %v", p)
		}
	}()
	return badger.Open(o)
}

func classify(err error) error {
	switch text := err.Error(); { // Badger wraps neither of the two
	case strings.Contains(text, "Another process is using this Badger database"):
		return ErrInUse
	case errors.Is(err, fs.ErrPermission), strings.Contains(text, "permission denied"):
		return fs.ErrPermission
	default:
		return ErrCorrupt
	}
}

func (s *Store) checkSchema() error {
	raw, err := s.get(schemaKey)
	if err != nil {
		return err
	}
	if raw == nil {
		return s.update([]entry{{schemaKey, []byte(strconv.Itoa(SchemaVersion))}})
	}
	v, err := strconv.Atoi(string(raw))
	switch {
	case err != nil:
		return fmt.Errorf("%w: schema version %q in %s is not a number", ErrCorrupt, raw, s.dir)
	case v > SchemaVersion:
		return fmt.Errorf("%w: %s has schema version %d, this proctor knows %d; upgrade proctor or use another data_dir", ErrNewerSchema, s.dir, v, SchemaVersion)
	case v < SchemaVersion:
		return fmt.Errorf("%w: %s has schema version %d, this proctor writes %d and converts nothing; move the directory away, blocks come back from peers", ErrOlderSchema, s.dir, v, SchemaVersion)
	}
	return nil
}

// Commit writes all of writes or none, and returns when they are on disk.
//
// The sync belongs to the transaction (SyncWrites) instead of following it
// (DB.Sync): when a memtable fills up between the two, DB.Sync syncs the new
// one and the last batch in the old one would be on disk only by luck.
func (s *Store) Commit(writes []engine.Write) error {
	entries := make([]entry, len(writes))
	for i, w := range writes {
		entries[i] = entry{key(w.Kind, w.Key), w.Value}
	}
	return s.update(entries)
}

type entry struct{ key, value []byte } // a nil value deletes

func (s *Store) update(entries []entry) error {
	err := s.db.Update(func(txn *badger.Txn) error {
		for _, e := range entries {
			var err error
			if e.value == nil {
				err = txn.Delete(e.key)
			} else {
				err = txn.Set(e.key, e.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: commit %d records to %s: %w", len(entries), s.dir, err)
	}
	return nil
}

// Get returns one record; nil if there is none.
func (s *Store) Get(kind engine.Kind, k []byte) ([]byte, error) { return s.get(key(kind, k)) }

func (s *Store) get(k []byte) (value []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(k)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy([]byte{}) // never nil: an empty record is not a missing one
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: read %x from %s: %w", ErrCorrupt, k, s.dir, err)
	}
	return value, nil
}

// Walk calls f for the records of a kind in ascending order of their keys,
// from key from on, until f fails; f must not keep what it is given.
func (s *Store) Walk(kind engine.Kind, from []byte, f func(key, value []byte) error) error {
	return s.db.View(func(txn *badger.Txn) error {
		prefix := []byte{byte(kind)}
		it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 100, Prefix: prefix})
		defer it.Close()
		for it.Seek(key(kind, from)); it.Valid(); it.Next() {
			item := it.Item()
			err := item.Value(func(value []byte) error { return f(item.Key()[1:], value) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Close flushes and closes the database. Nobody may use it any more.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("store: close %s: %w", s.dir, err)
	}
	return nil
}

// Size returns the bytes that the database's files take on disk.
func (s *Store) Size() (bytes int64, err error) {
	err = filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		bytes += info.Size()
		return err
	})
	return bytes, err
}

func key(kind engine.Kind, k []byte) []byte { return append([]byte{byte(kind)}, k...) }
