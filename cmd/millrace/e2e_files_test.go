package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFilesEndToEnd has CSV files that are put into a directory come out as
// files of another, by a registry's schema, with the server killed between.
func TestFilesEndToEnd(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	for _, d := range []string{"in", "done", "bad", "out"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name string, from, to int) {
		t.Helper()
		text := "id,who\n"
		for i := from; i < to; i++ {
			text += fmt.Sprintf("%d,customer %d\n", i, i)
		}
		temp := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(temp, []byte(text), 0o600), os.Rename(temp, filepath.Join(dir, "in", name))); err != nil {
			t.Fatal(err)
		}
	}
	put("a.csv", 0, 500)
	avro := func(config map[string]string) map[string]string {
		config["value.converter"], config["value.converter.schema.registry.url"] = "io.confluent.connect.avro.AvroConverter", "http://"+s.addrs.Registry
		return config
	}
	s.create("spool", avro(map[string]string{
		"connector.class": "com.github.jcustenborder.kafka.connect.spooldir.SpoolDirCsvSourceConnector", "topic": "customers", "input.path": dir + "/in",
		"finished.path": dir + "/done", "error.path": dir + "/bad", "input.file.pattern": `.*\.csv`, "csv.first.row.as.header": "true",
		"schema.generation.enabled": "true", "schema.generation.types": "infer", "exactly.once.support": "required",
	}))
	eventually(t, "the first file to be moved", func() error {
		_, err := os.Stat(filepath.Join(dir, "done", "a.csv"))
		return err
	})
	s.create("archive", avro(map[string]string{
		"connector.class": "DirectorySink", "topics": "customers", "directory": dir + "/out", "format": "csv", "rotate.interval.ms": "200",
		"consumer.override.isolation.level": "read_committed", "consumer.override.session.timeout.ms": "6000",
	}))
	put("b.csv", 500, 1000)
	s.kill()
	s.restart()
	put("c.csv", 1000, 1500)
	eventually(t, "all records in files", func() error {
		ids, err := archived(filepath.Join(dir, "out"))
		if err == nil && len(ids) < 1500 {
			err = fmt.Errorf("there are %d", len(ids))
		}
		return err
	})
	ids, err := archived(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	for i, id := range ids {
		if id != i {
			t.Fatalf("record %d is %d: of %d records one is missing or there twice", i, id, len(ids))
		}
	}
}

// archived returns the ids in all complete files.
func archived(dir string) (ids []int, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		b, err := os.ReadFile(path)
		for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			var id, who int
			if i == 0 {
				continue // the header
			}
			if _, err := fmt.Sscanf(line, "%d,customer %d", &id, &who); err != nil || id != who {
				return fmt.Errorf("%s: line %q: %v", path, line, err)
			}
			ids = append(ids, id)
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) { // an unfinished file got its name
		return nil, fmt.Errorf("a file went away: %v", err)
	}
	return ids, err
}
