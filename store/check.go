package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// check looks for damage that Badger does not survive or does not report. It
// opens tables on goroutines of its own, where a wrong byte ends the process;
// and it takes a MANIFEST that was cut short for what a crash leaves behind,
// forgets the tables that stood in the rest and deletes their files.
func check(dir string, o badger.Options) error {
	wals, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	m, whole, err := readManifest(dir, o)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(wals)+len(tables) == 0:
		return nil // a new database
	case err != nil:
		return err
	}
	// Without a write-ahead log the database was closed in good order. With
	// one a crash may have cut the MANIFEST, or another process is at work:
	// what the MANIFEST does not list is in the log still.
	if len(wals) == 0 {
		if !whole {
			return errors.New("MANIFEST is cut short")
		}
		for _, f := range tables {
			id, ok := table.ParseFileID(f)
			if _, listed := m.Tables[id]; ok && !listed {
				return fmt.Errorf("MANIFEST does not list %s", filepath.Base(f))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.Tables)) {
		err := checkTable(table.NewFilename(id, dir), id, m.Tables[id].Compression)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // Badger reports a table that is not there
			return fmt.Errorf("table %06d.sst: %w", id, err)
		}
	}
	return nil
}

// readManifest returns the list of tables, and whether nothing follows the
// last whole entry.
func readManifest(dir string, o badger.Options) (m badger.Manifest, whole bool, err error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return m, false, err
	}
	defer f.Close()
	m, end, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err != nil {
		return m, false, err
	}
	info, err := f.Stat()
	if err != nil {
		return m, false, err
	}
	return m, end == info.Size(), nil
}

// checkTable reads a table whole and verifies the checksums of its index and
// its blocks. Badger's reader panics on some broken tables.
func checkTable(file string, id uint64, c options.CompressionType) (err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	defer func() {
		if recover() != nil {
			err = errors.New("unreadable")
		}
	}()
	t, err := table.OpenInMemoryTable(data, id, &table.Options{Compression: c, ChkMode: options.OnTableRead})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
